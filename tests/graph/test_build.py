"""A network is built the same stored, procedural or lazy, whole or interrupted, of any layout."""

import json
import shutil
from pathlib import Path

import dask
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_brain, make_network
from stores import chunk_files, contents, in_edges, lazily, same_arrays, same_synapses

from dtbdask import schema
from dtbdask.errors import InputError, StoreError, StoreExistsError
from dtbdask.graph import build as build_module
from dtbdask.graph import synapses as synapses_module
from dtbdask.graph.build import build
from dtbdask.graph.layouts import LAYOUTS, Motif, describe
from dtbdask.graph.network import open_network
from dtbdask.graph.parameters import PARAMETERS
from dtbdask.graph.population import populate
from dtbdask.graph.wiring import Recipe

SMALL = {"neurons": 300, "degree": 10, "seed": 5}
CHUNK = 800
"""Divides neither the in-degrees nor the 2,970 synapses or so."""
LARGER = {"neurons": 900, "degree": 5, "seed": 5}
"""As many for layouts of more populations."""


def whole_brain():
    """Cortex, subcortex and cortex, 20 mm apart."""
    return make_brain().assign(
        is_cortex=("voxel", [True, False, True]),
        tract_length=(("voxel", "voxel_source"), np.full((3, 3), 20.0)),
    )


OWN = Motif.from_counts(("P", "B"), (True, False), (7, 3), ((3, 1, 4), (2, 5, 1)), ("P",))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    return build(make_brain(), path, chunk=CHUNK, **SMALL)


@pytest.fixture
def copied(stored, tmp_path):
    """Path of a store that a test may change."""
    return shutil.copytree(stored.path, tmp_path / "brain.zarr")


@pytest.fixture(scope="module", params=["voxel", "column", "mixed"])
def procedural(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    about = {"layout": request.param, "synapses": "procedural", "weights": (3, 200)}
    return build(whole_brain(), path, **about, **LARGER)


@given(chunk=st.integers(97, 5000), data=st.data())
@settings(max_examples=3, deadline=None)
def test_stored_equals_procedural_equals_lazy_for_any_chunks(
    procedural, tmp_path_factory, chunk, data
):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    about = {"layout": procedural.attributes["layout"], "weights": (3, 200)}
    stored = build(whole_brain(), path, chunk=chunk, **about, **LARGER)
    assert (stored.summary()["synapses_are"], procedural.summary()["synapses_are"]) == (
        "stored", "procedural",
    )  # fmt: skip
    assert "synapse" not in dict(zarr.open_group(procedural.path, mode="r").members())
    meant = in_edges(procedural)
    same_synapses(in_edges(stored), meant)
    same_synapses(lazily(stored), meant[1:])
    same_synapses(dask.compute(*synapses_module.lazy(stored.wiring.recipe, chunk)), meant[1:])
    start = data.draw(st.integers(0, stored.n_neurons - 1))
    stop = data.draw(st.integers(start, stored.n_neurons))
    same_synapses(in_edges(stored, start, stop), in_edges(procedural, start, stop))
    assert stored.n_synapses == procedural.n_synapses == meant[1].size
    assert stored.n_synapses == stored.populations.n_synapses
    largest = int(stored.populations.degree.max())
    assert stored.wiring.largest_degree == procedural.wiring.largest_degree == largest


@pytest.mark.parametrize("layout", ["column", "mixed", OWN], ids=["column", "mixed", "own"])
def test_a_store_keeps_the_populations_and_says_their_layout(tmp_path, layout):
    brain, path = whole_brain(), tmp_path / "brain.zarr"
    built = build(brain, path, layout=layout, speed=0.4, synapses="procedural", **LARGER)
    meant = populate(brain, 900, 5, layout, speed=0.4)
    for network in (built, open_network(path)):
        made = network.populations
        for name in ("voxel", "slot", "excitatory", "size", "degree"):
            np.testing.assert_array_equal(getattr(made, name), getattr(meant, name), err_msg=name)
        for name, values in vars(meant.mixture).items():
            np.testing.assert_array_equal(getattr(made.mixture, name), values, err_msg=name)
            assert getattr(made.mixture, name).dtype == values.dtype
        assert (made.mixture.far_delay == 50).all()
        about = network.attributes
        assert about["layout"] == (layout if isinstance(layout, str) else _json(describe(layout)))
        plan = LAYOUTS[layout] if isinstance(layout, str) else None
        slots = plan.slots if plan else OWN.slots
        assert tuple(about["slots"]) == network.slots == slots
        assert tuple(about["dtb_slots"]) == (plan.dtb_slots if plan else (0, 1))
        assert about["speed"] == 0.4
        names = [f"region {v} {slots[k]}" for v, k in zip(made.voxel, made.slot, strict=True)]
        assert network.population_labels == names
    group = zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(group["mixture/far_delay"][:], meant.mixture.far_delay)
    np.testing.assert_array_equal(group["voxel/is_cortex"][:], brain.is_cortex.values)


def _json(value):
    return json.loads(json.dumps(value))


def test_the_cluster_builds_the_same_store(stored, tmp_path):
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as
        cluster, Client(cluster) as client,
    ):  # fmt: skip
        built = build(make_brain(), tmp_path / "there.zarr", chunk=CHUNK, client=client, **SMALL)
        same_arrays(stored.path, built.path)
        future = client.submit(lambda n: n.wiring.in_edges(0, 9).source.tolist(), built)
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"neurons": 1e12}, {"neurons": 10}, {"degree": -1}, {"degree": 1000}, {"layout": "columns"},
        {"seed": -1}, {"seed": 2**64}, {"seed": 0.5}, {"seed": "seven"}, {"synapses": "both"},
        {"chunk": 0}, {"chunk": -8}, {"chunk": 2.5}, {"parameters": {"g_xyz": 1}},
        {"parameters": {"c": 0.0}}, {"layout": "mixed"}, {"min_size": -1}, {"weights": (9, 5)},
        {"weights": (0, 256)}, {"speed": 3.0},
        {"neuron_parameters": {"g_xyz": 1}}, {"gamma": {"g_xyz": 5.0}},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_value_is_refused_before_anything_is_written(tmp_path, wrong):
    [(name, value)] = wrong.items()
    told = next(iter(value)) if isinstance(value, dict) else name
    with pytest.raises(InputError, match=told):
        build(make_brain(), tmp_path / "brain.zarr", **{**SMALL, **wrong})
    assert not (tmp_path / "brain.zarr").exists()


