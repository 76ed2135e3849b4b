"""A spike of step n acts at the end of step n + delay - 1, whoever simulates it, and however."""

import dataclasses

import numpy as np
import pytest
import weighing
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import FOUR, delayed, make_brain, make_network, resized
from oracle import Oracle

from dtbdask.errors import InputError
from dtbdask.graph.build import build
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.partition import Partition
from dtbdask.graph.planning.plan import plan
from dtbdask.graph.population import Populations
from dtbdask.graph.synapses import Held
from dtbdask.graph.wiring import InEdges
from dtbdask.rng import TILE
from dtbdask.sim.block import Block
from dtbdask.sim.exchange import Loopback
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec

SEED, STEPS, LONGEST = 2**44 + 1, 60, 9
FIELDS = ("v", "ou", "refractory", "j_ampa", "j_gaba_a")


def with_delays(low=1, high=LONGEST, seed=0, **shape):
    """Four voxels that hear each other after random delays."""
    network = make_network(**{"voxels": 4, "neurons": 2000, "degree": 30, "noise_rate": 0.01,
                              **shape})  # fmt: skip
    n = network.populations.mixture.far_population.size
    return delayed(network, np.random.default_rng(seed).integers(low, high + 1, n))


def run(oracle, n_steps=STEPS):
    """Steps and neurons of the spikes."""
    found = [oracle.step() for _ in range(n_steps)]
    return np.repeat(np.arange(n_steps), [ids.size for ids in found]), np.concatenate(found)


def same(session, oracle, meant, pieces=(STEPS,), fields=FIELDS):
    windows = [session.advance(n, spikes=True) for n in pieces]
    for name, values in zip(("spike_step", "spike_neuron"), meant, strict=True):
        found = np.concatenate([getattr(window, name) for window in windows])
        np.testing.assert_array_equal(found, values)
    of = {"v": oracle.v, "ou": oracle.ou, "refractory": oracle.refractory}
    of |= dict(zip(("j_ampa", "j_nmda", "j_gaba_a", "j_gaba_b"), oracle.j, strict=True))
    for name in fields:
        np.testing.assert_array_equal(session.state(name)[0], of[name], err_msg=name)


@pytest.fixture(scope="module")
def network():
    return with_delays()


@pytest.fixture(scope="module")
def meant(network):
    oracle = Oracle(network, seed=SEED)
    return oracle, run(oracle)


# Arrival


def pair(delay):
    """A neuron that fires by itself, and one that hears it from another voxel."""
    bare = Populations.bare(np.arange(2), np.zeros(2, int), np.array([True, True]),
                            np.array([1, 1]), [0, 1])  # fmt: skip
    table = {
        "indptr": np.array([0, 0, 1]), "source": np.zeros(1, np.int32),
        "table": np.zeros(1, np.int32), "share": np.ones(1), "far_indptr": np.array([0, 1]),
        "far_population": np.zeros(1, np.int32), "far_share": np.ones(1),
        "far_delay": np.array([delay], np.uint16),
    }  # fmt: skip
    mixture = dataclasses.replace(bare.mixture, **table)
    edges = InEdges(np.array([0, 0, 1]), np.zeros(1, np.uint32), np.full((1, 2), 255, np.uint8))
    quiet = {"ou_mean": 1e-9, "ou_sigma": 0.0, "i_ext": np.array([1.0, 0.0]), "t_ref": 5.0,
             "noise_rate": 1e-12}  # fmt: skip  # all but off: off is another kernel
    return Network(
        dataclasses.replace(bare, mixture=mixture), Parameters.make(2, quiet),
        Held(edges, 1 / 255), ("one", "two"), {"slots": ("E",)},
    )  # fmt: skip


@pytest.mark.parametrize("delay", [1, 2, 3, 7, 40])
def test_a_spike_of_step_n_reaches_its_target_at_the_end_of_step_n_plus_delay_minus_one(delay):
    with Session(pair(delay), seed=0) as session:
        fired, arrived = [], []
        for step in range(100):
            before = session.state("j_ampa")[0, 1]
            fired += [step] * session.advance(1, spikes=True).spike_neuron.tolist().count(0)
            after = session.state("j_ampa")[0, 1]
            arrived += [step] * bool(after > before)
    assert len(fired) > 8
    assert arrived == [n + delay - 1 for n in fired if n + delay - 1 < 100]


def test_the_kick_of_a_late_spike_is_not_decayed_on_its_way():
    with Session(pair(6), seed=0) as session:
        while not session.state("j_ampa")[0, 1]:
            session.advance(1)
        assert session.state("j_ampa")[0, 1] == np.float32(255) * np.float32(1 / 255)


# The oracle


