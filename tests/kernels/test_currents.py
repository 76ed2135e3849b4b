"""The auxiliary currents: bit for bit what the oracle means, and solutions of their equations."""

import numpy as np
import pytest
from networks import FOUR, make_network
from oracle import Oracle
from scipy.integrate import solve_ivp

from dtbdask.sim.block import Block
from dtbdask.sim.spec import BlockSpec

N = make_network().n_neurons
CURRENTS = {
    "g_t": 0.001, "v_h": -52.0, "tau_h_minus": 10.0, "tau_h_plus": 15.0, "g_da": 0.002,
    "e_da": -30.0, "g_ahp": 0.1, "tau_ca": 30.0,
}  # fmt: skip
"""All three on: V goes above and below V_h, and the neurons fire."""


def live(network, **options):
    return Block(BlockSpec.whole(network, **options))


def around(rng, value, share=0.3):
    return value * rng.uniform(1 - share, 1 + share, N)


def own_values():
    """Values of each neuron's own of all parameters of the currents."""
    rng = np.random.default_rng(5)
    usual = {**CURRENTS, "e_t": 120.0, "e_k": -80.0, "alpha_ca": 0.2, "h_init": 0.5, "ca_init": 0.3}
    return {name: around(rng, value, 0.02 if name == "v_h" else 0.3)
            for name, value in usual.items()}  # fmt: skip


NETWORKS = {
    "of populations": (CURRENTS, {}, "float32"),
    "of neurons": ({}, own_values(), "float64"),
}


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
    values, neuron, dtype = NETWORKS[request.param]
    return make_network(neuron=neuron, noise_rate=0.01, **FOUR, **values), dtype


@pytest.mark.parametrize(("t_steps", "threads"), [(1, 1), (3, 1), (1, 3)])
def test_every_step_is_what_the_oracle_means(case, t_steps, threads):
    network, dtype = case
    options = {"seed": 6, "t_steps": t_steps, "dtype": dtype}
    block, oracle, spikes = live(network, threads=threads, **options), Oracle(network, **options), 0
    v_h, above = oracle.plain["v_h"], 0.0
    for _ in range(200):
        meant = oracle.step()
        block.step()
        np.testing.assert_array_equal(block.global_spikes(), meant)
        for name in ("v", "ou", "refractory", "h_t", "ca"):
            found = getattr(block.state, name)[0]
            np.testing.assert_array_equal(found, getattr(oracle, name), err_msg=name)
        spikes += meant.size
        above += np.mean(oracle.v >= v_h) / 200
    assert block.state.h_t.dtype == block.state.ca.dtype == dtype
    assert 0.1 < above < 0.9
    assert 0.01 < spikes / 200 / N < 0.3
    block.close()


def test_members_have_states_of_their_own():
    network = make_network(noise_rate=0.01, **FOUR, **CURRENTS)
    block = live(network, seed=6, members=2, first_member=3)
    meant = [Oracle(network, seed=6, member=3 + m) for m in range(2)]
    for _ in range(60):
        block.step()
        for m, oracle in enumerate(meant):
            np.testing.assert_array_equal(block.global_spikes(m), oracle.step())
            np.testing.assert_array_equal(block.state.h_t[m], oracle.h_t)
            np.testing.assert_array_equal(block.state.ca[m], oracle.ca)
    assert (block.state.ca[0] != block.state.ca[1]).any()


def test_what_is_off_has_no_state_and_its_constants_change_nothing():
    others = {name: value for name, value in CURRENTS.items() if not name.startswith("g_")}
    plain, other = live(make_network(), seed=1), live(make_network(**others), seed=1)
    for _ in range(60):
        plain.step()
        other.step()
        np.testing.assert_array_equal(plain.state.v, other.state.v)
    assert plain.coefficients.features == other.coefficients.features
    assert other.state.h_t.size == other.state.ca.size == 0


# Against the equations: neurons below a threshold that they never reach

