"""A network is the same stored, procedural or lazy, whole or interrupted, and never half there."""

import json
import pickle
import shutil
from pathlib import Path

import dask
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import make_brain, make_network

from dtbdask import schema
from dtbdask.errors import DTBDaskError, InputError, StoreError, StoreExistsError
from dtbdask.graph import build as build_module
from dtbdask.graph import synapses as synapses_module
from dtbdask.graph.build import build
from dtbdask.graph.network import Network, open_network
from dtbdask.graph.parameters import PARAMETERS

SMALL = {"neurons": 300, "degree": 10, "seed": 5}
CHUNK = 800
"""Divides neither the in-degrees nor the 2,970 synapses or so."""


def contents(path):
    """Bytes of every file below a path."""
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def arrays(path):
    group = zarr.open_group(path, mode="r")
    return {
        name: array[...] for name, array in group.members(None) if isinstance(array, zarr.Array)
    }


def same_arrays(one, other):
    one, other = arrays(one), arrays(other)
    assert sorted(one) == sorted(other)
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def chunk_files(path, name="source"):
    return sorted(p for p in (path / "synapse" / name / "c").rglob("*") if p.is_file())


@pytest.fixture
def stored(tmp_path):
    return build(make_brain(), tmp_path / "brain.zarr", chunk=CHUNK, **SMALL)


@pytest.fixture(scope="module")
def procedural(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    return build(make_brain(), path, synapses="procedural", **SMALL)


def same_synapses(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def in_edges(network, start=0, stop=None):
    edges = network.synapses.in_edges(start, network.n_neurons if stop is None else stop)
    return edges.indptr, edges.source, edges.weight


@given(chunk=st.integers(97, 5000), data=st.data())
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_stored_equals_procedural_equals_lazy_for_any_chunks(procedural, tmp_path, chunk, data):
    path = tmp_path / "brain.zarr"
    stored = build(make_brain(), path, chunk=chunk, overwrite=True, **SMALL)
    assert (stored.summary()["synapses_are"], procedural.summary()["synapses_are"]) == (
        "stored", "procedural",
    )  # fmt: skip
    assert "synapse" not in dict(zarr.open_group(procedural.path, mode="r").members())
    meant = in_edges(procedural)
    same_synapses(in_edges(stored), meant)
    same_synapses(dask.compute(*stored.synapse_arrays()), meant[1:])
    same_synapses(dask.compute(*synapses_module.lazy(stored.synapses.recipe, chunk)), meant[1:])
    start = data.draw(st.integers(0, stored.n_neurons - 1))
    stop = data.draw(st.integers(start, stored.n_neurons))
    same_synapses(in_edges(stored, start, stop), in_edges(procedural, start, stop))
    assert stored.n_synapses == procedural.n_synapses == meant[1].size
    assert stored.synapses.largest_degree == procedural.synapses.largest_degree == 10


def test_lazy_arrays_compute_nothing_until_asked(procedural, stored):
    seen = []
    with dask.config.set(
        scheduler=lambda graph, keys, **kw: seen.append(keys) or dask.get(graph, keys)
    ):
        for network in (procedural, stored):
            source, weight = network.synapse_arrays()
            assert source.shape == (network.n_synapses,)
            assert weight.shape == (network.n_synapses, 2)
        assert not seen
        source[:3].compute()
        assert seen


def test_the_cluster_builds_the_same_store(stored, tmp_path):
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as
        cluster, Client(cluster) as client,
    ):  # fmt: skip
        built = build(make_brain(), tmp_path / "there.zarr", chunk=CHUNK, client=client, **SMALL)
        same_arrays(stored.path, built.path)
        future = client.submit(lambda n: n.synapses.in_edges(0, 9).source.tolist(), built)
        assert future.result() == in_edges(stored, 0, 9)[1].tolist()


def test_what_was_given_is_what_is_opened(tmp_path):
    brain = make_brain()
    values = {"g_ampa": np.linspace(0.001, 0.002, 6), "tau_nmda": 55.0}
    built = build(brain, tmp_path / "brain.zarr", parameters=values, **SMALL)
    opened = open_network(str(tmp_path / "brain.zarr"))
    for network in (built, opened):
        np.testing.assert_array_equal(network.parameters.population["g_ampa"], values["g_ampa"])
        assert (network.parameters.population["tau_nmda"] == 55.0).all()
        assert (network.parameters.population["c"] == PARAMETERS["c"].default).all()
        assert network.labels == tuple(brain.label.values)
        assert network.population_labels[:3] == ["region 0 E", "region 0 I", "region 1 E"]
        meant = make_network(neurons=300, degree=10, seed=5).populations
        for name in ("voxel", "slot", "excitatory", "size", "degree"):
            np.testing.assert_array_equal(
                getattr(network.populations, name), getattr(meant, name), err_msg=name
            )
        assert (network.populations.matrix() != meant.matrix()).nnz == 0
    group = zarr.open_group(built.path, mode="r")
    np.testing.assert_array_equal(group["voxel/grey_matter"][:], brain.grey_matter.values)
    for name, array in group.members(None):
        if isinstance(array, zarr.Array):
            assert array.attrs["units"], name
            assert array.attrs["long_name"], name
            assert array.metadata.dimension_names, name


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"neurons": 1e12}, {"neurons": 10}, {"degree": -1}, {"degree": 1000}, {"layout": "columns"},
        {"seed": -1}, {"seed": 2**64}, {"seed": 0.5}, {"seed": "seven"}, {"synapses": "both"},
        {"chunk": 0}, {"chunk": -8}, {"chunk": 2.5}, {"parameters": {"g_xyz": 1}},
        {"parameters": {"c": 0.0}},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_value_is_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(InputError, match=next(iter(wrong.get("parameters", wrong)))):
        build(make_brain(), tmp_path / "brain.zarr", **{**SMALL, **wrong})
    assert not (tmp_path / "brain.zarr").exists()