def test_numbers_of_numpy_are_numbers(tmp_path):
    numbers = {"neurons": np.int64(300), "degree": np.uint16(10), "seed": np.uint64(5)}
    built = build(make_brain(), tmp_path / "brain.zarr", chunk=np.int32(CHUNK), **numbers)
    same_synapses(in_edges(built), in_edges(make_network(neurons=300, degree=10, seed=5)))
    more = {"speed": np.float32(10), "gamma": {"g_l": np.int64(5)}, "min_size": np.int8(20),
            "weights": np.array([3, 200])}  # fmt: skip
    built = build(whole_brain(), tmp_path / "more.zarr", synapses="procedural", **more, **numbers)
    assert (built.attributes["speed"], built.attributes["gamma"]) == (10, {"g_l": 5})


@pytest.mark.parametrize("one", [0, 255])
def test_weights_that_are_all_the_same_are_stored(tmp_path, one):
    built = build(make_brain(), tmp_path / "brain.zarr", chunk=CHUNK, weights=(one, one), **SMALL)
    assert (in_edges(built)[2] == one).all()
    recipe = Recipe.make(built.populations, 5)
    np.testing.assert_array_equal(in_edges(built)[1], recipe.wire(0, built.n_neurons).source)


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


def test_a_network_is_replaced_only_when_asked(copied, stored):
    before = contents(copied)
    for seed in (5, 6):
        with pytest.raises(StoreExistsError, match="pass overwrite"):
            build(make_brain(), copied, chunk=CHUNK, **{**SMALL, "seed": seed})
    assert contents(copied) == before
    built = build(make_brain(), copied, overwrite=True, **{**SMALL, "seed": 6})
    assert built.attributes["seed"] == 6
    assert not np.array_equal(in_edges(open_network(copied))[1], in_edges(stored)[1])


# Interrupted builds


class Interruption(Exception):
    """What befalls a build."""


