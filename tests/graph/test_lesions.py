"""A lesion scales the weights between the chosen populations and nothing else, without copies."""

import dataclasses
import pickle
import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_brain, make_network

from dtbdask import schema
from dtbdask.errors import InputError
from dtbdask.graph.build import build
from dtbdask.graph.checking.digest import digest
from dtbdask.graph.planning.anatomy import Anatomy
from dtbdask.graph.population import populate
from dtbdask.graph.synapses import Held, Procedural
from dtbdask.graph.wiring import Recipe
from dtbdask.sim.session import Session

CHOICES = [None, "region 1", "E", "region 0 I", ["region 2", "region 0 E"], [4, 1]]
SCALES = [0.0, 0.3, 0.5, 1.0]


@pytest.fixture(scope="module")
def network():
    return make_network()


def edges_of(network):
    return network.wiring.in_edges(0, network.n_neurons)


def meant(network, *lesions):
    """Weights by the definition, edge by edge, from (source, target, scale) with masks."""
    edges, n = edges_of(network), network.n_neurons
    population = network.populations.population_of(0, n)
    target = np.repeat(population, np.diff(edges.indptr))
    scale = np.ones(edges.source.size)
    for source, heard, factor in lesions:
        scale[source[population[edges.source]] & heard[target]] *= factor
    return np.rint(edges.weight * scale[:, None]).astype(edges.weight.dtype)


def holding(network, weight):
    """The same network, with all its edges and these weights in memory."""
    edges = dataclasses.replace(edges_of(network), weight=weight)
    return dataclasses.replace(network, wiring=Held(edges, network.wiring.weight_scale))


def mask(network, chosen):
    excitatory = network.populations.excitatory
    known = {"region 1": [2, 3], "region 0 I": [1], "E": np.flatnonzero(excitatory)}
    made = np.zeros(6, bool)
    made[range(6) if chosen is None else [0, 4, 5] if "region 2" in chosen
         else known[chosen] if isinstance(chosen, str) else chosen] = True  # fmt: skip
    return made


@settings(deadline=None)
@given(
    drawn=st.lists(
        st.tuples(st.sampled_from(CHOICES), st.sampled_from(CHOICES), st.sampled_from(SCALES)),
        min_size=1, max_size=3,
    ),
    wide=st.booleans(),
    cuts=st.sets(st.integers(1, 590), max_size=4),
)  # fmt: skip
def test_weights_are_those_of_the_definition_for_any_lesions_and_ranges(drawn, wide, cuts):
    network = hurt = make_network(wide=wide)
    for source, target, scale in drawn:
        hurt = hurt.lesioned(source=source, target=target, scale=scale)
    masks = [(mask(network, s), mask(network, t), scale) for s, t, scale in drawn]
    weight, whole = meant(network, *masks), edges_of(hurt)
    np.testing.assert_array_equal(whole.weight, weight)
    np.testing.assert_array_equal(whole.source, edges_of(network).source)
    assert whole.weight.dtype == network.wiring.weight_dtype
    read, edges = hurt.wiring.forward(weights=True), [0, *sorted(cuts), network.n_neurons]
    parts = [read(low, high).weight.copy() for low, high in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), weight)


def test_scale_one_is_the_identity_and_lesions_of_any_order_are_the_same(network):
    same = network.lesioned(source="E", target="region 1", scale=1.0)
    assert digest(same) == digest(network)
    one = network.lesioned(source="E", scale=0.5).lesioned(target="region 1", scale=0.3)
    other = network.lesioned(target="region 1", scale=0.3).lesioned(source="E", scale=0.5)
    assert digest(one) == digest(other) != digest(network)


def test_the_weights_of_the_intact_network_stay_as_they_are(network):
    held = holding(network, edges_of(network).weight.copy())
    before = digest(held)
    hurt = held.lesioned()
    assert not edges_of(hurt).weight.any()
    assert digest(held) == before
    assert hurt.wiring.intact is held.wiring
    assert hurt.populations is held.populations


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_removed_projection_is_silent_and_all_else_is_as_it_was(network, blocks):
    hurt = network.lesioned(source="region 0", target=["region 1", "region 2 E"])
    zeroed = holding(network, meant(network, (mask(network, [0, 1]), mask(network, [2, 3, 4]), 0)))
    found = []
    for one in (hurt, zeroed, network):
        with Session(one, seed=5, blocks=blocks) as session:
            found.append([session.advance(150, spikes=True).spike_neuron, session.state("v")])
    for value, expected in zip(found[0], found[1], strict=True):
        np.testing.assert_array_equal(value, expected)
    assert not np.array_equal(found[0][0], found[2][0])


