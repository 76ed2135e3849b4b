"""Calibrated receptors carry the currents of the formula; the formula keeps its dimensions."""

from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.errors import InputError
from dtbdask.graph.parameter_sets import PARAMETER_SETS
from dtbdask.graph.parameters import Parameters
from dtbdask.kernels import RECEPTORS
from dtbdask.sim.calibrate import CLOSE, SHARES, calibrate, label_currents
from dtbdask.sim.homogeneous import Homogeneous

SMALL = {"neurons": 200, "degree": 40, "steps": 600, "average": 300, "seed": 4}
VOXEL = PARAMETER_SETS["voxel"].of()
NEVER = 1e-12
"""Of a noise spike: its code is there, a spike is not."""


@cache
def found(seed=4):
    return calibrate("voxel", **{**SMALL, "seed": seed})


def same(one, other):
    assert one.conductances == other.conductances
    assert one.rate_hz == other.rate_hz
    np.testing.assert_array_equal(one.network.current, other.network.current)


def conductance(values):
    return np.array([values[f"g_{name}"] for name in RECEPTORS])


def block(values=VOXEL, **options):
    given = {"neurons": 300, "degree": 50, "excitatory_share": 6 / 7, "steps": 1500,
             "average": 1000, "dt_ms": 1.0, "seed": 1, **options}  # fmt: skip
    return Homogeneous(values, **given)


# The heuristic


def test_calibrated_currents_are_their_labels():
    made = found()
    assert made.converged
    assert len(made.trials) > 2
    np.testing.assert_allclose(made.current, made.label, rtol=CLOSE)
    np.testing.assert_array_equal(conductance(made.conductances), made.trials[-1].conductance)


def test_a_trial_has_the_conductances_of_the_last_times_label_over_measured():
    made = found()
    np.testing.assert_array_equal(made.trials[0].conductance, conductance(VOXEL))
    for before, after in zip(made.trials, made.trials[1:], strict=False):
        expected = before.conductance * made.label / before.current
        np.testing.assert_allclose(after.conductance, expected, rtol=1e-12)


def test_calibration_does_not_depend_on_where_it_begins():
    other = calibrate({**VOXEL, "g_ampa": 0.02, "g_nmda": 0.0002, "g_gaba_b": 0.01}, **SMALL)
    assert other.converged
    np.testing.assert_allclose(
        conductance(other.conductances), conductance(found().conductances), rtol=0.02
    )


def test_what_is_found_is_found_again_in_one_trial():
    again = calibrate({**VOXEL, **found().conductances}, **SMALL)
    assert again.converged
    assert len(again.trials) == 1
    same(again, found())


def test_the_same_seed_gives_the_same_and_another_seed_another():
    same(calibrate("voxel", **SMALL), found())
    assert found(5).conductances != found().conductances


def test_without_trials_left_it_says_that_it_did_not_converge():
    made = calibrate("voxel", **SMALL, iterations=1)
    assert not made.converged
    assert len(made.trials) == 1
    assert made.conductances == {f"g_{name}": VOXEL[f"g_{name}"] for name in RECEPTORS}


def test_twice_the_capacitance_and_leak_take_twice_the_conductances():
    """Only ratios of current, conductance and capacitance matter, in the formula too."""
    names = ("c", "g_l", *(f"g_{name}" for name in RECEPTORS))
    twice = calibrate({**VOXEL, **{name: 2 * VOXEL[name] for name in names}}, **SMALL)
    once = found()
    np.testing.assert_allclose(twice.label, 2 * once.label, rtol=1e-12)
    assert len(twice.trials) == len(once.trials)
    for name, g in once.conductances.items():
        assert twice.conductances[name] == pytest.approx(2 * g, rel=1e-6)
    assert twice.rate_hz == pytest.approx(once.rate_hz, rel=1e-3)


def test_a_receptor_that_is_off_stays_off_and_its_partner_takes_its_share():
    made = calibrate({**VOXEL, "g_nmda": 0.0, "g_gaba_b": 0.0}, **SMALL)
    label = found().label
    np.testing.assert_allclose(made.label, [label[:2].sum(), 0, label[2:].sum(), 0])
    assert made.converged
    assert made.conductances["g_nmda"] == made.conductances["g_gaba_b"] == 0
    assert made.conductances["g_ampa"] > 0


