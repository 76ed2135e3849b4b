"""A store is opened whole and as written, or refused; a network travels and tells of itself."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest
import zarr
from networks import make_brain, make_network
from stores import chunk_files, contents, in_edges, same_synapses

from dtbdask import schema
from dtbdask.errors import DTBDaskError, StoreError
from dtbdask.graph.build import build
from dtbdask.graph.layouts import VOXEL
from dtbdask.graph.network import Network, open_network

SMALL = {"neurons": 300, "degree": 10, "seed": 5}
CHUNK = 800
"""Divides neither the in-degrees nor the 2,970 synapses or so."""


TURNED = replace(VOXEL, excitatory=(False, True))
"""The same wiring, of which the other half excites."""


def with_tracts(length=30.0):
    return make_brain().assign(tract_length=(("voxel", "voxel_source"), np.full((3, 3), length)))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Path of a network that no test changes."""
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    return build(make_brain(), path, chunk=CHUNK, **SMALL).path


@pytest.fixture
def stored(built, tmp_path):
    return open_network(shutil.copytree(built, tmp_path / "brain.zarr"))


@pytest.fixture(scope="module")
def procedural(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    return build(make_brain(), path, synapses="procedural", **SMALL)


@pytest.fixture(scope="module")
def with_everything(tmp_path_factory):
    """Path of a network with delays and with values of single neurons."""
    path = tmp_path_factory.mktemp("network") / "all.zarr"
    own = {"gamma": {"g_ampa": 5.0}, "neuron_parameters": {"i_ext": 0.1}}
    built = build(with_tracts(), path, speed=3.0, synapses="procedural", **own, **SMALL)
    return built.path


def test_lazy_arrays_compute_nothing_until_asked(procedural, stored):
    seen = []
    with dask.config.set(
        scheduler=lambda graph, keys, **kw: seen.append(keys) or dask.get(graph, keys)
    ):
        for network in (procedural, stored):
            source, weight = (network.synapses[name].data for name in ("source", "weight"))
            assert source.shape == (network.n_synapses,)
            assert weight.shape == (network.n_synapses, 2)
        assert not seen
        source[:3].compute()
        assert seen


def test_the_store_says_where_it_comes_from(stored):
    about = stored.attributes
    assert {k: about[k] for k in SMALL} == SMALL
    assert (about["kind"], about["status"], about["format"]) == (
        "network",
        "complete",
        schema.FORMAT,
    )
    assert about["layout"] == "voxel"
    assert about["chunk"] == CHUNK
    assert (about["source"], about["source_sha256"]) == ("of a test", "0" * 64)
    assert {"dtbdask", "numpy", "zarr", "numba"} <= set(about["versions"])
    assert about["made"]
    json.dumps(dict(about))


def digest(tmp_path, brain=None, **changes):
    arguments = {"speed": 3.0, "synapses": "procedural", "overwrite": True, **SMALL, **changes}
    brain = with_tracts() if brain is None else brain
    return build(brain, tmp_path / "brain.zarr", **arguments).attributes["recipe_sha256"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return digest(tmp_path_factory.mktemp("network"))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 6}, {"degree": 11}, {"min_size": 40}, {"weights": (0, 254)}, {"speed": None},
        {"brain": with_tracts(33.0)}, {"parameters": {"g_l": [0.025] * 5 + [0.026]}},
        {"parameters": {"excluded": [0, 0, 0, 0, 1, 0]}}, {"neuron_parameters": {"g_l": 0.025}},
        {"gamma": {"g_l": 5.0}}, {"layout": TURNED},
    ],
    ids=lambda change: ", ".join(change),
)  # fmt: skip
def test_the_checksum_changes_when_anything_does(plain, tmp_path, change):
    assert digest(tmp_path, **change) != plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"gamma": {"g_l": 5.0}}, {"gamma": {"g_l": 6.0}}),
        ({"neuron_parameters": {"g_ampa": 0.01}}, {"neuron_parameters": {"g_nmda": 0.01}}),
        ({"parameters": {"g_ampa": 0.01, "g_nmda": 0}},
         {"parameters": {"g_ampa": 0, "g_nmda": 0.01}}),
    ],
    ids=["shape", "name", "values"],
)  # fmt: skip
def test_the_checksum_knows_names_and_shapes(tmp_path, one, other):
    assert digest(tmp_path, **one) != digest(tmp_path, **other)


def test_the_checksum_is_that_of_the_network_and_not_of_how_it_is_kept(tmp_path):
    own = {"v_th": -49.0, "c": 0.6, "i_ext": 0.1}
    meant = digest(tmp_path, neuron_parameters=own)
    assert digest(tmp_path, neuron_parameters=own, synapses="stored", chunk=CHUNK) == meant
    turned = dict(reversed(own.items()))
    assert digest(tmp_path, neuron_parameters=turned) == meant
    assert open_network(tmp_path / "brain.zarr").attributes["recipe_sha256"] == meant


# Damage


