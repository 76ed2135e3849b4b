"""Values of single neurons, given or drawn: stored, opened equal, and the same for every seed."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_brain

from dtbdask.errors import InputError
from dtbdask.graph.build import build
from dtbdask.graph.factors import gamma_factors
from dtbdask.graph.network import open_network
from dtbdask.graph.parameters import PARAMETERS, Parameters
from dtbdask.graph.population import populate

SMALL = {"neurons": 300, "degree": 10, "seed": 5, "synapses": "procedural"}
N = populate(make_brain(), 300, 10).n_neurons
SIZE = populate(make_brain(), 300, 10).size


def factors_of(network, name):
    """Value of each neuron over that of its population."""
    of_population = np.repeat(network.parameters.population[name], network.populations.size)
    return network.parameters.neuron[name] / of_population


def drawn_factors(name, n=N, shape=5.0, seed=5):
    return gamma_factors(seed, list(PARAMETERS).index(name), n, shape)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Values of single neurons of several parameters, not in the order of `PARAMETERS`."""
    return build(
        make_brain(), tmp_path_factory.mktemp("network") / "brain.zarr",
        parameters={"g_ampa": np.linspace(0.001, 0.002, 6), "g_nmda": 0.0003},
        neuron_parameters={"v_th": np.linspace(-50, -45, N), "c": 0.6},
        gamma={"g_nmda": 2.0, "g_ampa": 5.0}, **SMALL,
    )  # fmt: skip


def test_values_of_neurons_are_stored_and_opened_equal(network):
    meant = {
        "v_th": np.linspace(-50, -45, N),
        "c": np.full(N, 0.6),
        "g_ampa": np.repeat(np.linspace(0.001, 0.002, 6), SIZE) * drawn_factors("g_ampa"),
        "g_nmda": 0.0003 * drawn_factors("g_nmda", shape=2.0),
    }
    group = zarr.open_group(network.path, mode="r")
    for held in (network, open_network(network.path)):
        assert set(held.parameters.neuron) == set(meant)
        for name, values in meant.items():
            np.testing.assert_array_equal(held.parameters.neuron[name], values, err_msg=name)
            array = group[f"neuron/parameter/{name}"]
            assert array.metadata.dimension_names == ("neuron",)
            assert array.attrs["units"] == PARAMETERS[name].unit
        assert held.attributes["gamma"] == {"g_nmda": 2.0, "g_ampa": 5.0}


def test_values_of_populations_stay_beside_those_of_neurons(network):
    population = network.parameters.population
    np.testing.assert_array_equal(population["g_ampa"], np.linspace(0.001, 0.002, 6))
    assert (population["v_th"] == PARAMETERS["v_th"].default).all()
    assert set(population) == set(PARAMETERS)


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_in_which_they_are_given_is_nothing(tmp_path, order):
    own = dict([("c", 0.6), ("v_th", -49.0)][::order])
    gamma = dict([("g_l", 4.0), ("g_gaba_a", 6.0)][::order])
    path = tmp_path / "brain.zarr"
    build(make_brain(), path, neuron_parameters=own, gamma=gamma, **SMALL)
    held = open_network(path).parameters.neuron
    np.testing.assert_array_equal(held["g_l"], 0.025 * drawn_factors("g_l", shape=4.0))
    assert (held["v_th"] == -49.0).all()


@pytest.mark.parametrize("change", [{"degree": 12}, {"neurons": 420}, {"weights": (0, 9)}], ids=str)
def test_a_neuron_keeps_its_factor_whatever_else_changes(network, tmp_path, change):
    gamma = {"g_ampa": 5.0}
    other = build(make_brain(), tmp_path / "brain.zarr", gamma=gamma, **{**SMALL, **change})
    found = factors_of(other, "g_ampa")
    np.testing.assert_allclose(found[:N], factors_of(network, "g_ampa"), rtol=1e-14)
    assert found.size == other.n_neurons >= N


def test_factors_follow_seed_and_parameter(network, tmp_path):
    arguments = {**SMALL, "seed": 6, "gamma": {"g_ampa": 5.0, "g_l": 5.0}}
    other = build(make_brain(), tmp_path / "brain.zarr", **arguments)
    one, two = factors_of(other, "g_ampa"), factors_of(other, "g_l")
    np.testing.assert_allclose(one, drawn_factors("g_ampa", seed=6), rtol=1e-14)
    assert (one != factors_of(network, "g_ampa")).all()
    assert (one != two).all()


@given(n=st.integers(0, 9000), more=st.integers(0, 9000), name=st.sampled_from(list(PARAMETERS)))
@settings(max_examples=30, deadline=None)
def test_factors_are_a_prefix_of_those_of_more_neurons(n, more, name):
    np.testing.assert_array_equal(drawn_factors(name, n), drawn_factors(name, n + more)[:n])


