"""Blocks may own any tiles: spikes, state and recordings are those of one block, bit for bit."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import FOUR, make_network
from oracle import Oracle

from dtbdask.errors import InputError
from dtbdask.graph.partition import Partition, partition
from dtbdask.graph.synapses import Held
from dtbdask.graph.traffic import assess
from dtbdask.graph.wiring import InEdges
from dtbdask.kernels import Features
from dtbdask.rng import TILE
from dtbdask.sim.edges import collect
from dtbdask.sim.exchange import Loopback
from dtbdask.sim.session import Session

SEED, STEPS = 2**45 + 3, 120
FIELDS = ("v", "ou", "refractory", "j_ampa", "j_gaba_a")


@pytest.fixture(scope="module")
def network():
    return make_network(voxels=4, neurons=2400, degree=30, seed=4, noise_rate=0.002)


@pytest.fixture(scope="module")
def meant(network):
    """Spikes of each step and last state of the oracle."""
    oracle = Oracle(network, seed=SEED)
    return [oracle.step() for _ in range(STEPS)], oracle


def scattered(network, n_blocks, seed=0):
    """Tiles dealt to blocks at random."""
    n_tiles = -(-network.n_neurons // TILE)
    owner = np.random.default_rng(seed).permutation(np.arange(n_tiles) % n_blocks)
    return Partition.of_tiles(owner, network.n_neurons)


@st.composite
def drawn_partitions(draw, n_neurons=2397):
    """Any tiles to any blocks."""
    n_tiles, n_blocks = -(-n_neurons // TILE), draw(st.integers(1, 7))
    some = st.integers(0, n_blocks - 1)
    rest = draw(st.lists(some, min_size=n_tiles - n_blocks, max_size=n_tiles - n_blocks))
    return Partition.of_tiles(draw(st.permutations([*range(n_blocks), *rest])), n_neurons)


def is_meant(session, window, meant):
    spikes, oracle = meant
    np.testing.assert_array_equal(window.spike_neuron, np.concatenate(spikes))
    steps = np.repeat(np.arange(STEPS), [ids.size for ids in spikes])
    np.testing.assert_array_equal(window.spike_step, steps)
    np.testing.assert_array_equal(session.state("v")[0], oracle.v)
    np.testing.assert_array_equal(session.state("j_gaba_a")[0], oracle.j[2])


@given(data=st.data(), pieces=st.sampled_from([[STEPS], [1, 50, STEPS - 51]]))
@settings(max_examples=30, deadline=None)
def test_spikes_and_state_are_the_oracles_for_any_partition(network, meant, data, pieces):
    made = data.draw(drawn_partitions(network.n_neurons))
    most = min(np.diff(ranges).sum() // TILE for ranges in made.ranges)
    threads = data.draw(st.integers(1, max(1, min(2, int(most)))))
    with Session(network, seed=SEED, partition=made, threads=threads, tr_s=0.02) as session:
        assert session.partition is made
        windows = [session.advance(n, spikes=True) for n in pieces]
        joined = windows[0]
        for name in ("n_spikes", "spike_neuron"):
            setattr(joined, name, np.concatenate([getattr(window, name) for window in windows]))
        is_meant(session, joined, meant)


@pytest.mark.parametrize("method", ["auto", "greedy", "contiguous"])
@pytest.mark.parametrize("blocks", [1, 3, 6])
def test_partitions_that_are_found_give_the_same_spikes(network, meant, method, blocks):
    with Session(network, seed=SEED, blocks=blocks, partition=method) as session:
        assert session.partition.n_blocks == blocks
        is_meant(session, session.advance(STEPS, spikes=True), meant)


def test_all_receptors_and_sub_steps_do_not_mind():
    four = make_network(neurons=1500, degree=40, **FOUR)
    options = {"seed": 9, "t_steps": 2, "dtype": "float64"}
    with (
        Session(four, partition=scattered(four, 4), **options) as many,
        Session(four, **options) as one,
    ):
        found, plain = many.advance(80, spikes=True), one.advance(80, spikes=True)
        assert plain.spike_neuron.size > 500
        for name in ("spike_count", "bold", "spike_step", "spike_neuron"):
            np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))
        for field in (*FIELDS, "j_nmda", "j_gaba_b"):
            np.testing.assert_array_equal(many.state(field), one.state(field))


def test_values_of_neurons_and_populations_reach_the_right_ones(network):
    own = np.random.default_rng(1).uniform(-51, -48, network.n_neurons)
    found = []
    for made in (Partition.contiguous(network, 1), scattered(network, 5, 3)):
        with Session(network, seed=SEED, partition=made) as session:
            session.advance(20)
            session.set("v_th", own, neuron="all")
            session.set("g_gaba_a", np.linspace(0.5, 1.5, 8), how="multiply")
            window = session.advance(60, spikes=True)
            found.append([window.spike_neuron, *(session.state(field) for field in FIELDS)])
    assert found[0][0].size > 300
    for one, many in zip(*found, strict=True):
        np.testing.assert_array_equal(one, many)


def test_recordings_are_the_same_files_for_any_partition(network, tmp_path):
    partitions = {
        "one": Partition.contiguous(network, 1),
        "found": partition(network, 4),
        "scattered": scattered(network, 6),
    }
    for name, made in partitions.items():
        with Session(network, seed=SEED, partition=made, tr_s=0.05) as session:
            session.run(0.2, record=["rate", "bold", "spikes"], to=tmp_path / name)
    files = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("c/*")]
    files = [path for path in files if (tmp_path / "one" / path).is_file()]
    assert files
    for path in files:
        for name in ("found", "scattered"):
            assert (tmp_path / "one" / path).read_bytes() == (tmp_path / name / path).read_bytes()


# Traffic


@pytest.mark.parametrize("n_blocks", [2, 5])
def test_expected_traffic_is_that_of_a_run(n_blocks, monkeypatch):
    network = make_network(voxels=6, neurons=6000, degree=30)
    made, sent = scattered(network, n_blocks), np.zeros(n_blocks)
    post = Loopback.post

    def counting(self, step, outgoing):
        if step >= 0:
            others = (ids.size for peer, ids in enumerate(outgoing) if peer != self.rank)
            sent[self.rank] += sum(others)
        post(self, step, outgoing)

    monkeypatch.setattr(Loopback, "post", counting)
    with Session(network, partition=made) as session:
        session.advance(200)
        sent[:] = 0
        count = session.advance(1000).spike_count[:, 0].sum(axis=0)
    report = assess(network, made, count / network.populations.size)
    np.testing.assert_allclose(sent.sum(), report.traffic, rtol=0.02)
    np.testing.assert_allclose(sent, report.sent, rtol=0.05)


# Edges


def test_loading_a_block_takes_no_memory_for_neurons_it_does_not_hear():
    """Two million neurons, of which a block of 6,400 in four parts hears 19,200."""
    n, first, block = 2_000_000, 1_000_000 // TILE * TILE, 6400
    draw = np.random.default_rng(0)
    source = draw.integers(first, first + 3 * block, 20 * block).astype(np.uint32)
    indptr = np.clip(np.arange(n + 1) - first, 0, block) * 20
    edges = InEdges(indptr, source, np.ones((source.size, 2), np.uint8))
    network = dataclasses.replace(
        make_network(voxels=2, neurons=n, degree=1), wiring=Held(edges, 1 / 255)
    )
    ranges = np.array([[first, first + block]])
    bounds = np.array([0, 1280, 3200, 4480, block])
    features = Features((True, False, True, False), False, False, ())
    collect(network, ranges, bounds, features)
    tracemalloc.start()
    made = collect(network, ranges, bounds, features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.target.size == source.size
    np.testing.assert_array_equal(made.heard, np.unique(source[source >= first + block]))
    assert peak < 12 * n, f"{peak:,} bytes"  # 8 n of them to find the largest in-degree


# Refusals


def test_a_partition_that_does_not_fit_is_refused(network):
    made = scattered(network, 3)
    with pytest.raises(InputError, match="blocks is 2, but the partition has 3 blocks"):
        Session(network, partition=made, blocks=2)
    with pytest.raises(InputError, match="2,397 neurons, but the network has 597"):
        Session(make_network(), partition=made)
    with pytest.raises(InputError, match="partition has 3 blocks; an ensemble is divided by"):
        Session(network, partition=made, members=2)
    with pytest.raises(InputError, match="method is 'best'"):
        Session(network, partition="best")
    Session(network, partition=made, blocks=3).close()
