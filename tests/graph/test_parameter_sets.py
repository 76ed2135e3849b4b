"""DTB's sets: complete, within bounds, spread by slot, and the numbers that DTB published."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import InputError
from dtbdask.graph.layouts import LAYOUTS
from dtbdask.graph.parameter_sets import PARAMETER_SETS, ParameterSet, parameter_set, spread
from dtbdask.graph.parameters import PARAMETERS, Parameters
from dtbdask.kernels import RECEPTORS

MEMBRANE = {"c", "t_ref", "g_l", "v_l", "v_th", "v_reset"}
DRIVE = {"i_ext", "noise_rate", "ou_mean", "ou_sigma", "ou_tau"}
OF_RECEPTORS = {f"{kind}_{receptor}" for kind in ("g", "e", "tau") for receptor in RECEPTORS}
CALIBRATED = ("voxel", "voxel-early", "column", "mixed", "critical", "critical-small")

every = pytest.mark.parametrize("name", PARAMETER_SETS)


def four(values, kind="g"):
    return tuple(values[f"{kind}_{receptor}"] for receptor in RECEPTORS)


# What any set is


@every
def test_a_set_has_every_constant_a_simulation_needs(name):
    made = PARAMETER_SETS[name]
    for slot in made.slots or (None,):
        assert set(made.of(slot)) >= MEMBRANE | DRIVE | OF_RECEPTORS


@every
def test_a_set_says_where_it_is_from_and_what_is_open(name):
    made = PARAMETER_SETS[name]
    assert made.name == name
    assert "DTB" in made.source + made.notes
    assert made.notes.endswith(".")
    assert "{" not in made.notes
    assert made.dt_ms in (1.0, 0.1)
    if name in ("voxel", "voxel-early", "column", "critical", "critical-small"):
        assert "open" in made.notes


@every
def test_a_set_is_what_parameters_take(name):
    slots = list(PARAMETER_SETS[name].slots) or ["E", "I"]
    made = Parameters.make(len(slots), spread(name, slots))
    for p, slot in enumerate(slots):
        for parameter, value in PARAMETER_SETS[name].of(slot).items():
            assert made.population[parameter][p] == value


@every
def test_a_set_travels(name):
    made = PARAMETER_SETS[name]
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_set_without_slots_is_one_value_each_for_any_population():
    made = spread("voxel", ["E", "I", "whatever"])
    assert made == PARAMETER_SETS["voxel"].values
    assert all(isinstance(value, float) for value in made.values())


@given(st.lists(st.sampled_from(list(PARAMETER_SETS["mixed"].slots)), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_each_population_has_the_value_of_its_slot_wherever_it_stands(slots):
    made = spread("mixed", slots)
    by_slot = PARAMETER_SETS["mixed"].slots
    for receptor in RECEPTORS:
        expected = [by_slot[slot][f"g_{receptor}"] for slot in slots]
        np.testing.assert_array_equal(made[f"g_{receptor}"], expected)
    assert {name for name, value in made.items() if isinstance(value, np.ndarray)} == {
        f"g_{receptor}" for receptor in RECEPTORS
    }


@pytest.mark.parametrize(
    ("name", "layout"),
    [("column", "column"), ("column", "column-l5"), ("mixed", "mixed"), ("voxel", "voxel")],
)
def test_the_slots_of_a_layout_are_known_to_its_set(name, layout):
    slots = LAYOUTS[layout].slots
    assert Parameters.make(len(slots), spread(name, slots)).on("g_ampa")


def test_what_is_spread_is_a_copy():
    made = spread("column", ["L4E"])
    made["g_ampa"][:] = 9
    made["c"] = 9
    assert spread("column", ["L4E"])["g_ampa"][0] == 0.01114249
    assert PARAMETER_SETS["column"].values["c"] == 1.0


# What is refused


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: parameter_set("voxl"), "unknown parameter set 'voxl'; known are regional, voxel"),
        (lambda: spread("voxl", ["E"]), "unknown parameter set 'voxl'"),
        (lambda: spread("column", ["L4E", "E"]), "set 'column' has no slot 'E'; it has L1E, L1I"),
        (lambda: PARAMETER_SETS["column"].of(), "'column' has no slot None"),
        (lambda: ParameterSet("a", "b", {"g_xyz": 1.0}), "unknown parameter 'g_xyz'"),
        (lambda: ParameterSet("a", "b", {"c": 0.0}), "c is 0"),
        (lambda: ParameterSet("a", "b", {}, slots={"E": {"g_ampa": -1.0}}), "g_ampa is -1"),
        (
            lambda: ParameterSet("a", "b", {}, slots={"E": {"g_ampa": 1.0}, "I": {}}),
            "set 'a': its slots have values of different parameters",
        ),
        (
            lambda: ParameterSet("a", "b", {"c": 1.0}, slots={"E": {"c": 1.0}}),
            r"set 'a': \['c'\] have values for the set and for slots",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name(make, told):
    with pytest.raises(InputError, match=told):
        make()


# The published numbers

TABLE = """
L2/3E .00994619 .00093751 .1019024  .00458985
L2/3I .02032153 .00196363 .18183651 .00727698
L4E   .01114249 .00106148 .09852575 .00431849
L4I   .01995941 .00189199 .15924831 .00651926
L5E   .00954055 .00091055 .10209763 .00444712
L5I   .0243468  .00234132 .21505809 .00796669
L6E   .01004085 .00095797 .06918744 .00324963
L6I   .02127322 .00202573 .14674303 .00587307
"""
"""Conductances of the micro-column in DTB's earlier code."""


