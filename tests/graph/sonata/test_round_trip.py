"""What is exported comes back: synapses, parameters and populations are equal, bit by bit."""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import FOUR, drawn_populations, make_brain, make_network
from sonata import InMemory

from dtbdask.errors import InputFileError
from dtbdask.graph.build import build
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import PARAMETERS, Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.sonata import arrays as sonata_arrays
from dtbdask.graph.sonata import importing as sonata_import
from dtbdask.graph.sonata.exporting import export_sonata
from dtbdask.graph.sonata.importing import import_sonata
from dtbdask.graph.synapses import Held, Procedural
from dtbdask.graph.wiring import InEdges, Recipe


def there_and_back(network, folder, **more):
    config = export_sonata(network, folder / "sonata", overwrite=True)
    return import_sonata(config, folder / "back.zarr", overwrite=True, **more)


def same(one, other):
    """Whether two networks are the same; said by assertions."""
    n = one.n_neurons
    assert (n, one.n_synapses) == (other.n_neurons, other.n_synapses)
    ours, theirs = (network.wiring.in_edges(0, n) for network in (one, other))
    for name in ("indptr", "source", "weight"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
        assert getattr(ours, name).dtype == getattr(theirs, name).dtype
    assert one.wiring.weight_scale == other.wiring.weight_scale
    for name in ("voxel", "slot", "excitatory", "size", "first"):
        np.testing.assert_array_equal(
            getattr(one.populations, name), getattr(other.populations, name), err_msg=name
        )
    assert one.labels == other.labels
    assert one.population_labels == other.population_labels
    for which in ("population", "neuron"):
        values, back = (getattr(network.parameters, which) for network in (one, other))
        assert set(values) == set(back)
        for name in values:
            np.testing.assert_array_equal(values[name], back[name], err_msg=name)


finite = st.floats(-1e6, 1e6)
bounded = {
    name: st.integers(0, 1) if spec.whole else st.floats(max(spec.low, -1e6), min(spec.high, 1e6))
    for name, spec in PARAMETERS.items()
}
bounded |= {"v_th": st.floats(-50, 1e3), "v_reset": st.floats(-1e3, -50.5)}


@st.composite
def drawn_parameters(draw, populations):
    """Any values, for populations and for single neurons."""
    n, n_neurons = populations.size.size, populations.n_neurons
    names = st.lists(st.sampled_from(sorted(bounded)), max_size=4, unique=True)
    values = {name: draw(st.lists(bounded[name], min_size=n, max_size=n)) for name in draw(names)}
    own = {
        name: draw(st.lists(bounded[name], min_size=n_neurons, max_size=n_neurons))
        for name in draw(names)
    }
    return Parameters.make(n, values).with_neuron(own, n_neurons)


@st.composite
def irregular(draw):
    """Populations and synapses of no recipe: in-degrees from none, weights of either kind."""
    size = np.array(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)), np.int64)
    n = int(size.sum())
    degree = np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)), np.int64)
    kind = draw(st.sampled_from([np.uint8, np.uint32]))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum(degree)])
    high = 2 ** (8 if kind == np.uint8 else 24)
    edges = InEdges(
        indptr, rng.integers(0, n, indptr[-1], np.uint32),
        rng.integers(0, high, (indptr[-1], 2)).astype(kind),
    )  # fmt: skip
    populations = Populations.bare(
        np.arange(size.size) // 2, np.arange(size.size) % 2, rng.random(size.size) < 0.5, size,
        [int(part.max()) for part in np.split(degree, np.cumsum(size)[:-1])],
    )  # fmt: skip
    return populations, Held(edges, draw(st.floats(1e-9, 1e3)))


@st.composite
def networks(draw):
    if draw(st.booleans()):
        populations, synapses = draw(irregular())
    else:
        populations = draw(drawn_populations())
        synapses = Procedural(Recipe.make(populations, draw(st.integers(0, 2**64 - 1))))
    parameters = draw(drawn_parameters(populations))
    text = st.text(st.characters(codec="utf-8"), max_size=8)
    n_voxels = int(populations.voxel.max()) + 1
    labels = draw(st.lists(text, min_size=n_voxels, max_size=n_voxels))
    slots = draw(st.lists(text, min_size=2, max_size=3))
    return Network(populations, parameters, synapses, tuple(labels), {"slots": slots})


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks(), st.integers(4, 50))
def test_any_network_comes_back_in_any_stretches(network, at_once):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(sonata_arrays, "EDGES_AT_ONCE", at_once)
        patch.setattr(sonata_import, "EDGES_AT_ONCE", at_once + 1)
        patch.setattr(sonata_import, "create_import", InMemory)
        same(network, there_and_back(network, Path(folder)))


@pytest.mark.parametrize("wide", [False, True])
def test_a_network_of_our_own_comes_back_with_its_in_degrees(tmp_path, wide):
    drift = np.linspace(-70, -60, 597)
    network = make_network(wide=wide, neuron={"v_l": drift}, **FOUR)
    back = there_and_back(network, tmp_path, chunk=97)
    same(network, back)
    np.testing.assert_array_equal(back.populations.degree, network.populations.degree)
    assert back.attributes["delay_ms"] == [1.0, 1.0]
    same(back, there_and_back(back, tmp_path / "again"))


def test_a_built_network_comes_back_and_tells_where_it_came_from(tmp_path):
    network = build(make_brain(), tmp_path / "built.zarr", neurons=300, degree=10, seed=5)
    back = there_and_back(network, tmp_path)
    same(network, back)
    assert back.attributes["source"] == "SONATA sonata (of a test)"


