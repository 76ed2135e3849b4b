"""Late kicks are the integer sums of the weights, each in the slot of the step it acts in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import delayed, make_network

from dtbdask.kernels import Features, cpu, cpu_delays
from dtbdask.sim.delays import Delays
from dtbdask.sim.edges import collect

LONGEST = 6


def drawn(degree, wide, receptors, parts, seed):
    """A network, its edges in parts, and its delays."""
    network, rng = make_network(degree=degree, wide=wide), np.random.default_rng(seed)
    network = delayed(network, rng.integers(1, LONGEST + 1, 6))
    n = network.n_neurons
    bounds = np.linspace(0, n, parts + 1).astype(np.int64)
    features = Features(receptors, False, False, ())
    edges = collect(network, np.array([[0, n]]), bounds, features)
    own = network.populations.population_of(0, n)
    return network, edges, bounds, Delays.make(network.populations, own, own[:0])


def edge_by_edge(network):
    """Target, source and delay of each edge."""
    whole = network.wiring.in_edges(0, network.n_neurons)
    target = np.repeat(np.arange(network.n_neurons), np.diff(whole.indptr))
    of = network.populations.population_of(0, network.n_neurons) // 2  # voxel of a neuron
    steps = np.ones((3, 3), np.int64)
    steps[~np.eye(3, dtype=bool)] = network.populations.mixture.far_delay
    return target, whole, steps[of[target], of[whole.source]]


def lists(fires, bounds):
    fired, n_fired = np.zeros(fires.shape, np.uint32), np.zeros((2, bounds.size - 1), np.int64)
    for m in range(2):
        for p, low in enumerate(bounds[:-1]):
            ids = low + np.flatnonzero(fires[m, low : bounds[p + 1]])
            fired[m, low : low + ids.size], n_fired[m, p] = ids, ids.size
    return fired, n_fired


@given(
    degree=st.sampled_from([5, 40, 270]),
    wide=st.booleans(),
    receptors=st.tuples(*[st.booleans()] * 4),
    parts=st.integers(1, 4),
    step=st.integers(1, 99),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_each_weight_goes_where_it_acts(degree, wide, receptors, parts, step, seed):
    network, edges, bounds, delays = drawn(degree, wide, receptors, parts, seed)
    n, rng = network.n_neurons, np.random.default_rng(seed)
    fires = rng.random((2, n)) < rng.choice([0.02, 0.5, 1.0])
    kick = np.zeros((LONGEST, 2, 2, n), edges.kick_dtype)
    for p in range(parts):
        cpu_delays.deliver_delayed(
            kick, *lists(fires, bounds), bounds, edges.indptr[p], edges.target, edges.weight,
            edges.inhibitory, step, *delays,
        )  # fmt: skip
    target, whole, delay = edge_by_edge(network)
    excites = network.populations.excitatory[network.populations.population_of(0, n)][whole.source]
    paired, half = all(receptors[:2]) or all(receptors[2:]), 4 * kick.itemsize
    for kind in range(2):
        on = [which for which in range(2) if receptors[2 * kind + which]]
        for m, late in np.ndindex(2, LONGEST):
            acts = fires[m, whole.source] & (excites == (kind == 0)) & (delay == late + 1)
            sums = np.zeros((2, n), np.int64)
            for k, which in enumerate(on):
                np.add.at(sums[k], target[acts], whole.weight[acts, which].astype(np.int64))
            found = kick[(step + late) % LONGEST, kind, m].astype(np.uint64)
            if paired:
                found = np.stack([found & np.uint64(2**half - 1), found >> np.uint64(half)])
            np.testing.assert_array_equal(found, sums if paired else sums[0])


@pytest.mark.parametrize("parts", [1, 3])
def test_a_slot_holds_each_synapse_once_however_many_steps_fill_it(parts):
    """Everyone fires in every step: each slot has what a step without delays has, and no more."""
    receptors = (True, False, True, False)
    network, edges, bounds, delays = drawn(250, False, receptors, parts, 1)
    n = network.n_neurons
    fired = lists(np.ones((2, n), bool), bounds)
    kick, plain = np.zeros((LONGEST, 2, 2, n), np.uint16), np.zeros((2, 2, n), np.uint16)
    assert edges.kick_dtype == np.uint16
    for p in range(parts):
        wires = (edges.indptr[p], edges.target, edges.weight, edges.inhibitory)
        cpu.deliver(plain, *fired, bounds, *wires)
    for step in range(1, 20):
        for p in range(parts):
            wires = (edges.indptr[p], edges.target, edges.weight, edges.inhibitory)
            cpu_delays.deliver_delayed(kick, *fired, bounds, *wires, step, *delays)
        if step >= LONGEST:
            np.testing.assert_array_equal(kick[step % LONGEST], plain)
        kick[step % LONGEST] = 0


@given(parts=st.integers(1, 4), wide=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_the_least_delay_of_a_row_is_that_of_its_edges(parts, wide, seed):
    network, edges, _, delays = drawn(8, wide, (True, False, True, False), parts, seed)
    n = network.n_neurons
    least = np.full(n, 99)
    for indptr in edges.indptr:
        cpu_delays.least_delay(least, 0, indptr, edges.target, edges.weight is None, *delays)
    _, whole, delay = edge_by_edge(network)
    meant = np.full(n, 99)
    np.minimum.at(meant, whole.source, delay)
    np.testing.assert_array_equal(least, meant)