def test_a_mapping_replaces_defaults_and_takes_its_step():
    quiet = {"noise_rate": 0.001, "ou_mean": 0.0, "ou_sigma": 0.0}
    made = calibrate(quiet, **SMALL, iterations=1, dt_ms=0.5)
    values = Parameters.make(1, {}).population
    assert made.trials[0].conductance[0] == values["g_ampa"][0]
    assert made.label[0] > 0
    assert made.label[1] == made.label[3] == 0


@pytest.mark.parametrize("iterations", [1, 20])
def test_progress_tells_each_trial_and_all_of_them_in_the_end(iterations, monkeypatch):
    told = []

    @contextmanager
    def track(title, total, unit):
        told.append(-total)
        yield told.append

    monkeypatch.setattr("dtbdask.progress.track", track)
    made = calibrate("voxel", **SMALL, iterations=iterations)
    assert told[0] == -(iterations + 1)
    assert told[1:-1] == [1] * len(made.trials)
    assert sum(told) == 0


# Labels


def test_labels_are_the_formula_by_hand():
    """raise 3 and 1/3, leak 0.03 * 17.5: C = 1, T_ref = 5, V from -65 to -50, V_L = -75."""
    excitation, inhibition = 3 + 0.525, 3 - 1 / 3
    expected = [0.7 * excitation, 0.3 * excitation, 0.7 * inhibition, 0.3 * inhibition]
    np.testing.assert_allclose(label_currents(VOXEL, 20.0, 100.0), expected, rtol=1e-12)


@given(
    target=st.floats(1, 90), room=st.floats(1.01, 2), c=st.floats(0.1, 2), share=st.floats(0.1, 0.9)
)
@settings(max_examples=50, deadline=None)
def test_labels_balance_at_the_target(target, room, c, share):
    """What excitation leaves of inhibition lifts V from reset to threshold in time."""
    values = {**VOXEL, "c": c}
    label = label_currents(values, target, target * room, (share, 1 - share, share, 1 - share))
    net = label[:2].sum() - label[2:].sum() - values["g_l"] * (-57.5 + 75)
    assert net / c * (1000 / target - values["t_ref"]) == pytest.approx(15)
    assert label[0] / label[:2].sum() == pytest.approx(share)
    assert label[2] / label[2:].sum() == pytest.approx(share)


def test_constant_currents_spare_excitation():
    plain = label_currents(VOXEL, 20.0, 100.0)
    driven = label_currents({**VOXEL, "i_ext": 0.3, "ou_mean": 0.2}, 20.0, 100.0)
    assert plain[:2].sum() - driven[:2].sum() == pytest.approx(0.5)
    np.testing.assert_allclose(driven[2:], plain[2:])


# The block


def test_small_currents_are_those_of_linear_theory():
    """|I_u| = g_u |E_u - V_L| J_u; with spikes of probability p, mean weight 1/2 and decay q a step

    J_u = (in-edges of the kind) p / (2 (1 - q)).
    """
    values = {**VOXEL, "tau_nmda": 15.0, "tau_gaba_b": 25.0}
    g, drive = np.full(4, 1e-8), 0.05
    made = block(values, average=1400).isolated(g, drive)
    decay = np.exp(-1 / np.array([values[f"tau_{name}"] for name in RECEPTORS]))
    heard = 50 * np.array([6, 6, 1, 1]) / 7
    reversal = np.array([values[f"e_{name}"] for name in RECEPTORS])
    expected = g * np.abs(reversal + 75) * heard * drive / 2 / (1 - decay)
    np.testing.assert_allclose(made.current, expected, rtol=0.06)
    assert made.rate_hz == 0


@pytest.mark.parametrize("factor", [2.0, 7.0])
def test_small_currents_scale_with_conductances(factor):
    few = block(steps=400, average=200)
    once, more = (few.isolated(np.full(4, g), 0.02) for g in (1e-8, factor * 1e-8))
    np.testing.assert_allclose(more.current, factor * once.current, rtol=1e-3)


def test_isolated_neurons_are_heard_by_nobody():
    """Neurons that fire by a constant current make no current in each other."""
    firing = block({**VOXEL, "i_ext": 2.0, "noise_rate": NEVER}, steps=400, average=200)
    g = np.full(4, 1e-8)
    alone, together = firing.isolated(g, NEVER), firing.connected(g)
    assert alone.rate_hz == pytest.approx(together.rate_hz, rel=1e-3)
    assert alone.rate_hz > 20
    assert not alone.current.any()
    assert (together.current > 0).all()


