"""Tables of a sound network have no findings; each table that is edited is named."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from networks import drawn_populations, make_network

from dtbdask.graph.checking.consistency import (
    indptr_findings,
    mixture_findings,
    of_neurons,
    parameter_findings,
    population_findings,
)
from dtbdask.graph.parameters import Parameters


def edited(thing, name, at, value):
    """A copy with an entry of one array changed; with `at` None the array is made shorter."""
    values = np.array(getattr(thing, name))
    if at is None:
        values = values[:-1]
    else:
        values[at] = value
    return dataclasses.replace(thing, **{name: values})


@pytest.fixture(scope="module")
def network():
    return make_network()


@given(drawn_populations())
@settings(max_examples=30, deadline=None)
def test_sound_tables_have_no_findings(populations):
    n = populations.size.size
    assert not list(population_findings(populations, n, 1, recipe=True))
    assert not list(mixture_findings(populations.mixture, n, recipe=True))
    assert not list(parameter_findings(Parameters.make(n), populations.size))


@pytest.mark.parametrize(
    ("name", "at", "value", "told"),
    [
        ("size", 1, 1, "population 1 has 1; expected 2 to 4,294,967,295"),
        ("voxel", 5, 3, "population 5 has 3; expected 0 to 2"),
        ("slot", 0, -1, "population 0 has -1; expected 0 to 1"),
        ("degree", 2, 0, "population 2 has 0; expected 1 to 65,535"),
        ("excitatory", None, None, "it has 5 entries, population/size has 6"),
        ("size", 0, 2**32, "they add up to 4,294,967,"),
    ],
)
def test_an_edited_population_is_named(network, name, at, value, told):
    found = list(
        population_findings(edited(network.populations, name, at, value), 3, 2, recipe=True)
    )
    assert any(told in finding.told for finding in found)
    assert {finding.place for finding in found} == {f"array 'population/{name}'"}


@pytest.mark.parametrize(
    ("name", "at", "value", "told"),
    [
        ("indptr", 2, 99, "it must rise from 0 to 18"),
        ("indptr", None, None, "it has 6 entries; expected 7"),
        ("far_indptr", 3, 7, "it must rise from 0 to 6"),
        ("share", None, None, "it has 17 entries; expected 18"),
        ("source", 3, 6, "term 3 leads to a population beyond the 6 there are"),
        ("source", 2, 2, "term 2 leads to a population beyond the 6 there are"),
        ("table", 2, 3, "term 2 names table 3; expected -1 to 2"),
        ("far_population", 0, 6, "beyond the 6 there are"),
        ("far_population", 0, -1, "beyond the 6 there are"),
        ("share", 2, 0.3, "those of population 0 add up to 1.01429; they must make 1"),
        ("share", 2, np.nan, "entry 2 is nan; shares are 0 or more"),
        ("far_share", 5, 9.0, "those of table 2 add up to"),
    ],
)
def test_an_edited_mixture_is_named(network, name, at, value, told):
    mixture = edited(network.populations.mixture, name, at, value)
    found = list(mixture_findings(mixture, 6, recipe=True))
    assert any(told in finding.told for finding in found), found
    assert any(f"mixture/{name}" in finding.place for finding in found)


def test_an_imported_network_needs_no_mixture_and_may_have_silent_populations(network):
    none = dataclasses.replace(network.populations, size=np.array([0, 1, 5, 0, 3, 1]))
    assert not list(population_findings(none, 3, 2, recipe=False))
    assert list(population_findings(none, 3, 2, recipe=True))


@pytest.mark.parametrize(
    ("at", "value", "told"),
    [
        (7, 10**6, "neuron 7 has -999,840 synapses"),
        (0, 1, "it starts at 1"),
        (None, None, "neurons need"),
        (-1, 20 * 598, "one of its neurons has more"),
        (-1, 20 * 598, "the largest is 40, the root attribute says 20"),
    ],
)
def test_wrong_in_degrees_are_told(network, at, value, told):
    table = network.populations
    indptr = np.arange(0, 20 * table.n_neurons + 1, 20)
    assert not list(indptr_findings(indptr, table, 20))
    if at is None:
        indptr = indptr[:-1]
    else:
        indptr[at] = value
    found = list(indptr_findings(indptr, table, 20))
    assert any(told in finding.told for finding in found), found


def test_parameters_beyond_their_bounds_are_named_with_their_array(network):
    size, now = network.populations.size, network.parameters
    wrong = {**now.population, "g_l": np.full(6, -1.0)}
    arrays = {"population/parameter/g_l": "population/parameter/g_l.3"}
    (finding,) = parameter_findings(Parameters(wrong), size, arrays)
    assert finding.place == "array 'population/parameter/g_l.3'"
    assert finding.told.startswith("g_l of population 0 is -1 1/ms; expected")
    (finding,) = parameter_findings(Parameters(now.population, {"c": np.ones(3)}), size)
    assert finding.told == f"c has shape (3,); expected ({size.sum()},)"


def test_a_reset_potential_is_compared_with_the_threshold_of_its_own_neuron(network):
    size, now = network.populations.size, network.parameters
    assert np.unique(of_neurons(now, "v_th", size)).tolist() == [-50.0]
    threshold = now.population["v_th"].copy()
    threshold[2] = -54.0
    reset = np.full(size.sum(), -55.0)
    reset[size[:2].sum() + 1] = -53.0  # below the other thresholds, above its own
    population = {**now.population, "v_th": threshold}
    (finding,) = parameter_findings(Parameters(population, {"v_reset": reset}), size)
    assert finding.place == f"neuron {size[:2].sum() + 1:,}"
    assert finding.told == "v_reset is -53 mV, not below its v_th of -54 mV"
    population["v_th"] = np.full(6, -56.0)
    (finding,) = parameter_findings(Parameters(population), size)
    assert finding.place == "population 0"
    assert finding.told.endswith("and 5 more are wrong")