@given(data=st.data(), pieces=st.sampled_from([[STEPS], [1, STEPS - 1], [1, 20, STEPS - 21]]))
@settings(max_examples=15, deadline=None)
def test_sessions_are_the_oracle_for_any_partition_threads_and_windows(
    network, meant, data, pieces
):
    n_tiles, n_blocks = -(-network.n_neurons // TILE), data.draw(st.integers(1, 5))
    some = st.integers(0, n_blocks - 1)
    rest = data.draw(st.lists(some, min_size=n_tiles - n_blocks, max_size=n_tiles - n_blocks))
    owner = data.draw(st.permutations([*range(n_blocks), *rest]))
    made = Partition.of_tiles(owner, network.n_neurons)
    most = min(int(np.diff(ranges).sum()) // TILE for ranges in made.ranges)
    threads = data.draw(st.integers(1, max(1, min(2, most))))
    with Session(network, seed=SEED, partition=made, threads=threads) as session:
        same(session, *meant, pieces)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("blocks", [1, 3])
def test_random_delays_are_those_of_the_oracle(seed, blocks):
    network = with_delays(high=30, seed=seed, voxels=5, neurons=1200)
    oracle = Oracle(network, seed=SEED)
    with Session(network, seed=SEED, blocks=blocks) as session:
        same(session, oracle, run(oracle))


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"t_steps": 3, "dtype": "float64"}, {}),
        ({"t_steps": 2}, FOUR),
    ],
    ids=["float64", "pairs"],
)  # fmt: skip
def test_sub_steps_types_and_receptors_do_not_mind(options, shape):
    network = with_delays(**{"neurons": 1200, **shape})
    oracle = Oracle(network, seed=SEED, **options)
    fields = (*FIELDS, "j_nmda", "j_gaba_b") if "g_nmda" in shape else FIELDS
    with Session(network, seed=SEED, blocks=2, **options) as session:
        same(session, oracle, run(oracle), (1, STEPS - 1), fields)


def test_members_are_networks_of_their_own_noise(network):
    with Session(network, seed=SEED, members=3) as session:
        window = session.advance(STEPS)
        v = session.state("v")
    for m in range(3):
        oracle = Oracle(network, seed=SEED, member=m)
        neurons = run(oracle)[1]
        owner = network.populations.population_of(0, network.n_neurons)[neurons]
        count = window.spike_count[:, m].sum(axis=0)
        np.testing.assert_array_equal(count, np.bincount(owner, minlength=8))
        np.testing.assert_array_equal(v[m], oracle.v)


def test_stored_synapses_are_as_late_as_procedural_ones(tmp_path):
    brain = make_brain(4)
    brain["tract_length"] = (("voxel", "voxel_source"), np.arange(16.0).reshape(4, 4))
    made = [
        build(
            brain,
            tmp_path / kind,
            neurons=1200,
            degree=20,
            synapses=kind,
            speed=1.5,
            dt_ms=0.5,
            parameters={"noise_rate": 0.01},
        )
        for kind in ("stored", "procedural")
    ]
    assert made[0].populations.mixture.far_delay.max() == 19
    oracle = Oracle(made[0], seed=SEED, dt_ms=0.5)
    spikes = run(oracle)
    for network in made:
        with Session(network, seed=SEED, dt_ms=0.5, blocks=2) as session:
            same(session, oracle, spikes)


def test_delays_of_one_step_are_no_delays():
    plain = make_network(voxels=4, neurons=1200, noise_rate=0.01)
    windows = []
    for network in (plain, delayed(plain, 1)):
        block = Block(BlockSpec.whole(network, SEED))
        assert block.delays is None
        assert block.state.kick.shape[0] == 1
        with Session(network, seed=SEED, blocks=3) as session:
            windows.append((session.advance(STEPS, spikes=True), session.state("v")))
    (one, v), (other, w) = windows
    np.testing.assert_array_equal(one.spike_neuron, other.spike_neuron)
    np.testing.assert_array_equal(v, w)


# State


@pytest.mark.parametrize("blocks", [1, 4])
def test_looking_at_the_state_changes_nothing_that_follows(network, meant, blocks):
    oracle, (steps, neurons) = meant
    with Session(network, seed=SEED, blocks=blocks) as session:
        found = []
        for k in range(STEPS):
            found.append(session.advance(1, spikes=True).spike_neuron)
            for name in FIELDS[: k % 4]:
                session.state(name)
        np.testing.assert_array_equal(np.concatenate(found), neurons)
        np.testing.assert_array_equal(session.state("j_ampa")[0], oracle.j[0])
    assert steps[-1] == STEPS - 1