def test_numbers_of_numpy_are_numbers(tmp_path):
    numbers = {"neurons": np.int64(300), "degree": np.uint16(10), "seed": np.uint64(5)}
    built = build(make_brain(), tmp_path / "brain.zarr", chunk=np.int32(CHUNK), **numbers)
    same_synapses(in_edges(built), in_edges(make_network(neurons=300, degree=10, seed=5)))


# What is at the path already


def test_another_directory_or_file_is_left_untouched(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"dear to somebody")
    (tmp_path / "file").write_text("dear too")
    group = schema.create_store(tmp_path / "recording", "recording", {})
    schema.commit(group)
    before = contents(tmp_path)
    for name in ("photos", "file", "recording"):
        for overwrite in (False, True):
            with pytest.raises(StoreExistsError, match="left untouched"):
                build(make_brain(), tmp_path / name, overwrite=overwrite, **SMALL)
    assert contents(tmp_path) == before


def test_a_network_is_replaced_only_when_asked(stored, tmp_path):
    path, before = tmp_path / "brain.zarr", contents(tmp_path / "brain.zarr")
    for seed in (5, 6):
        with pytest.raises(StoreExistsError, match="pass overwrite"):
            build(make_brain(), path, chunk=CHUNK, **{**SMALL, "seed": seed})
    assert contents(path) == before
    assert build(make_brain(), path, overwrite=True, **{**SMALL, "seed": 6}).attributes["seed"] == 6
    assert not np.array_equal(in_edges(open_network(path))[1], in_edges(make_network(seed=5))[1])


# Interrupted builds


class Interruption(Exception):
    """What befalls a build."""


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """Path of a build that broke off in its third chunk."""
    write, calls = synapses_module.write_chunk, []

    def failing(path, recipe, chunk, start):
        calls.append(start)
        if len(calls) == 3:
            raise Interruption
        return write(path, recipe, chunk, start)

    failing.__name__ = write.__name__
    path = tmp_path / "broken.zarr"
    with monkeypatch.context() as patch, dask.config.set(num_workers=1):
        patch.setattr(build_module, "write_chunk", failing)
        with pytest.raises(Interruption):
            build(make_brain(), path, chunk=CHUNK, **SMALL)
    return path


def test_an_interrupted_build_is_refused_by_name_and_the_same_call_resumes_it(interrupted, stored):
    there = chunk_files(interrupted) + chunk_files(interrupted, "weight")
    assert 0 < len(there) < 2 * len(chunk_files(interrupted.parent / "brain.zarr"))
    with pytest.raises(StoreError, match=r"never completed.*chunks.*same command again to resume"):
        open_network(interrupted)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in there}
    build(make_brain(), interrupted, chunk=CHUNK, **SMALL)
    same_arrays(interrupted, stored.path)
    for p in there:
        assert (p.stat().st_mtime_ns, p.read_bytes()) == before[p]


def test_a_build_without_its_last_mark_is_resumed(stored):
    """Killed after the last chunk, or between a chunk of sources and that of its weights."""
    path = Path(stored.path)
    meant = arrays(path)
    schema.update_root(zarr.open_group(path, mode="r+"), status="writing")
    chunk_files(path)[0].unlink()
    chunk_files(path, "weight")[-1].unlink()
    with pytest.raises(StoreError, match="never completed"):
        open_network(path)
    build(make_brain(), path, chunk=CHUNK, **SMALL)
    for name, values in arrays(path).items():
        np.testing.assert_array_equal(values, meant[name], err_msg=name)
    open_network(path)


@pytest.mark.parametrize("tables", [0, 1, 5, 20])
def test_a_build_that_broke_off_among_the_tables_is_resumed(stored, tmp_path, monkeypatch, tables):
    write, calls = schema.write, []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) > tables:
            raise Interruption
        write(*arguments)

    path = tmp_path / "broken.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "write", failing)
        with pytest.raises(Interruption):
            build(make_brain(), path, chunk=CHUNK, **SMALL)
    build(make_brain(), path, chunk=CHUNK, **SMALL)
    same_arrays(path, stored.path)
    open_network(path)


@pytest.mark.parametrize(
    "other",
    [{"seed": 6}, {"neurons": 301}, {"degree": 11}, {"chunk": 700}, {"parameters": {"g_l": 0.03}},
     {"synapses": "procedural"}, {"brain": make_brain(3, seed=1)}],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_another_build_does_not_touch_an_interrupted_one(interrupted, other):
    before = contents(interrupted)
    arguments = {"brain": make_brain(), "chunk": CHUNK, **SMALL, **other}
    with pytest.raises(StoreExistsError, match="left untouched"):
        build(path=interrupted, **arguments)
    assert contents(interrupted) == before


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


def test_tables_that_contradict_the_recipe_are_refused(stored, tmp_path):
    group = zarr.open_group(tmp_path / "brain.zarr", mode="r+")
    group["population/parameter/g_l"][0] = 0.026
    with pytest.raises(StoreError, match="checksum"):
        open_network(stored.path)


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
