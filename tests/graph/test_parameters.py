"""A parameter has one finite value within its bounds for each population or neuron."""

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import InputError
from dtbdask.graph.parameters import PARAMETERS, Parameters, check
from dtbdask.kernels import RECEPTORS

NAMES = st.sampled_from(sorted(PARAMETERS))


def test_defaults_are_those_of_dtbs_regional_example():
    default = {name: parameter.default for name, parameter in PARAMETERS.items()}
    assert default == {
        "c": 0.5, "t_ref": 2.0, "g_l": 0.025, "v_l": -70.0, "v_th": -50.0, "v_reset": -55.0,
        "i_ext": 0.0, "excluded": 0.0,
        "noise_rate": 0.0, "ou_mean": 0.5, "ou_sigma": 0.15, "ou_tau": 4.0,
        "g_ampa": 0.002, "g_nmda": 0.0, "g_gaba_a": 0.01, "g_gaba_b": 0.0,
        "e_ampa": 0.0, "e_nmda": 0.0, "e_gaba_a": -70.0, "e_gaba_b": -100.0,
        "tau_ampa": 2.0, "tau_nmda": 40.0, "tau_gaba_a": 20.0, "tau_gaba_b": 50.0,
        "g_t": 0.0, "e_t": 120.0, "v_h": -70.0, "tau_h_minus": 20.0, "tau_h_plus": 100.0,
        "h_init": 0.5, "g_da": 0.0, "e_da": 0.0, "g_ahp": 0.0, "e_k": -80.0, "tau_ca": 50.0,
        "alpha_ca": 0.2, "ca_init": 0.0,
    }  # fmt: skip
    for name, parameter in PARAMETERS.items():
        assert parameter.name == name
        assert parameter.unit
        assert parameter.meaning
        assert parameter.low <= parameter.default <= parameter.high


@given(name=NAMES, n=st.integers(1, 6), shift=st.floats(0, 0.4), own=st.booleans())
@settings(max_examples=60, deadline=None)
def test_values_given_are_the_values_held_and_the_rest_is_default(name, n, shift, own):
    step = np.floor if PARAMETERS[name].whole else float
    values = PARAMETERS[name].default + np.array([step(shift * k / n) for k in range(n)])
    made = Parameters.make(n, {name: values if own else values[0]})
    for other in made:
        meant = PARAMETERS[other].default if other != name else values if own else values[0]
        np.testing.assert_array_equal(made.population[other], np.broadcast_to(meant, (n,)))
        assert made.population[other].dtype == np.float64
        assert made.on(other) == bool(np.any(made.population[other]))
    assert list(made) == list(PARAMETERS)


def test_what_is_held_is_a_copy():
    given_values = np.full(3, 0.001)
    made = Parameters.make(3, {"g_ampa": given_values})
    given_values[:] = 9
    assert (made.population["g_ampa"] == 0.001).all()
    made.population["g_l"][0] = 9
    assert (Parameters.make(3).population["g_l"] == 0.025).all()


@given(n=st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_neurons_may_have_values_of_their_own(n):
    values = np.linspace(0, 1, n)
    made = Parameters.make(2).with_neuron({"g_nmda": values}, n).with_neuron({"i_ext": -values}, n)
    np.testing.assert_array_equal(made.neuron["g_nmda"], values)
    np.testing.assert_array_equal(made.neuron["i_ext"], -values)
    assert made.on("g_nmda") == (n > 1)
    assert not made.on("g_gaba_b")
    assert not made.with_neuron({"g_ampa": 0.0}, n).on("g_ampa")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("g_xyz", 1.0, "unknown parameter 'g_xyz'; known are c, t_ref"),
        ("c", 0.0, r"c is 0 1; expected a finite value from 1e-09 to inf"),
        ("g_ampa", -0.1, r"g_ampa is -0.1 1/ms"),
        ("noise_rate", 1.5, r"noise_rate is 1.5 1/step; .* from 0 to 1"),
        ("tau_nmda", [40.0, 0.0, 40.0], r"tau_nmda of population 1 is 0 ms"),
        ("v_l", np.nan, "v_l is nan mV"),
        ("i_ext", [0, 0, np.inf], "i_ext of population 2 is inf"),
        ("g_l", [0.1, 0.2], r"g_l has shape \(2,\); expected one value or \(3,\) population"),
        ("g_l", np.ones((3, 1)), r"g_l has shape \(3, 1\)"),
        ("g_l", "much", "g_l: 'much' is not a number"),
        ("g_l", {"E": 1}, "g_l: .* is not a number"),
        ("v_reset", -50.0, "v_reset of population 0 is -50 mV, not below its v_th of -50 mV"),
        ("v_th", [-50.0, -60.0, -50.0], "v_reset of population 1 is -55 mV, not below .* -60"),
    ],
)
def test_a_wrong_value_is_refused_with_name_value_and_what_is_right(name, value, told):
    with pytest.raises(InputError, match=told):
        Parameters.make(3, {name: value})


@pytest.mark.parametrize("value", [-1.0, np.nan, [0.1, 0.2], "much"])
def test_a_wrong_value_of_a_neuron_is_refused(value):
    with pytest.raises(InputError, match="g_ampa"):
        Parameters.make(2).with_neuron({"g_ampa": value}, 5)
    with pytest.raises(InputError, match="neuron"):
        check("g_ampa", [0.1, 0.2, -1.0], 3, "neuron")


def test_an_unknown_parameter_of_neurons_is_refused_by_name():
    with pytest.raises(InputError, match="g_xyz"):
        Parameters.make(2).with_neuron({"g_xyz": 1.0}, 5)


def test_a_reset_of_a_neuron_must_be_below_its_threshold():
    with pytest.raises(InputError, match=r"neuron 2 .*v_th|v_reset .*neuron 2"):
        Parameters.make(2).with_neuron({"v_reset": [-55.0, -55.0, -45.0]}, 3)


def test_parameters_travel():
    made = Parameters.make(2, {"g_l": [0.1, 0.2]}).with_neuron({"v_th": -49.0}, 4)
    back = pickle.loads(pickle.dumps(made))
    for name in made:
        np.testing.assert_array_equal(back.population[name], made.population[name])
    np.testing.assert_array_equal(back.neuron["v_th"], made.neuron["v_th"])


def test_receptors_have_conductance_reversal_and_decay():
    for receptor in RECEPTORS:
        kinds = {name for name in PARAMETERS if re.fullmatch(rf"(g|e|tau)_{receptor}", name)}
        assert len(kinds) == 3