@pytest.mark.parametrize("at", [1, 8, 31])
def test_kicks_on_their_way_go_on_in_other_blocks(network, meant, at):
    """Pending kicks, by neuron and by when they are due, are all that delays add to the state."""
    oracle, (steps, neurons) = meant
    whole, spec = None, BlockSpec.whole(network, SEED)
    with Session(network, seed=SEED, blocks=3) as session:
        session.advance(at)
        v, ou, refractory, *j = (session.state(name) for name in FIELDS)
        parts = session._ask("state", "pending")[0]
    for ranges, values in parts:
        if whole is None:
            whole = np.zeros((*values.shape[:-1], network.n_neurons), values.dtype)
        whole[..., np.concatenate([np.arange(*r) for r in ranges])] = values
    assert whole.shape[0] == LONGEST - 1
    assert whole.any()
    until = Oracle(network, seed=SEED)
    run(until, at)
    for (arrival, u), kick in until.pending.items():
        if u in (0, 2):
            np.testing.assert_array_equal(whole[arrival - at, u // 2, 0], kick)
    block = Block(spec)
    state = block.state
    state.v[:], state.ou[:], state.refractory[:] = v, ou, refractory
    state.j[0][:], state.j[2][:] = j
    block.step_index = at
    block.fields()["pending"].put(whole)
    np.testing.assert_array_equal(block.pending(), whole)
    for step in range(at, STEPS):
        block.step()
        np.testing.assert_array_equal(block.global_spikes(), neurons[steps == step])
    block.settle()
    np.testing.assert_array_equal(block.state.j[0][0], oracle.j[0])


# Swaps


def counted(monkeypatch):
    """Messages that are posted after the blocks have met."""
    messages, post = [], Loopback.post

    def counting(self, step, outgoing):
        if step >= 0:
            others = (ids for peer, ids in enumerate(outgoing) if peer != self.rank)
            messages.extend((step, ids.size) for ids in others if ids is not None)
        post(self, step, outgoing)

    monkeypatch.setattr(Loopback, "post", counting)
    return messages


@pytest.mark.parametrize("pieces", [(STEPS,), (1, 22, STEPS - 23)])
def test_blocks_swap_once_in_their_shortest_delay(monkeypatch, pieces):
    whole_tiles = resized(with_delays(low=5, voxels=4), [384, 128] * 4)
    delay = whole_tiles.populations.mixture.far_delay
    oracle = Oracle(whole_tiles, seed=SEED)
    made = Partition.of_tiles(np.repeat(np.arange(4), 4), whole_tiles.n_neurons)
    messages = counted(monkeypatch)
    with Session(whole_tiles, seed=SEED, partition=made) as session:
        same(session, oracle, run(oracle), pieces)
    pairs = {(v, u): [] for v in range(4) for u in range(v)}
    heard = [(v, u) for v in range(4) for u in range(4) if u != v]
    for (v, u), steps in zip(heard, delay, strict=True):
        pairs[max(v, u), min(v, u)].append(int(steps))
    meant = sum(2 * -(-n // min(steps)) for steps in pairs.values() for n in pieces)
    assert len(messages) == meant
    assert len(messages) < 12 * STEPS / 4


def test_blocks_that_share_a_voxel_swap_in_every_step_and_others_need_not(monkeypatch):
    network = resized(with_delays(low=5), [384, 128] * 4)
    oracle = Oracle(network, seed=SEED)
    owner = [0] * 4 + [1] * 6 + [0] * 2 + [2] * 4
    messages = counted(monkeypatch)
    with Session(network, seed=SEED, partition=Partition.of_tiles(owner, 2048)) as session:
        same(session, oracle, run(oracle))
    assert 2 * STEPS < len(messages) < 2 * STEPS + 4 * STEPS / 4


# Refusals and plans


def test_delays_in_steps_of_another_length_are_refused_by_name(network):
    about = {**network.attributes, "delay_dt_ms": 0.5}
    for delays in (network, delayed(network, 1)):
        other = dataclasses.replace(delays, attributes=about)
        with pytest.raises(InputError, match=r"dt_ms is 1,.*delay_dt_ms, 0\.5 ms: use dt_ms=0\.5"):
            Session(other)
        Session(other, dt_ms=0.5, tr_s=0.1).close()
    plain = make_network(noise_rate=0.01)
    Session(dataclasses.replace(plain, attributes=about)).close()


def test_a_session_refuses_a_delay_of_no_step(network):
    with pytest.raises(InputError, match="far_delay has a delay of 0 steps"):
        Session(delayed(network, 0))


@pytest.mark.parametrize("members", [1, 3])
def test_the_ring_is_planned(members):
    brain = make_brain(6)
    brain["tract_length"] = (("voxel", "voxel_source"), np.full((6, 6), 10.0) + np.eye(6))
    shape = {"neurons": 6000, "degree": 20}
    early, late = (
        plan(brain, **shape, members=members, dt_ms=0.5, speed=speed).footprint(1)
        for speed in (None, 0.5)
    )
    kick = 2
    assert late.state[0] - early.state[0] == members * 2 * kick * 39 * plan(brain, **shape).neurons
    network = delayed(make_network(6, **shape), 40)
    block = Block(BlockSpec.whole(network, SEED, members=members))
    held = weighing.arrays(block)
    np.testing.assert_allclose(late.held[0], sum(held.values()), rtol=0.1)


def test_no_synapse_takes_memory_for_its_delay():
    one, many = (
        Block(BlockSpec.whole(with_delays(degree=degree), SEED)).delays for degree in (5, 100)
    )
    assert sum(a.nbytes for a in one) == sum(a.nbytes for a in many)
    n = with_delays().n_neurons
    assert sum(a.nbytes for a in one) < 4 * n + 500


def test_without_delays_nothing_is_on_its_way():
    network = make_network(voxels=1, neurons=300)
    block = Block(BlockSpec.whole(network, SEED))
    assert block.pending().shape == (0, 2, 1, network.n_neurons)
