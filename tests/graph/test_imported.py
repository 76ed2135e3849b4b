"""An imported network is stored as it comes, however it comes, or refused in words."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_brain
from stores import chunk_files, contents, in_edges, lazily, same_arrays, same_synapses

from dtbdask import schema
from dtbdask.errors import InputError, StoreError, StoreExistsError
from dtbdask.graph.build import build
from dtbdask.graph.imported import create_import
from dtbdask.graph.network import open_network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.synapses import Imported

SIZE = np.array([5, 4, 3], np.int64)
N = 12
ABOUT = {"source": "of a test", "slots": ["E", "I"]}


def begin(path, degree, *, dtype=np.uint8, parameters=None, **options):
    """Writer of a network of three populations in two voxels."""
    populations = Populations.bare(
        np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([True, False, True]), SIZE,
        [max(degree, default=0)] * 3,
    )  # fmt: skip
    options = {"attributes": ABOUT, "weight_scale": 0.25, "labels": ["left", "right"], **options}
    parameters = Parameters.make(3) if parameters is None else parameters
    return create_import(path, populations, parameters, in_degree=degree, weight_dtype=dtype,
                         **options)  # fmt: skip


def synapses_of(degree, seed=0, dtype=np.uint8):
    rng = np.random.default_rng(seed)
    n = int(np.sum(degree))
    weight = rng.integers(1, np.iinfo(dtype).max, (n, 2), dtype, endpoint=True)
    return rng.integers(0, N, n, np.uint32), weight


DEGREES = st.lists(st.integers(0, 9), min_size=N, max_size=N)


@given(degree=DEGREES, dtype=st.sampled_from([np.uint8, np.uint32]), chunk=st.integers(1, 60),
       cuts=st.lists(st.integers(0, 200), max_size=8), data=st.data())  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_what_is_appended_in_any_lengths_is_read_in_any_range(
    tmp_path_factory, degree, dtype, chunk, cuts, data
):
    path = tmp_path_factory.mktemp("import") / "net.zarr"
    source, weight = synapses_of(degree, chunk, dtype)
    writer = begin(path, degree, dtype=dtype, chunk=chunk)
    bounds = sorted([0, *(cut % (source.size + 1) for cut in cuts), source.size])
    for low, high in pairwise(bounds):
        writer.append(source[low:high], weight[low:high])
    network = writer.finish()
    indptr = np.concatenate([[0], np.cumsum(degree)])
    same_synapses(in_edges(network), (indptr, source, weight))
    start = data.draw(st.integers(0, N - 1))
    stop = data.draw(st.integers(start, N))
    here = slice(indptr[start], indptr[stop])
    part = (indptr[start : stop + 1] - indptr[start], source[here], weight[here])
    same_synapses(in_edges(network, start, stop), part)
    same_synapses(lazily(network), (source, weight))
    assert (network.n_neurons, network.n_synapses) == (N, source.size)
    synapses = network.wiring
    assert isinstance(synapses, Imported)
    assert (synapses.largest_degree, synapses.weight_scale) == (max(degree), 0.25)
    assert synapses.weight_dtype == dtype
    if source.size:
        chunks = zarr.open_group(path, mode="r")["synapse/source"].chunks
        assert chunks == (min(chunk, source.size),)


DEGREE = [3, 0, 2, 4, 1, 0, 0, 5, 2, 2, 1, 4]


def written(path, **options):
    writer = begin(path, DEGREE, chunk=7, **options)
    writer.append(*synapses_of(DEGREE))
    return writer.finish()


def test_the_store_tells_of_itself_and_opens_equal(tmp_path):
    values = Parameters.make(3, {"g_ampa": [0.1, 0.2, 0.3], "excluded": [0, 1, 0]})
    values = values.with_neuron({"v_th": np.linspace(-50, -45, N), "c": 0.6}, N)
    made = written(tmp_path / "net.zarr", parameters=values, attributes={**ABOUT, "note": "more"})
    for network in (made, open_network(tmp_path / "net.zarr"), pickle.loads(pickle.dumps(made))):
        same_synapses(in_edges(network), in_edges(made))
        assert network.labels == ("left", "right")
        assert network.population_labels == ["left E", "left I", "right E"]
        populations = network.populations
        np.testing.assert_array_equal(populations.size, SIZE)
        assert populations.voxel.tolist() == [0, 0, 1]
        assert populations.excitatory.tolist() == [True, False, True]
        assert populations.matrix().nnz == 0
        assert populations.degree.tolist() == [5, 5, 5]
        for name in values:
            np.testing.assert_array_equal(network.parameters.population[name],
                                          values.population[name])  # fmt: skip
        assert set(network.parameters.neuron) == {"v_th", "c"}
        np.testing.assert_array_equal(network.parameters.neuron["v_th"], values.neuron["v_th"])
        about = network.attributes
        assert (about["source"], about["note"], about["layout"]) == (
            "of a test", "more", "imported",
        )  # fmt: skip
        assert network.summary()["synapses_are"] == "imported"
        assert "imported" in repr(network)
    assert len(pickle.dumps(made)) < 500


def test_scripted_spikes_are_stored(tmp_path):
    made = written(tmp_path / "net.zarr", sources=([0, 3, 3], [11, 0, 7]))
    group = zarr.open_group(made.path, mode="r")
    assert group["spike_source/step"][:].tolist() == [0, 3, 3]
    assert group["spike_source/neuron"][:].tolist() == [11, 0, 7]
    assert group["spike_source/neuron"].dtype == np.int64
    plain = written(tmp_path / "plain.zarr")
    assert "spike_source" not in zarr.open_group(plain.path, mode="r")


@pytest.mark.parametrize("what", ["source", "weight", "both", "none"])
def test_chunks_of_zeros_are_stored(tmp_path, what):
    """Neuron 0 may be all that is heard, and with a weight of zero."""
    source, weight = synapses_of(DEGREE)
    if what in ("source", "both"):
        source[7:21] = 0
    if what in ("weight", "both"):
        weight[7:21] = 0
    writer = begin(tmp_path / "net.zarr", DEGREE, chunk=7)
    writer.append(source, weight)
    same_synapses(in_edges(writer.finish())[1:], (source, weight))


def test_a_network_without_synapses_is_a_network(tmp_path):
    made = begin(tmp_path / "net.zarr", [0] * N).finish()
    assert made.n_synapses == made.wiring.largest_degree == 0
    assert in_edges(made, 3, 9)[0].tolist() == [0] * 7
    assert made.synapses["weight"].shape == (0, 2)


def test_what_is_written_so_far_is_whole_chunks(tmp_path):
    source, weight = synapses_of(DEGREE)
    writer = begin(tmp_path / "net.zarr", DEGREE, chunk=7)
    for count, chunks in [(6, 0), (1, 1), (16, 3), (0, 3), (1, 3)]:
        writer.append(source[:count], weight[:count])
        source, weight = source[count:], weight[count:]
        for name in ("source", "weight"):
            assert len(chunk_files(tmp_path / "net.zarr", name)) == chunks
    with pytest.raises(StoreError, match="never completed"):
        open_network(tmp_path / "net.zarr")
    assert writer.finish().n_synapses == 24


# What is refused


def test_more_synapses_than_the_in_degrees_make_are_refused(tmp_path):
    source, weight = synapses_of(DEGREE)
    writer = begin(tmp_path / "net.zarr", DEGREE, chunk=7)
    writer.append(source[:20], weight[:20])
    told = r"net\.zarr: 5 synapses .* after 20; the in-degrees make 24"
    with pytest.raises(InputError, match=told):
        writer.append(source[:5], weight[:5])
    writer.append(source[20:], weight[20:])
    same_synapses(in_edges(writer.finish())[1:], (source, weight))


@pytest.mark.parametrize("count", [0, 1, 7, 23])
def test_fewer_synapses_than_the_in_degrees_make_are_refused(tmp_path, count):
    source, weight = synapses_of(DEGREE)
    writer = begin(tmp_path / "net.zarr", DEGREE, chunk=7)
    writer.append(source[:count], weight[:count])
    with pytest.raises(InputError, match=rf"got {count} synapses; the in-degrees make 24"):
        writer.finish()
    with pytest.raises(StoreError, match="never completed"):
        open_network(tmp_path / "net.zarr")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s, w: (s, w[:-1]), r"24 synapses with weights of shape \(23, 2\)"),
        (lambda s, w: (s, w[:, :1]), r"weights of shape \(24, 1\)"),
        (lambda s, w: (s, w[:, 0]), r"weights of shape \(24,\)"),
        (lambda s, w: (s + np.uint32(N), w), r"source.* 12 neurons"),
        (lambda s, w: (s, w.astype(np.uint32) + 250), "weight.* uint8"),
    ],
    ids=["fewer", "one column", "flat", "beyond", "too wide"],
)
def test_synapses_that_would_not_be_stored_as_they_are_are_refused(tmp_path, change, told):
    writer = begin(tmp_path / "net.zarr", DEGREE, chunk=7)
    with pytest.raises(InputError, match=rf"net\.zarr: .*{told}"):
        writer.append(*change(*synapses_of(DEGREE)))


@pytest.mark.parametrize(
    ("degree", "options", "told"),
    [
        ([1] * (N - 1), {}, r"in_degree has .*11.*12"),
        ([1] * (N - 1) + [-1], {}, "in_degree .*-1"),
        (DEGREE, {"chunk": 0}, "chunk is 0"),
    ],
    ids=["short", "negative", "chunk"],
)  # fmt: skip
def test_an_import_that_makes_no_sense_is_refused_before_anything_is_written(
    tmp_path, degree, options, told
):
    with pytest.raises(InputError, match=told):
        begin(tmp_path / "net.zarr", degree, **options)
    assert not (tmp_path / "net.zarr").exists()


# What is at the path already


def test_a_network_is_replaced_only_when_asked_and_anything_else_never(tmp_path):
    path = tmp_path / "net.zarr"
    build(make_brain(), path, neurons=300, degree=10, synapses="procedural")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"dear to somebody")
    schema.commit(schema.create_store(tmp_path / "recording", "recording", {}))
    before = contents(tmp_path)
    with pytest.raises(StoreExistsError, match="pass overwrite"):
        begin(path, DEGREE)
    for name in ("photos", "recording"):
        for overwrite in (False, True):
            with pytest.raises(StoreExistsError, match="left untouched"):
                begin(tmp_path / name, DEGREE, overwrite=overwrite)
    assert contents(tmp_path) == before
    written(path, overwrite=True)
    written(tmp_path / "other.zarr")
    same_arrays(path, tmp_path / "other.zarr")


def test_an_import_that_broke_off_is_replaced_only_when_asked(tmp_path):
    writer = begin(tmp_path / "net.zarr", DEGREE, chunk=7)
    writer.append(*(values[:8] for values in synapses_of(DEGREE)))
    with pytest.raises(StoreExistsError, match="pass overwrite"):
        written(tmp_path / "net.zarr")
    assert written(tmp_path / "net.zarr", overwrite=True).n_synapses == 24


@pytest.mark.parametrize("name", ["population/size", "population/excitatory",
                                  "population/parameter/g_l"])  # fmt: skip
def test_tables_that_were_changed_are_refused(tmp_path, name):
    path = written(tmp_path / "net.zarr").path
    array = zarr.open_group(path, mode="r+")[name]
    array[1] = not array[1] if array.dtype == bool else array[1] + array.dtype.type(1)
    with pytest.raises(StoreError, match=r"net\.zarr"):
        open_network(path)