def test_the_columns_table_is_dtbs():
    slots = PARAMETER_SETS["column"].slots
    for line in TABLE.split("\n")[1:-1]:
        slot, *values = line.split()
        assert four(slots[slot]) == tuple(map(float, values))
    assert slots["L1E"] == slots["L2/3E"]
    assert slots["L1I"] == slots["L2/3I"]
    assert tuple(slots) == LAYOUTS["column"].slots


def test_an_inhibitory_neuron_of_a_layer_has_larger_conductances_than_an_excitatory_one():
    """Its in-degree is about half as large, and the currents are to be the same."""
    slots = PARAMETER_SETS["column"].slots
    for layer in ("L2/3", "L4", "L5", "L6"):
        ratio = np.divide(four(slots[f"{layer}I"]), four(slots[f"{layer}E"]))
        assert (ratio > 1.4).all()
        assert (ratio < 2.7).all()


def test_the_mixed_set_is_the_two_others_side_by_side():
    mixed = PARAMETER_SETS["mixed"]
    for slot in PARAMETER_SETS["column"].slots:
        assert mixed.of(slot) == PARAMETER_SETS["column"].of(slot)
    for slot in ("E", "I"):
        assert mixed.of(slot) == PARAMETER_SETS["voxel"].of()


@pytest.mark.parametrize(
    ("name", "conductances", "decays", "noise", "dt_ms"),
    [
        ("voxel", (.00743193, .00086915, .07027743, .00253291), (2, 40, 10, 50), .01, 1),
        ("voxel-early", (6.1645e-3, 8.9987e-4, 2.9691e-2, 1.9054e-3), (2, 40, 10, 50), .01, 1),
        ("critical", (.01837975, .00072405, .10759494, .02180028), (8, 40, 10, 50), .003, .1),
        ("critical-small", (.021304, .00013924, .158228, .0189873), (8, 40, 10, 50), 3e-4, .1),
        ("defaults", (5 / 275, 5 / 4000, 3 / 30, 3 / 730), (2, 40, 10, 50), .01, 1),
        ("regional", (.002, 0, .01, 0), (2, 40, 20, 50), 0, 1),
    ],
)  # fmt: skip
def test_a_published_set_is_dtbs(name, conductances, decays, noise, dt_ms):
    made = PARAMETER_SETS[name]
    values = made.of()
    assert four(values) == pytest.approx(conductances, rel=1e-12)
    assert four(values, "tau") == decays
    assert four(values, "e") == (0, 0, -70, -100)
    assert (values["noise_rate"], made.dt_ms) == (noise, dt_ms)


@pytest.mark.parametrize("name", [*CALIBRATED, "defaults", "defaults-old"])
def test_membranes_of_the_generators_are_dtbs(name):
    values = PARAMETER_SETS[name].values
    g_l = 0.001 if name == "defaults-old" else 0.03
    expected = {"c": 1, "t_ref": 5, "g_l": g_l, "v_l": -75, "v_th": -50, "v_reset": -65}
    assert {parameter: values[parameter] for parameter in expected} == expected
    assert values["ou_mean"] == values["ou_sigma"] == values["i_ext"] == 0


def test_the_old_defaults_differ_in_the_leak_alone():
    new, old = PARAMETER_SETS["defaults"].values, PARAMETER_SETS["defaults-old"].values
    assert {name for name in new if new[name] != old[name]} == {"g_l"}


def test_the_regional_set_is_the_default_but_for_the_background():
    """The demonstration has a mean current of 0.4 mV/ms."""
    values = PARAMETER_SETS["regional"].values
    for name in MEMBRANE | OF_RECEPTORS | {"noise_rate", "i_ext", "ou_sigma", "ou_tau"}:
        assert values[name] == PARAMETERS[name].default
    assert values["ou_mean"] == 0.4