def broken_off(path, monkeypatch, **arguments):
    """Path of a build that broke off in its third chunk."""
    write, calls = synapses_module.write_chunk, []

    def failing(path, recipe, chunk, start):
        calls.append(start)
        if len(calls) == 3:
            raise Interruption
        return write(path, recipe, chunk, start)

    failing.__name__ = write.__name__
    with monkeypatch.context() as patch, dask.config.set(num_workers=1):
        patch.setattr(build_module, "write_chunk", failing)
        with pytest.raises(Interruption):
            build(path=path, chunk=CHUNK, **arguments)
    return path


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "broken.zarr"
    with pytest.MonkeyPatch.context() as patch:
        return broken_off(path, patch, brain=make_brain(), **SMALL)


@pytest.mark.parametrize("layout", ["column", "mixed"])
def test_any_layout_resumes_to_the_same_store(tmp_path, monkeypatch, layout):
    """With delays and values of single neurons, in whatever order they are given."""
    arguments = {
        "brain": whole_brain(), "layout": layout, "speed": 0.4, "weights": (3, 200),
        "neuron_parameters": {"v_th": -49.0, "c": 0.6}, "gamma": {"g_nmda": 5.0, "g_ampa": 3.0},
        "parameters": {"g_nmda": 0.001}, **LARGER,
    }  # fmt: skip
    path = broken_off(tmp_path / "broken.zarr", monkeypatch, **arguments)
    there = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in chunk_files(path)}
    assert there
    build(path=path, chunk=CHUNK, **arguments)
    build(path=tmp_path / "whole.zarr", chunk=CHUNK, **arguments)
    same_arrays(path, tmp_path / "whole.zarr")
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in there} == there


@pytest.mark.parametrize(
    ("one", "other"),
    [({"g_ampa": 0.004}, {"g_ampa": 0.005}), ({"g_ampa": 0.004}, {"g_nmda": 0.004})],
    ids=["value", "name"],
)
def test_a_build_with_other_values_of_neurons_is_not_a_resumption(
    tmp_path, monkeypatch, one, other
):
    arguments = {"brain": make_brain(), **SMALL}
    path = broken_off(tmp_path / "broken.zarr", monkeypatch, neuron_parameters=one, **arguments)
    before = contents(path)
    with pytest.raises(StoreExistsError, match="left untouched"):
        build(path=path, chunk=CHUNK, neuron_parameters=other, **arguments)
    assert contents(path) == before


def test_an_interrupted_build_is_refused_by_name_and_the_same_call_resumes_it(
    interrupted, stored, tmp_path
):
    path = shutil.copytree(interrupted, tmp_path / "broken.zarr")
    there = chunk_files(path) + chunk_files(path, "weight")
    assert 0 < len(there) < 2 * len(chunk_files(Path(stored.path)))
    with pytest.raises(StoreError, match=r"never completed.*chunks.*same command again to resume"):
        open_network(path)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in there}
    build(make_brain(), path, chunk=CHUNK, **SMALL)
    same_arrays(path, stored.path)
    for p in there:
        assert (p.stat().st_mtime_ns, p.read_bytes()) == before[p]


def test_a_build_without_its_last_mark_is_resumed(copied, stored):
    """Killed after the last chunk, or between a chunk of sources and that of its weights."""
    schema.update_root(zarr.open_group(copied, mode="r+"), status="writing")
    chunk_files(copied)[0].unlink()
    chunk_files(copied, "weight")[-1].unlink()
    with pytest.raises(StoreError, match="never completed"):
        open_network(copied)
    build(make_brain(), copied, chunk=CHUNK, **SMALL)
    same_arrays(copied, stored.path)
    open_network(copied)


@pytest.mark.parametrize("tables", [0, 5, 20])
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
     {"layout": "homogeneous"}, {"min_size": 50}, {"weights": (0, 99)}, {"gamma": {"g_l": 5.0}},
     {"brain": whole_brain(), "speed": 2.0},
     {"synapses": "procedural"}, {"brain": make_brain(3, seed=1)}],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_another_build_does_not_touch_an_interrupted_one(interrupted, other):
    before = contents(interrupted)
    arguments = {"brain": make_brain(), "chunk": CHUNK, **SMALL, **other}
    with pytest.raises(StoreExistsError, match="left untouched"):
        build(path=interrupted, **arguments)
    assert contents(interrupted) == before
