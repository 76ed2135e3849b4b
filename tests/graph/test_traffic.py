"""What a report expects is what the formula says, and what is counted in synapses and spikes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import drawn_populations, make_network

from dtbdask.errors import InputError
from dtbdask.graph.partition import Partition
from dtbdask.graph.traffic import EVENT_NS, NEURON_NS, assess, neuron_cost, overlap, owned
from dtbdask.rng import TILE


def scattered(n_neurons, n_blocks, seed=0):
    """Tiles dealt to blocks at random."""
    n_tiles = -(-n_neurons // TILE)
    owner = np.random.default_rng(seed).permutation(np.arange(n_tiles) % n_blocks)
    return Partition.of_tiles(owner, n_neurons)


@pytest.fixture(scope="module")
def network():
    return make_network(voxels=6, neurons=6000, degree=30)


@given(populations=drawn_populations(), data=st.data())
@settings(max_examples=50, deadline=None)
def test_overlap_counts_the_neurons_of_each_population_in_each_range(populations, data):
    n = populations.n_neurons
    start = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5)))
    stop = np.array([data.draw(st.integers(a + 1, n)) for a in start])
    of = populations.population_of(0, n)
    meant = [np.bincount(of[a:b], minlength=of[-1] + 1) for a, b in zip(start, stop, strict=True)]
    np.testing.assert_array_equal(overlap(populations, start, stop).toarray(), meant)


@pytest.mark.parametrize("n_blocks", [1, 2, 7])
def test_neurons_synapses_and_load_are_those_counted(network, n_blocks):
    made = scattered(network.n_neurons, n_blocks)
    report = assess(network, made, rate_hz=10)
    in_degree = np.diff(network.wiring.in_edges(0, network.n_neurons).indptr)
    for b in range(n_blocks):
        mine = made.neurons(b)
        assert report.neurons[b] == mine.size
        assert report.synapses[b] == in_degree[mine].sum()
        events = in_degree[mine].sum() * 10 / 1000
        np.testing.assert_allclose(report.load[b], mine.size * NEURON_NS + events * EVENT_NS)
    assert report.balance == report.load.max() / report.load.mean()
    assert report.rate_hz == 10
    np.testing.assert_allclose(neuron_cost(network.populations, 0), NEURON_NS)


@given(seed=st.integers(0, 99), n_blocks=st.integers(1, 8))
@settings(max_examples=15, deadline=None)
def test_a_report_is_what_the_formula_says_block_by_block(network, seed, n_blocks):
    populations, made = network.populations, scattered(network.n_neurons, n_blocks, seed)
    matrix, size = populations.matrix().toarray(), populations.size
    rates = np.linspace(1, 20, size.size)
    report = assess(populations, made, rates)
    has = owned(populations, made).toarray()
    sent, received, cut, peers = np.zeros(n_blocks), np.zeros(n_blocks), 0.0, np.zeros(n_blocks)
    for here in range(n_blocks):
        drawn = (has[here] * populations.degree) @ matrix / size
        for there in set(range(n_blocks)) - {here}:
            spikes = (rates * has[there] * (1 - np.exp(-drawn))).sum()
            sent[there] += spikes
            received[here] += spikes
            cut += drawn @ has[there]
            peers[here] += 1 - np.exp(-drawn @ has[there])
    for name, meant in (("sent", sent), ("received", received), ("cut", cut), ("peers", peers)):
        np.testing.assert_allclose(getattr(report, name), meant, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(report.traffic, sent.sum())
    np.testing.assert_allclose(report.rate_hz, np.repeat(rates, size).mean())


@pytest.mark.parametrize("n_blocks", [2, 5])
def test_cut_traffic_and_peers_are_near_those_of_the_synapses(network, n_blocks):
    """Which are drawn: so within 3 %."""
    made = scattered(network.n_neurons, n_blocks)
    edges = network.wiring.in_edges(0, network.n_neurons)
    here = np.repeat(made.owner(np.arange(network.n_neurons)), np.diff(edges.indptr))
    there = made.owner(edges.source)
    hears = np.zeros((n_blocks, network.n_neurons), bool)
    hears[here, edges.source] = True
    hears[made.owner(np.arange(network.n_neurons)), np.arange(network.n_neurons)] = False
    report = assess(network, made, rate_hz=1)
    np.testing.assert_allclose(report.cut, (here != there).sum(), rtol=0.01)
    np.testing.assert_allclose(report.received, hears.sum(axis=1), rtol=0.03)
    sent = [hears[:, made.neurons(b)].sum() for b in range(n_blocks)]
    np.testing.assert_allclose(report.sent, sent, rtol=0.03)
    np.testing.assert_allclose(report.peers, n_blocks - 1)


def test_one_block_tells_nobody_anything(network):
    report = assess(network, Partition.contiguous(network, 1))
    assert report.traffic == report.cut == report.received[0] == report.peers[0] == 0
    assert report.balance == 1


def test_a_report_says_what_it_found(network):
    told = str(assess(network, scattered(network.n_neurons, 4), rate_hz=7))
    for part in ("4 blocks (given)", "load max/mean 1.0", "spikes/s", "at 7 Hz", "3.0 peers"):
        assert part in told


def test_rates_and_partitions_that_do_not_fit_are_refused(network):
    made = scattered(network.n_neurons, 3)
    for wrong in (-1.0, np.nan, [np.inf] * 12):
        with pytest.raises(InputError, match="rate_hz"):
            assess(network, made, wrong)
    with pytest.raises(InputError, match="but the network has 597"):
        assess(make_network(), made)