def test_axonal_delays_go_out_and_are_told_when_they_come_back(tmp_path, caplog):
    brain = make_brain()
    length = np.array([[0, 7, 40], [7, 0, 21.4], [39.6, 21.6, 0]])
    brain["tract_length"] = (("voxel", "voxel_source"), length)
    network = build(brain, tmp_path / "built.zarr", neurons=300, degree=30, seed=5, speed=10.0)
    back = there_and_back(network, tmp_path)
    same(network, back)
    assert back.attributes["delay_ms"] == [1.0, 4.0]
    assert "delays of 1 to 4 ms are not kept" in caplog.text
    edges = network.wiring.in_edges(0, network.n_neurons)
    voxel = np.repeat(network.populations.voxel, network.populations.size)
    target = np.repeat(voxel, np.diff(edges.indptr))
    steps = np.maximum(np.rint(length / 10), 1)[target, voxel[edges.source]]
    with h5py.File(tmp_path / "sonata" / "network" / "edges.h5") as file:
        np.testing.assert_array_equal(file["edges/brain_to_brain/0/delay"][...], steps)


def test_read_as_nest_would_it_is_the_same_but_for_what_nest_lacks(tmp_path):
    network = make_network(g_nmda=0.001, ou_mean=0.25, i_ext=0.5, ou_sigma=0.0)
    config = export_sonata(network, tmp_path / "sonata")
    config.write_text(config.read_text().replace('"dtbdask":', '"was":'))
    back = import_sonata(config, tmp_path / "back.zarr")
    ours, theirs = (x.wiring.in_edges(0, x.n_neurons) for x in (network, back))
    np.testing.assert_array_equal(ours.indptr, theirs.indptr)
    np.testing.assert_array_equal(ours.source, theirs.source)
    assert not theirs.weight[:, 1].any()
    source = np.repeat(network.populations.excitatory, network.populations.size)[ours.source]
    conductance = np.where(source, 0.002, 0.01)  # per weight; in NEST it is in the weight
    np.testing.assert_allclose(
        theirs.weight[:, 0] * back.wiring.weight_scale / 1000,
        ours.weight[:, 0] / 255 * conductance, rtol=1e-7, atol=back.wiring.weight_scale / 2000,
    )  # fmt: skip
    assert back.wiring.weight_scale < 1e-6
    values = back.parameters.population
    assert values["i_ext"].tolist() == [0.75] * 6
    for name in ("c", "g_l", "v_l", "v_th", "v_reset", "t_ref", "e_gaba_a", "tau_gaba_a"):
        np.testing.assert_allclose(values[name], network.parameters.population[name], rtol=1e-12)


# damage


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A network, and the folder it was exported to."""
    network = make_network(
        voxels=1, neurons=20, degree=3, neuron={"v_l": np.linspace(-70, -60, 20)}
    )
    folder = tmp_path_factory.mktemp("small")
    export_sonata(network, folder / "sonata")
    return network, folder


def reread(small, path, content):
    """Import with other bytes in one of the files; the file is mended afterwards."""
    network, folder = small
    whole = path.read_bytes()
    path.write_bytes(content(whole))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sonata_import, "create_import", InMemory)
            config = folder / "sonata" / "circuit_config.json"
            same(network, import_sonata(config, folder / "back.zarr"))
    except InputFileError as error:
        return str(error)
    finally:
        path.write_bytes(whole)
    return None


@pytest.mark.parametrize("name", ["nodes.h5", "edges.h5", "node_types.csv", "edge_types.csv"])
def test_a_file_cut_anywhere_is_told(small, name):
    path = small[1] / "sonata" / "network" / name
    size = path.stat().st_size
    for keep in np.linspace(0, size * 0.9, 15).astype(int):
        told = reread(small, path, lambda whole, keep=keep: whole[:keep])
        assert told is not None, keep
        assert str(small[1]) in told


@pytest.mark.parametrize("name", ["nodes.h5", "edges.h5"])
def test_a_flipped_byte_never_gives_another_network(small, name):
    path = small[1] / "sonata" / "network" / name
    size, told = path.stat().st_size, 0
    for place in np.random.default_rng(1).integers(0, size, 80):

        def flip(whole, place=place):
            return whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]

        told += reread(small, path, flip) is not None
    assert told > 3


def test_columns_of_ours_that_disagree_are_told(small):
    folder = small[1] / "sonata"
    table, marks = folder / "network" / "node_types.csv", folder / "dtbdask.json"
    for path, old, new, told in [
        (table, " 0 1\n", " 0 2\n", r"dtbdask_slot of node_type_id 101 is '2'; expected 0 to 1"),
        (table, " 0 1\n", " -1 1\n", "dtbdask_voxel of node_type_id 101 is '-1'"),
        (marks, '"uint8"', '"uint32"', "weight_fast has dtype uint8, but weight_dtype .* uint32"),
        (marks, '"uint8"', '"float32"', "weight_dtype is 'float32'; expected uint8 or uint32"),
        (marks, '"weight_scale": 0', '"weight_scale": -0', "weight_scale is -0.0039"),
        (marks, '"weight_scale"', '"scale"', "weight_scale is None"),
        (marks, '"format": 1', '"format": 2', "format 2; this version reads 'sonata' up to 1"),
        (marks, '"kind": "sonata"', '"kind": 3', "is of kind 3"),
        (marks, '"labels": [', '"labels": [1, ', "labels of its dtbdask file is not a list"),
    ]:
        message = reread(
            small, path, lambda whole, old=old, new=new: whole.replace(old.encode(), new.encode())
        )
        assert message is not None, new
        with pytest.raises(InputFileError, match=told):
            raise InputFileError(message)