@pytest.mark.parametrize("kind", ["in memory", "stored", "procedural", "imported"])
def test_every_way_of_reading_shows_the_same_weights(network, tmp_path, kind):
    if kind != "in memory":
        synapses = "procedural" if kind == "procedural" else "stored"
        network = build(make_brain(), tmp_path / "net", neurons=600, degree=20, seed=3, chunk=1009,
                        synapses=synapses)  # fmt: skip
    if kind == "imported":
        network = as_imported(network)
    hurt = network.lesioned(source="I", target="region 1", scale=0.25)
    source, target = mask(network, [1, 3, 5]), mask(network, [2, 3])
    weight = meant(network, (source, target, 0.25))
    data = hurt.synapses
    assert data["weight"].dtype == weight.dtype
    assert data["weight"].attrs == network.synapses["weight"].attrs
    np.testing.assert_array_equal(data["weight"].values, weight)
    np.testing.assert_array_equal(data["source"].values, edges_of(network).source)
    again = pickle.loads(pickle.dumps(hurt))
    np.testing.assert_array_equal(edges_of(again).weight, weight)
    assert again.attributes == hurt.attributes
    assert digest(hurt) == digest(again) == digest(holding(network, weight))
    assert Anatomy.of_network(hurt) == Anatomy.of_network(network)


def as_imported(network):
    """The stored network as if it had been imported: with pointers instead of a recipe."""
    import zarr

    from dtbdask.graph.synapses import Imported

    group = zarr.open_group(network.path, mode="r+")
    indptr = np.concatenate([[0], np.cumsum(np.diff(edges_of(network).indptr))]).astype(np.int64)
    schema.write(group, schema.NETWORK["synapse/indptr"], indptr)
    wiring = Imported(
        network.path, network.n_synapses, network.wiring.largest_degree, np.dtype(np.uint8), 1 / 255
    )
    return dataclasses.replace(network, wiring=wiring, path=network.path)


def test_the_attributes_and_the_summary_tell_of_lesions(network):
    hurt = network.lesioned(source="E", scale=0.5).lesioned(target=[1])
    assert hurt.attributes["lesions"] == [
        {"source": "E", "target": "all", "scale": 0.5},
        {"source": "all", "target": [1], "scale": 0.0},
    ]
    assert "lesions" not in network.attributes
    assert hurt.summary()["lesions"] == 2
    assert "lesioned" in repr(hurt)


def test_a_lesion_of_a_huge_network_takes_no_time_and_no_memory():
    populations = populate(make_brain(20), 1e7, 100, "voxel")
    network = make_network(voxels=20)
    wiring = Procedural(Recipe.make(populations, 1))
    network = dataclasses.replace(network, populations=populations, wiring=wiring)
    assert network.n_synapses > 0.99e9
    network.wiring.in_edges(0, 1)  # compiled
    tracemalloc.start()
    begin = time.process_time()
    hurt = network.lesioned(source="region 3", target="I").lesioned(source="E", scale=0.5)
    edges = hurt.wiring.in_edges(5_000_000, 5_000_010)
    taken, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 1
    assert peak < 1e6
    intact = network.wiring.in_edges(5_000_000, 5_000_010)
    np.testing.assert_array_equal(edges.source, intact.source)
    assert (edges.weight != intact.weight).any()


@pytest.mark.parametrize("scale", [-0.1, 1.1, np.nan, np.inf, "half", None])
def test_a_wrong_scale_is_refused(network, scale):
    with pytest.raises(InputError, match="scale is"):
        network.lesioned(source="E", scale=scale)


def test_a_wrong_selection_is_refused(network):
    with pytest.raises(InputError, match="nothing is named 'V1'"):
        network.lesioned(source="V1")
    with pytest.raises(InputError, match="none is chosen"):
        network.lesioned(target=[])
