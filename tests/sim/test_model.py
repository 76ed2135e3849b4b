"""Coefficients are the model's formulas of base times multiplier, per population or neuron."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import InputError
from dtbdask.graph.parameters import PARAMETERS, Parameters
from dtbdask.kernels import N_COEFFICIENTS, RECEPTORS, Coefficient, Features
from dtbdask.sim.model import FORMULAS, coefficients

POPULATION = np.repeat([0, 1, 2], [4, 5, 6])
C = Coefficient
OTHER = {"excluded", "h_init", "ca_init"}
"""Parameters that no sub-step needs."""
FORMULA_OF = sorted(set(PARAMETERS) - OTHER)


def make(parameters, multiplier=None, members=1, h=1.0, dtype="float64", start=0, stop=15):
    return coefficients(
        parameters, multiplier or {}, POPULATION[start:stop], members=members, h=h, dtype=dtype,
        start=start,
    )  # fmt: skip


def meant(p, h):
    """Every coefficient from the parameters of one neuron, by the equations of the model."""
    table = {
        C.H_OVER_C: h / p["c"], C.G_L: p["g_l"], C.V_L: p["v_l"], C.V_TH: p["v_th"],
        C.V_RESET: p["v_reset"], C.I_EXT: p["i_ext"], C.REFRACTORY: max(1, round(p["t_ref"] / h)),
        C.OU_MEAN: p["ou_mean"], C.OU_RATE: 1 - np.exp(-h / p["ou_tau"]),
        C.OU_KICK: p["ou_sigma"] * np.sqrt(1 - np.exp(-2 * h / p["ou_tau"])),
        C.NOISE: p["noise_rate"], C.G_T: p["g_t"], C.E_T: p["e_t"], C.V_H: p["v_h"],
        C.H_DECAY: np.exp(-h / p["tau_h_minus"]), C.H_RATE: 1 - np.exp(-h / p["tau_h_plus"]),
        C.G_DA: p["g_da"], C.E_DA: p["e_da"], C.G_AHP: p["g_ahp"], C.E_K: p["e_k"],
        C.CA_DECAY: np.exp(-h / p["tau_ca"]), C.CA_KICK: p["alpha_ca"],
    }  # fmt: skip
    for u, name in enumerate(RECEPTORS):
        table[C.G + u], table[C.V_U + u] = p[f"g_{name}"], p[f"e_{name}"]
        table[C.DECAY + u] = np.exp(-h / p[f"tau_{name}"])
    return [table[k] for k in range(N_COEFFICIENTS)]


def drawn(seed, n):
    rng = np.random.default_rng(seed)
    values = {name: p.default * rng.uniform(0.8, 1.2, n) for name, p in PARAMETERS.items()}
    values |= {name: rng.uniform(0, 0.01, n) for name in ("g_nmda", "g_gaba_b", "noise_rate")}
    values |= {name: rng.uniform(0, 0.01, n) for name in ("g_t", "g_da", "g_ahp")}
    return values | {"v_th": rng.uniform(-50, -45, n), "v_reset": rng.uniform(-60, -55, n)}


def test_every_coefficient_has_a_formula():
    assert sorted(FORMULAS) == list(range(N_COEFFICIENTS))
    assert {name for _, names in FORMULAS.values() for name in names} == set(PARAMETERS) - OTHER


@given(seed=st.integers(0, 99), h=st.sampled_from([0.1, 0.25, 1.0]), members=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_populations_and_members_get_base_times_multiplier(seed, h, members):
    base, factor = drawn(seed, 3), np.random.default_rng(seed).uniform(0.9, 1.1, (members, 3))
    which = FORMULA_OF[seed % len(FORMULA_OF)]
    made = make(Parameters.make(3, base), {which: factor}, members, h)
    for m in range(members):
        for q in range(3):
            p = {
                name: values[q] * (factor[m, q] if name == which else 1)
                for name, values in base.items()
            }
            np.testing.assert_allclose(made.value[m, q], meant(p, h), rtol=1e-12)
    assert made.factor.shape == (0, 15)
    assert made.features.slots == (-1,) * N_COEFFICIENTS


@given(seed=st.integers(0, 99), own=st.sets(st.sampled_from(sorted(PARAMETERS)), min_size=1),
       start=st.integers(0, 14), length=st.integers(1, 15))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_neurons_with_values_of_their_own_get_the_formula_of_these(seed, own, start, length):
    """What a kernel multiplies, population value by neuron factor, is the coefficient."""
    stop = min(15, start + length)
    base, neuron = drawn(seed, 3), drawn(seed + 1, 15)
    parameters = Parameters.make(3, base).with_neuron({name: neuron[name] for name in own}, 15)
    made = make(parameters, start=start, stop=stop)
    for k, i in enumerate(range(start, stop)):
        q = POPULATION[i]
        p = {name: neuron[name][i] if name in own else base[name][q] for name in PARAMETERS}
        slots = made.features.slots
        found = [
            made.value[0, q, c] * (made.factor[slots[c], k] if slots[c] >= 0 else 1)
            for c in range(N_COEFFICIENTS)
        ]
        np.testing.assert_allclose(found, meant(p, 1.0), rtol=1e-12)


def test_a_linear_parameter_of_neurons_keeps_its_multipliers_apart():
    neuron = np.linspace(0.001, 0.002, 15)
    parameters = Parameters.make(3).with_neuron({"g_ampa": neuron}, 15)
    factor = np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]])
    made = make(parameters, {"g_ampa": factor}, members=2)
    np.testing.assert_array_equal(made.value[:, :, C.G], factor)
    np.testing.assert_array_equal(made.factor[made.features.slots[C.G]], neuron)


@pytest.mark.parametrize("name", ["c", "t_ref", "ou_tau", "tau_nmda"])
def test_a_multiplier_on_a_time_constant_of_neurons_is_refused(name):
    parameters = Parameters.make(3).with_neuron({name: np.linspace(1, 2, 15)}, 15)
    with pytest.raises(InputError, match=f"{name} is set per neuron and cannot be multiplied"):
        make(parameters, {name: np.full((1, 3), 2.0)})


def test_the_message_of_a_multiplier_names_the_parameter_that_was_multiplied():
    """The deviation is multiplied; its correlation time has values of its own."""
    parameters = Parameters.make(3).with_neuron({"ou_tau": np.linspace(3, 5, 15)}, 15)
    with pytest.raises(InputError, match="ou_sigma"):
        make(parameters, {"ou_sigma": np.full((1, 3), 2.0)})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_numbers_are_rounded_once_to_the_dtype_of_the_state(dtype):
    parameters = Parameters.make(3).with_neuron({"v_th": np.linspace(-50, -49, 15)}, 15)
    made, exact = make(parameters, dtype=dtype), make(parameters)
    assert made.value.dtype == made.factor.dtype == dtype
    np.testing.assert_array_equal(made.value, exact.value.astype(dtype))
    np.testing.assert_array_equal(made.factor, exact.factor.astype(dtype))


@given(on=st.sets(st.sampled_from(["g_ampa", "g_nmda", "g_gaba_a", "g_gaba_b", "ou_mean",
                                   "ou_sigma", "noise_rate", "g_t", "g_da", "g_ahp"])))  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_what_is_zero_everywhere_is_off_and_all_blocks_agree(on):
    zero = dict.fromkeys(("g_ampa", "g_gaba_a", "ou_mean", "ou_sigma"), 0.0)
    parameters = Parameters.make(3, zero | {name: [0, 0, 0.1] for name in on})
    made = [make(parameters, start=start, stop=start + 5) for start in (0, 5, 10)]
    assert len({m.features for m in made}) == 1
    features = made[0].features
    assert features.receptors == tuple(f"g_{name}" in on for name in RECEPTORS)
    assert features.background == bool(on & {"ou_mean", "ou_sigma"})
    assert features.noise == ("noise_rate" in on)
    assert (features.calcium, features.dopamine) == ("g_t" in on, "g_da" in on)
    assert features.adaptation == ("g_ahp" in on)
    assert features.paired == ({"g_ampa", "g_nmda"} <= on or {"g_gaba_a", "g_gaba_b"} <= on)
    if not on:
        own = parameters.with_neuron({"g_nmda": np.eye(1, 15, 3)[0]}, 15)
        assert make(own, stop=3).features.receptors == (False, True, False, False)
    assert isinstance(features, Features)


@pytest.mark.parametrize("own", [False, True])
def test_a_refractory_period_beyond_the_counter_is_refused_with_both_numbers(own):
    parameters = Parameters.make(3, {"t_ref": 65.535})
    if own:
        parameters = Parameters.make(3).with_neuron({"t_ref": 65.535}, 15)
    assert make(parameters, h=0.001).features
    with pytest.raises(InputError, match=r"t_ref takes 65,536 sub-steps; at most 65,535"):
        make(parameters, {} if own else {"t_ref": np.full((1, 3), 1.00001)},
             h=0.001 / 1.00001 if own else 0.001)  # fmt: skip
