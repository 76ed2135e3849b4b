"""The Numba text says, bit for bit, what the oracle means: floats, spikes and integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import FOUR, make_network
from oracle import Oracle

from dtbdask.graph.parameters import PARAMETERS
from dtbdask.kernels import RECEPTORS, Features, cpu
from dtbdask.sim.block import Block
from dtbdask.sim.edges import collect
from dtbdask.sim.spec import BlockSpec

N = make_network().n_neurons
OFF = dict.fromkeys(("g_ampa", "g_nmda", "g_gaba_a", "g_gaba_b", "ou_mean", "ou_sigma"), 0.0)


def only(*receptors, drive="ou"):
    """Parameters with some receptors on, and a drive: background current, noise, or both."""
    on = {f"g_{name}": FOUR[f"g_{name}"] for name in receptors}
    ou = {"ou_mean": 0.55, "ou_sigma": 0.2} if "ou" in drive else {"i_ext": 0.6}
    return {**OFF, **on, **ou, "noise_rate": 0.02 if "noise" in drive else 0.0}


def own_values(**spread):
    """A value of its own for each neuron, within a share of the default."""
    rng = np.random.default_rng(8)
    default = {name: FOUR.get(name, PARAMETERS[name].default) for name in spread}
    return {
        name: default[name] * rng.uniform(1 - share, 1 + share, N) for name, share in spread.items()
    }


CASES = {
    "ampa, gaba_a, both drives": (only("ampa", "gaba_a", drive="ou noise"), {}, "float32"),
    "four receptors": (only(*RECEPTORS, drive="ou noise"), {}, "float32"),
    "four receptors, noise alone": (only(*RECEPTORS, drive="noise"), {}, "float64"),
    "nmda, gaba_b": (only("nmda", "gaba_b"), {}, "float32"),
    "ampa, nmda": (only("ampa", "nmda") | {"g_nmda": 0.0001, "ou_mean": 0.4}, {}, "float64"),
    "gaba_a, gaba_b": (only("gaba_a", "gaba_b"), {}, "float32"),
    "ampa, neither drive": (only("ampa", drive=""), {}, "float32"),
    "none, neither drive": (only(drive=""), {}, "float32"),
    "32-bit weights": (only("ampa", "gaba_a", drive="ou noise"), {"wide": True}, "float32"),
    "32-bit weight pairs": (only(*RECEPTORS, drive="ou noise"), {"wide": True}, "float32"),
    "in-degree 300": (only("ampa", "gaba_a", drive="ou noise"), {"degree": 300}, "float32"),
    "in-degree 300, pairs": (
        only(*RECEPTORS, drive="ou noise") | {"g_nmda": 0.0001},
        {"degree": 300}, "float32",
    ),
    "own values": (
        only(*RECEPTORS, drive="ou noise"),
        {"neuron": own_values(
            c=0.2, t_ref=0.9, g_l=0.1, v_l=0.05, v_th=0.02, v_reset=0.02, ou_mean=0.3, ou_tau=0.5,
            ou_sigma=0.5, g_ampa=0.3, g_gaba_b=0.5, e_gaba_a=0.1, tau_nmda=0.5, tau_gaba_a=0.5,
        ) | {"noise_rate": np.linspace(0, 0.1, N)}},
        "float32",
    ),
}  # fmt: skip
KICKS = {"32-bit weights": 4, "32-bit weight pairs": 8, "in-degree 300": 4, "four receptors": 4,
         "in-degree 300, pairs": 8, "nmda, gaba_b": 2}  # fmt: skip


def live(network, **options):
    return Block(BlockSpec.whole(network, **options))


@pytest.fixture(scope="module", params=CASES)
def case(request):
    parameters, network, dtype = CASES[request.param]
    made = make_network(**{"degree": 30, **network}, **parameters)
    return request.param, made, dtype


def same_floats(block, member, oracle):
    np.testing.assert_array_equal(block.state.v[member], oracle.v)
    np.testing.assert_array_equal(block.state.ou[member], oracle.ou)
    np.testing.assert_array_equal(block.state.refractory[member], oracle.refractory)


def same_traces(block, member, oracle):
    for u, name in enumerate(RECEPTORS):
        if oracle.network.parameters.on(f"g_{name}"):
            np.testing.assert_array_equal(block.state.j[u][member], oracle.j[u])
        else:
            assert block.state.j[u].size == 0


def follow(block, oracle, n_steps, member=0):
    """Step both and compare; return how often a neuron spiked."""
    spikes = 0
    for k in range(n_steps):
        meant = oracle.step()
        block.step()
        np.testing.assert_array_equal(block.global_spikes(member), meant)
        same_floats(block, member, oracle)
        if k % 40 == 39:
            block.settle()
            same_traces(block, member, oracle)
        spikes += meant.size
    return spikes


@pytest.mark.parametrize(("t_steps", "threads"), [(1, 1), (3, 1), (1, 2)])
def test_every_step_is_what_the_oracle_means(case, t_steps, threads):
    name, network, dtype = case
    options = {"seed": 2**40 + 5, "t_steps": t_steps, "dtype": dtype}
    block = live(network, threads=threads, **options)
    oracle = Oracle(network, **options)
    assert block.state.v.dtype == block.state.ou.dtype == dtype
    assert block.state.kick.dtype.itemsize == KICKS.get(name, block.state.kick.dtype.itemsize)
    assert 0.005 < follow(block, oracle, 200) / 200 / network.n_neurons < 0.4
    block.close()


@pytest.mark.parametrize("first", [0, 7])
def test_members_are_networks_of_their_own_noise(first):
    network = make_network(**only("ampa", "gaba_a", drive="ou noise"))
    block = live(network, seed=3, members=3, first_member=first)
    meant = [Oracle(network, seed=3, member=first + m) for m in range(3)]
    lists = []
    for _ in range(150):
        block.step()
        lists.append([oracle.step() for oracle in meant])
        for m, oracle in enumerate(meant):
            np.testing.assert_array_equal(block.global_spikes(m), lists[-1][m])
            same_floats(block, m, oracle)
    block.settle()
    for m, oracle in enumerate(meant):
        same_traces(block, m, oracle)
    assert any(not np.array_equal(a, b) for a, b, _ in lists)


@pytest.mark.parametrize("t_steps", [1, 5])
@pytest.mark.parametrize("t_ref", [0.0, 0.4, 1.0, 2.0, 3.6])
def test_v_shows_threshold_then_reset_and_goes_on_after_the_refractory_period(t_ref, t_steps):
    """With h = dt / t_steps, n = max(1, round(T_ref / h)): a constant current makes a clock."""
    parameters = {**only(drive=""), "t_ref": t_ref, "i_ext": 2.0}
    h = 1.0 / t_steps
    block = live(make_network(neurons=60, degree=2, **parameters), seed=0, dt_ms=h)
    pause = max(1, round(t_ref / h))
    v, seen = -52.5, []
    while len(seen) < 40:
        v += h / 0.5 * (0.025 * (-70.0 - v) + 2.0)
        seen.append(min(v, -50.0))
        if v >= -50.0:
            v = -55.0
            seen += [v] * (pause - 1)
    for meant in seen[:40]:
        block.step()
        np.testing.assert_allclose(block.state.v, meant, rtol=1e-6)
        assert block.global_spikes().size == (block.n_neurons if meant == -50.0 else 0)
    assert -50.0 in seen[:40]
    assert (pause == 1) == (-55.0 not in seen[:40])


def test_a_noise_spike_kicks_its_targets_but_neither_resets_nor_pauses():
    weak = {f"g_{name}": 1e-9 for name in RECEPTORS}
    parameters = {**only(drive="noise"), **weak, "noise_rate": 0.05, "i_ext": 0.0, "g_l": 0.0}
    block = live(make_network(**parameters), seed=1, dtype="float64")
    for _ in range(20):
        block.step()
        assert block.global_spikes().size
        assert (block.state.refractory == 0).all()
        assert (block.state.v < -52.4).all()
    block.settle()
    assert all((j > 0).mean() > 0.8 for j in block.state.j)


@given(
    degree=st.sampled_from([5, 40, 270]),
    wide=st.booleans(),
    receptors=st.tuples(*[st.booleans()] * 4),
    parts=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_kicks_are_integer_sums_of_the_weights_of_the_fired(degree, wide, receptors, parts, seed):
    network = make_network(degree=degree, wide=wide)
    n, rng = network.n_neurons, np.random.default_rng(seed)
    bounds = np.linspace(0, n, parts + 1).astype(np.int64)
    features = Features(receptors, False, False, ())
    edges = collect(network, np.array([[0, n]]), bounds, features)
    fires = rng.random((2, n)) < rng.choice([0.02, 0.5, 1.0])
    fired, n_fired = np.zeros((2, n), np.uint32), np.zeros((2, parts), np.int64)
    for m in range(2):
        for p in range(parts):
            ids = bounds[p] + np.flatnonzero(fires[m, bounds[p] : bounds[p + 1]])
            fired[m, bounds[p] : bounds[p] + ids.size], n_fired[m, p] = ids, ids.size
    kick = np.zeros((2, 2, n), edges.kick_dtype)
    for p in range(parts):
        cpu.deliver(kick, fired, n_fired, bounds, edges.indptr[p], edges.target, edges.weight,
                    edges.inhibitory)  # fmt: skip
    half = 4 * kick.itemsize
    whole = network.wiring.in_edges(0, n)
    target = np.repeat(np.arange(n), np.diff(whole.indptr))
    excites = network.populations.excitatory[network.populations.population_of(0, n)][whole.source]
    for kind in range(2):
        on = [which for which in range(2) if receptors[2 * kind + which]]
        for m in range(2):
            acts = fires[m, whole.source] & (excites == (kind == 0))
            sums = np.zeros((2, n), np.int64)
            for k, which in enumerate(on):
                np.add.at(sums[k], target[acts], whole.weight[acts, which].astype(np.int64))
            found = kick[kind, m].astype(np.uint64)
            if features.paired:
                found = np.stack([found & np.uint64(2**half - 1), found >> np.uint64(half)])
            np.testing.assert_array_equal(found, sums if features.paired else sums[0])


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_census_counts_the_fired(data):
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    n, parts = sum(sizes), data.draw(st.integers(1, 3))
    cuts = data.draw(st.lists(st.integers(0, n), min_size=parts - 1, max_size=parts - 1))
    bounds = np.array([0, *sorted(cuts), n])
    fires = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    fired, n_fired = np.zeros(n, np.uint32), np.zeros(parts, np.int64)
    for p in range(parts):
        ids = bounds[p] + np.flatnonzero(fires[bounds[p] : bounds[p + 1]])
        fired[bounds[p] : bounds[p] + ids.size], n_fired[p] = ids, ids.size
    spikes, stop = np.zeros((1, len(sizes)), np.int32), np.cumsum(sizes)
    cpu.census(spikes, fired[None], n_fired[None], bounds, stop, np.arange(len(sizes)))
    owner = np.repeat(np.arange(len(sizes)), sizes)
    np.testing.assert_array_equal(spikes[0], np.bincount(owner[fires], minlength=len(sizes)))