QUIET = {
    **dict.fromkeys(("g_ampa", "g_gaba_a", "ou_mean", "ou_sigma"), 0.0), "c": 0.5, "g_l": 0.025,
    "v_l": -60.0, "i_ext": 0.05, "v_th": 100.0,
}  # fmt: skip
ODES = {
    "calcium, flowing": {"g_t": 0.002, "v_h": -90.0, "v_0": -65.0},
    "calcium, recovering": {"g_t": 0.002, "v_h": 50.0, "tau_h_plus": 30.0, "v_0": -65.0},
    "dopamine": {"g_da": 0.01, "e_da": -40.0, "v_0": -65.0},
    "adaptation": {"g_ahp": 0.05, "ca_init": 1.5, "v_0": -50.0},
}
CROSSING = {"g_t": 0.002, "v_h": -62.0, "tau_h_plus": 20.0, "v_0": -70.0}
END_MS = 40


def network_of(values):
    """Neurons that begin at V = `v_0`, half-way between reset and threshold."""
    given = {**QUIET, **values}
    v_0 = given.pop("v_0")
    network = make_network(neurons=60, degree=2, **given, v_reset=2 * v_0 - given["v_th"])
    return network, {k: v[0] for k, v in network.parameters.population.items()}, v_0


def derivative(t, state, p):
    """V, recovery of the calcium current and [Ca], by the equations."""
    v, h, ca = state
    flows = v >= p["v_h"]
    current = p["g_l"] * (p["v_l"] - v) + p["i_ext"]
    current -= p["g_t"] * h * (v - p["e_t"]) * flows
    current -= p["g_da"] * (v - p["e_da"])
    current += p["g_ahp"] * ca * (p["e_k"] - v)
    change = -h / p["tau_h_minus"] if flows else (1 - h) / p["tau_h_plus"]
    return [current / p["c"], change, -ca / p["tau_ca"]]


def solution(p, v_0):
    """V, h and [Ca] at every ms: (3, ms)."""
    start = [v_0, p["h_init"], p["ca_init"]]
    return solve_ivp(
        derivative, (0, END_MS), start, args=(p,), t_eval=np.arange(1, END_MS + 1), rtol=1e-9,
        atol=1e-9, max_step=0.02,
    ).y  # fmt: skip


def stepped(network, p, per_ms):
    """The same of a block with some steps a ms."""
    block, seen = live(network, seed=0, dt_ms=1 / per_ms, dtype="float64"), []
    fields = {"v": p["v_l"], "h_t": p["h_init"], "ca": p["ca_init"]}
    for _ in range(END_MS):
        for _ in range(per_ms):
            block.step()
        assert block.global_spikes().size == 0
        states = (getattr(block.state, name) for name in fields)
        seen.append([x[0, 0] if x.size else np.nan for x in states])
    return np.array(seen).T


@pytest.mark.parametrize("name", ODES)
def test_v_converges_to_the_solution_with_order_one(name):
    network, p, v_0 = network_of(ODES[name])
    meant = solution(p, v_0)
    assert np.ptp(meant[0]) > 2
    found = [stepped(network, p, per_ms) for per_ms in (8, 16, 32)]
    error = np.array([np.abs(f[0] - meant[0]).max() for f in found])
    assert error[-1] < 0.05
    np.testing.assert_allclose(error[:-1] / error[1:], 2, rtol=0.08)
    own = {"calcium": 1, "adaptation": 2}.get(name.partition(",")[0])
    if own:  # exact, since V stays on one side of V_h, whatever the step
        np.testing.assert_allclose([f[own] for f in found], [meant[own]] * 3, rtol=1e-7)


def test_v_follows_the_solution_when_the_calcium_current_sets_in_on_the_way():
    network, p, v_0 = network_of(CROSSING)
    meant = solution(p, v_0)
    assert meant[0].min() < p["v_h"] < meant[0].max()
    found = stepped(network, p, 50)
    np.testing.assert_allclose(found[0], meant[0], atol=0.1)
    np.testing.assert_allclose(found[1], meant[1], atol=0.002)