def test_the_factors_of_a_build_have_mean_one_and_variance_one_over_shape(tmp_path):
    arguments = {**SMALL, "neurons": 40_000, "gamma": {"g_ampa": 8.0}}
    found = factors_of(build(make_brain(), tmp_path / "brain.zarr", **arguments), "g_ampa")
    assert abs(found.mean() - 1) < 5 / np.sqrt(8 * found.size)
    assert abs(found.var() * 8 - 1) < 5 * np.sqrt((2 + 6 / 8) / found.size)
    assert found.min() > 0


# What is refused


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"neuron_parameters": {"g_l": 0.1, "c": 1}, "gamma": {"g_l": 5.0}},
         r"gamma: \['g_l'\] are in neuron_parameters too"),
        ({"gamma": {"g_xyz": 5.0}}, "unknown parameter 'g_xyz'"),
        ({"gamma": {"g_l": 0.0}}, "gamma .*is 0"),
        ({"gamma": {"g_l": -2.0}}, "gamma .*is -2"),
        ({"gamma": {"g_l": np.inf}}, "gamma .*is inf"),
        ({"gamma": {"g_l": np.nan}}, "gamma .*is nan"),
        ({"gamma": {"g_l": "much"}}, "gamma .*much"),
        ({"gamma": {"noise_rate": 0.1}, "parameters": {"noise_rate": 0.4}},
         r"noise_rate of neuron \d+ is .* from 0 to 1"),
        ({"gamma": {"v_th": 3.0}}, r"v_reset of neuron \d+ is -55 mV, not below its v_th"),
        ({"neuron_parameters": {"g_l": [0.1, 0.2]}}, rf"g_l has shape \(2,\); .* \({N},\) neuron"),
        ({"neuron_parameters": {"g_l": -0.1}}, "g_l is -0.1"),
        ({"neuron_parameters": {"g_l": [0.1] * (N - 1) + [np.nan]}},
         f"g_l of neuron {N - 1} is nan"),
        ({"neuron_parameters": {"excluded": 2.0}}, "excluded is 2 1; .* from 0 to 1"),
        ({"neuron_parameters": {"v_reset": [-55.0] * (N - 1) + [-50.0]}},
         rf"v_reset of neuron {N - 1} is -50 mV, not below its v_th of -50 mV"),
        ({"neuron_parameters": {"v_reset": -48.0, "v_th": [-47.0] * 9 + [-49.0] * (N - 9)}},
         r"v_reset of neuron 9 is -48 mV, not below its v_th of -49 mV"),
        ({"parameters": {"v_reset": [-60.0] * 5 + [-50.5]}, "neuron_parameters": {"v_th": -51.0}},
         rf"v_reset of neuron {N - SIZE[-1]} is -50.5 mV, not below its v_th of -51 mV"),
        ({"parameters": {"v_th": [-40.0] * 5 + [-50.0]}, "neuron_parameters": {"v_reset": -45.0}},
         rf"v_reset of neuron {N - SIZE[-1]} is -45 mV, not below its v_th of -50 mV"),
    ],
)  # fmt: skip
def test_values_of_neurons_that_make_no_sense_are_refused(tmp_path, arguments, told):
    with pytest.raises(InputError, match=told):
        build(make_brain(), tmp_path / "brain.zarr", **arguments, **SMALL)
    assert not (tmp_path / "brain.zarr").exists()


def test_neurons_of_a_higher_threshold_may_have_a_higher_reset(tmp_path):
    """What counts is the reset and the threshold of each neuron, not of any two."""
    high = [-50.0] * 5 + [-30.0]
    own = {"v_reset": np.repeat([-55.0] * 5 + [-40.0], SIZE)}
    path = tmp_path / "brain.zarr"
    build(make_brain(), path, parameters={"v_th": high}, neuron_parameters=own, **SMALL)
    np.testing.assert_array_equal(open_network(path).parameters.neuron["v_reset"], own["v_reset"])


# Neurons left out of the statistics


def test_neurons_are_excluded_by_population_or_one_by_one(tmp_path):
    nobody = build(make_brain(), tmp_path / "nobody.zarr", **SMALL)
    assert not nobody.parameters.on("excluded")
    some = np.arange(N) % 7 == 0
    by_neuron = build(
        make_brain(), tmp_path / "neurons.zarr", neuron_parameters={"excluded": some}, **SMALL
    )
    assert by_neuron.parameters.on("excluded")
    held = open_network(by_neuron.path).parameters
    np.testing.assert_array_equal(held.neuron["excluded"], some)
    assert not held.population["excluded"].any()
    whole = {"excluded": [0, 0, 1, 0, 0, 1]}
    by_population = build(make_brain(), tmp_path / "whole.zarr", parameters=whole, **SMALL)
    held = open_network(by_population.path).parameters
    assert held.population["excluded"].tolist() == whole["excluded"]
    assert "excluded" not in held.neuron


@pytest.mark.parametrize("value", [-1.0, 2.0, np.nan])
def test_a_population_is_excluded_or_not(value):
    with pytest.raises(InputError, match=f"excluded is {value:g}"):
        Parameters.make(3, {"excluded": value})