def test_a_flipped_bit_is_an_error_when_it_is_read(stored, tmp_path):
    for name in ("source", "weight"):
        file = chunk_files(tmp_path / "brain.zarr", name)[1]
        good = file.read_bytes()
        for at in (0, len(good) // 2, len(good) - 1):
            file.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
            network = open_network(stored.path)
            with pytest.raises(Exception, match=r"(?i)checksum|crc|decompress|invalid|codec"):
                in_edges(network)
        file.write_bytes(good)
    in_edges(open_network(stored.path))


def test_a_damaged_chunk_is_a_store_error_that_names_the_store(stored, tmp_path):
    file = chunk_files(tmp_path / "brain.zarr")[1]
    good = file.read_bytes()
    file.write_bytes(good[:-9] + bytes([good[-9] ^ 4]) + good[-8:])
    with pytest.raises(StoreError, match=r"brain\.zarr"):
        in_edges(open_network(stored.path))


@pytest.mark.parametrize("name", ["source", "weight"])
def test_a_missing_chunk_is_refused_when_the_store_is_opened(stored, tmp_path, name):
    chunk_files(tmp_path / "brain.zarr", name)[2].unlink()
    with pytest.raises(StoreError, match=rf"damaged, array 'synapse/{name}' has 3 of its 4 chunks"):
        open_network(stored.path)


@pytest.mark.parametrize(
    "name", ["synapse/source", "synapse", "population/size", "population/parameter/g_l"]
)
def test_a_missing_array_is_refused_when_the_store_is_opened(stored, tmp_path, name):
    shutil.rmtree(tmp_path / "brain.zarr" / name)
    with pytest.raises(StoreError, match=name):
        open_network(stored.path)


@pytest.mark.parametrize(
    "name",
    [
        "population/voxel", "population/slot", "population/excitatory", "population/size",
        "population/degree", "mixture/indptr", "mixture/source", "mixture/table", "mixture/share",
        "mixture/far_indptr", "mixture/far_population", "mixture/far_share", "mixture/far_delay",
        "population/parameter/g_l", "neuron/parameter/i_ext", "neuron/parameter/g_ampa",
    ],
)  # fmt: skip
def test_tables_that_contradict_the_recipe_are_refused(with_everything, tmp_path, name):
    path = tmp_path / "copy.zarr"
    shutil.copytree(with_everything, path)
    array = zarr.open_group(path, mode="r+")[name]
    array[1] = not array[1] if array.dtype == bool else array[1] + array.dtype.type(1)
    with pytest.raises(StoreError, match=r"checksum|damaged"):
        open_network(path)


@pytest.mark.parametrize("kind", ["nothing", "text", "recording", "newer"])
def test_what_is_no_network_is_refused_by_name(tmp_path, stored, kind):
    path = tmp_path / "there"
    if kind == "text":
        path.write_text("not a store")
    if kind == "recording":
        schema.commit(schema.create_store(path, "recording", {}))
    if kind == "newer":
        path = tmp_path / "brain.zarr"
        schema.update_root(zarr.open_group(path, mode="r+"), format=99)
    with pytest.raises(StoreError, match=path.name):
        open_network(path)


# The handle


def test_a_network_travels_as_its_path_and_one_in_memory_as_itself(stored):
    sent = pickle.dumps(stored)
    assert len(sent) < 500
    same_synapses(in_edges(pickle.loads(sent)), in_edges(stored))
    held = make_network(neurons=300, degree=10, seed=5, g_nmda=0.001)
    back = pickle.loads(pickle.dumps(held))
    same_synapses(in_edges(back), in_edges(stored))
    assert back.parameters.on("g_nmda")
    assert back.labels == held.labels


def test_a_store_that_is_gone_when_its_network_arrives_is_an_error(stored):
    sent = pickle.dumps(stored)
    shutil.rmtree(stored.path)
    with pytest.raises(StoreError, match="no such store"):
        pickle.loads(sent)


def test_a_network_is_read_only(stored):
    with pytest.raises(AttributeError):
        stored.labels = ()
    before = contents(Path(stored.path))
    with pytest.raises((ValueError, DTBDaskError, TypeError)):
        zarr.open_group(stored.path, mode="r")["synapse/source"][0] = 1
    assert contents(Path(stored.path)) == before


def test_a_network_tells_of_itself_and_labels_stay_text(tmp_path):
    brain = make_brain().assign_coords(label=("voxel", ["<script>alert(1)</script>", "b&c", "d"]))
    brain = brain.assign_attrs(source="<img src=x onerror=alert(1)>")
    network = build(brain, tmp_path / "<b>.zarr", synapses="procedural", **SMALL)
    assert isinstance(network, Network)
    for part in (
        "<Network",
        f"{network.n_neurons:,} neurons",
        "6 populations in 3 voxels",
        "seed 5",
    ):
        assert part in repr(network)
    shown = network._repr_html_()
    assert f"{network.n_synapses:,}" in shown
    assert "&lt;img" in shown
    for harm in ("<script", "<img", "<b>"):
        assert harm not in shown