def test_noise_spikes_are_heard_and_not_counted():
    made = block({**VOXEL, "noise_rate": 0.2}, steps=200, average=100).connected(np.full(4, 1e-9))
    assert made.rate_hz == 0
    assert (made.current > 0).all()


def test_a_constant_current_makes_the_rate_that_its_formula_has():
    """No leak: V rises by I h / C, 15 times, from the step in which T_ref ends."""
    values = {**VOXEL, "g_l": 0.0, "i_ext": 1.0, "noise_rate": NEVER}
    made = block(values, steps=1000, average=950).connected(np.full(4, 1e-12))
    assert made.rate_hz == pytest.approx(1000 / (5 + 15 - 1))


# What is refused


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"target_hz": 200.0}, "target_hz is 200 Hz, .* t_ref, 5 ms; use less than 200 Hz"),
        ({"max_hz": 500.0}, "max_hz is 500 Hz, a spike each 2 ms, no longer than t_ref, 5 ms"),
        ({"target_hz": 0.0}, "target_hz is 0.0; expected a finite rate above 0"),
        ({"max_hz": np.inf}, "max_hz is inf; expected a finite rate"),
        ({"target_hz": 100.0}, "max_hz is 100; expected more than target_hz, 100 Hz"),
        ({"neurons": 20}, r"neurons=20: of 16 excitatory .* to hear 34 and 6; use more than 43"),
        ({"excitatory_share": 1.0}, "excitatory_share is 1.0; expected more than 0, less than 1"),
        ({"steps": 10, "average": 11}, "average is 11; expected 1 to 10"),
        ({"iterations": 0}, "iterations is 0; expected 1 to"),
        ({"seed": -1}, "seed is -1"),
        ({"dt_ms": 0.5}, "dt_ms is 0.5; the noise_rate of 'voxel' is for 1.0 ms"),
        ({"shares": (0.7, 0.3, 0.7)}, "expected four finite numbers"),
        ({"shares": (0.7, 0.3, -0.1, 1.1)}, "expected four finite numbers of 0 or more"),
        ({"shares": (0.7, 0.3, 0.7, 0.4)}, "the first two and the last two must each sum to 1"),
    ],
)
def test_what_is_impossible_is_refused(options, told):
    with pytest.raises(InputError, match=told):
        calibrate("voxel", **{**SMALL, **options})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"g_ampa": 0.0, "g_nmda": 0.0}, "g_ampa and g_nmda are zero"),
        ({"ou_mean": 4.0}, r"i_ext \+ ou_mean is 4 mV/ms, .* use less than 3.525 mV/ms"),
        ({"e_gaba_a": -50.0}, "e_gaba_a is -50 mV; expected less than -57.5 mV"),
        ({"e_nmda": -60.0}, "e_nmda is -60 mV; expected more than -57.5 mV"),
        ({"g_xyz": 1.0}, "unknown parameter 'g_xyz'"),
    ],
)
def test_constants_that_allow_no_target_are_refused(changed, told):
    with pytest.raises(InputError, match=told):
        calibrate({**VOXEL, **changed}, **SMALL)


def test_a_receptor_without_share_needs_a_partner_with_one():
    with pytest.raises(InputError, match="g_ampa and g_nmda are zero, or have no share"):
        calibrate({**VOXEL, "g_ampa": 0.0}, **SMALL, shares=(1.0, 0.0, *SHARES[2:]))


def test_a_step_must_be_a_step():
    with pytest.raises(InputError, match="dt_ms is 0; expected more than 0"):
        calibrate(VOXEL, **SMALL, dt_ms=0)
    with pytest.raises(InputError, match="target_hz is 150, more than one spike in a step of 8 ms"):
        calibrate({**VOXEL, "t_ref": 0.0}, **SMALL, dt_ms=8, target_hz=150.0, max_hz=200.0)


def test_a_set_that_differs_between_slots_is_given_by_slot():
    with pytest.raises(InputError, match=r"'column' differs between slots.*ParameterSet.of"):
        calibrate("column", **SMALL)
    assert calibrate(PARAMETER_SETS["column"].of("L4E"), **SMALL).converged


def test_receptors_that_hear_nothing_cannot_be_calibrated():
    with pytest.raises(InputError, match=r"the currents measured are .* average over more steps"):
        calibrate({**VOXEL, "noise_rate": 0.0}, **{**SMALL, "steps": 1, "average": 1})
