"""The haemodynamics rest at rest, and answer as the published model does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_network

from dtbdask.kernels.cpu_bold import exponential
from dtbdask.sim.bold import (
    CONSTANTS,
    FLOOR,
    Balloon,
    Haemodynamics,
    extraction,
    signal,
    steady_state,
)

STEADY = {1: 0.00269, 2: 0.00544, 5: 0.01358, 7: 0.01873, 10: 0.02589, 15: 0.03623, 20: 0.04481,
          30: 0.05795}  # fmt: skip
"""BOLD of a constant rate, Hz, evaluated with DTB's own class."""


def at_rate(rates):
    """Balloon of one member, started where constant rates lead."""
    balloon = Balloon.at_rest(1, len(rates))
    balloon.put(steady_state(np.array(rates, float))[:, None])
    return balloon


def test_the_steady_state_of_a_rate_has_the_known_signal():
    rates = np.array(list(STEADY), float)
    s, _, v, q = steady_state(rates)
    np.testing.assert_allclose(signal(v, q), list(STEADY.values()), rtol=0.01)
    assert (s == 0).all()


def test_a_constant_rate_leads_to_its_steady_state():
    rates = np.array([1.0, 5.0, 10.0, 30.0])
    balloon = Balloon.at_rest(1, rates.size)
    balloon.advance(np.tile(rates / 1000, (60_000, 1, 1)), 1.0)
    np.testing.assert_allclose(balloon.bold()[0], [STEADY[r] for r in rates], rtol=0.01)
    np.testing.assert_allclose(balloon.state[:, 0], steady_state(rates), atol=1e-5)


@given(rate=st.floats(0, 200), dt_ms=st.sampled_from([0.1, 0.5, 1.0, 2.0]))
@settings(max_examples=20, deadline=None)
def test_a_steady_state_stays(rate, dt_ms):
    balloon = at_rate([rate])
    before = balloon.state.copy()
    balloon.advance(np.full((50, 1, 1), rate / 1000), dt_ms)
    np.testing.assert_allclose(balloon.state, before, atol=1e-12)


def test_there_is_no_transient_at_zero_input():
    """Only the smallest activity, a hundredth of a hertz, is ever seen."""
    balloon = Balloon.at_rest(2, 3)
    assert (balloon.bold() == 0).all()
    assert np.abs(balloon.advance(np.zeros((20_000, 2, 3)), 1.0)).max() < 4e-5
    np.testing.assert_allclose(balloon.state[:, 0, 0], steady_state(0.0), atol=1e-6)


def test_a_short_step_has_the_known_peak_and_undershoot():
    """800 ms at 10 Hz after 5 Hz: +0.00673 at 2.05 s, -0.00114 at 4.57 s."""
    activity = np.where(np.arange(10_000) < 800, 0.010, 0.005)[:, None, None]
    change = at_rate([5.0]).advance(activity, 1.0)[:, 0, 0] - STEADY[5]
    time_s = (np.arange(10_000) + 1) / 1000
    assert change.max() == pytest.approx(0.00673, abs=5e-5)
    assert time_s[change.argmax()] == pytest.approx(2.05, abs=0.02)
    assert change.min() == pytest.approx(-0.00114, abs=5e-5)
    assert time_s[change.argmin()] == pytest.approx(4.57, abs=0.03)


@given(
    state=st.tuples(st.floats(-0.5, 0.5), *[st.floats(0.3, 3.0)] * 3),
    rate=st.floats(0, 0.2),
    dt_ms=st.sampled_from([0.5, 1.0]),
)
@settings(max_examples=50, deadline=None)
def test_a_step_is_explicit_euler_on_the_old_state(state, rate, dt_ms):
    (s, f, v, q), c, h = state, CONSTANTS, dt_ms / 1000
    balloon = Balloon(np.array(state)[:, None, None])
    seen = balloon.advance(np.array([[[rate]]]), dt_ms)
    meant = [
        s + h * (c.eps * max(rate, FLOOR) - s / c.tau_s - (f - 1) / c.tau_f),
        max(f + h * s, 0),
        v + h * (f - v ** (1 / c.alpha)) / c.tau_0,
        q + h * (f * (1 - (1 - c.e_0) ** (1 / f)) / c.e_0 - q * v ** (1 / c.alpha - 1)) / c.tau_0,
    ]
    np.testing.assert_allclose(balloon.state[:, 0, 0], meant, rtol=1e-9, atol=1e-12)
    assert seen[0, 0, 0] == balloon.bold()[0, 0] == signal(*balloon.state[2:, 0, 0])


def test_extraction_is_that_of_rest_at_rest_and_finite_without_inflow():
    assert extraction(np.array([1.0]))[0] == pytest.approx(1.0)
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        assert extraction(np.array([0.0, 1e-3]))[0] == pytest.approx(1 / CONSTANTS.e_0)
    assert (np.diff(extraction(np.linspace(0.01, 5, 100))) < 0).all()


def test_put_keeps_inflow_volume_and_deoxyhaemoglobin_positive():
    balloon, state = Balloon.at_rest(1, 2), np.array([[-0.3, 0.2], [-1, 2], [0, 2], [1e-9, 2]])
    given_state = state[:, None].copy()
    balloon.put(given_state)
    np.testing.assert_array_equal(balloon.state[:, 0, 0], [-0.3, FLOOR, FLOOR, FLOOR])
    np.testing.assert_array_equal(balloon.state[:, 0, 1], state[:, 1])
    np.testing.assert_array_equal(given_state, state[:, None])
    balloon.advance(np.full((3000, 1, 2), 0.01), 1.0)
    assert np.isfinite(balloon.bold()).all()


def test_the_exponential_of_what_is_negative():
    x = -np.geomspace(1e-12, 38, 2000)
    found = [exponential(value) for value in x]
    np.testing.assert_allclose(found, np.exp(x), rtol=5e-14)
    assert exponential(0.0) == 1
    assert 1 - exponential(-np.inf) == 1 - exponential(-50.0) == 1


@given(
    pieces=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    frame=st.integers(1, 50),
    members=st.integers(1, 3),
    dt_ms=st.sampled_from([0.5, 1.0]),
)
@settings(max_examples=25, deadline=None)
def test_bold_follows_the_rate_of_each_voxel_for_any_windows(pieces, frame, members, dt_ms):
    """Spikes per neuron and ms of a voxel drive it; frames end at multiples of their length."""
    populations = make_network().populations
    draw = np.random.default_rng(sum(pieces))
    count = draw.integers(0, 20, (sum(pieces), members, 6)).astype(np.int32)
    flow, seen, first = Haemodynamics(populations, members, dt_ms), [], 0
    for n in pieces:
        seen.append(flow.advance(count[first : first + n], first, frame))
        assert seen[-1].shape == ((first + n) // frame - first // frame, members, 3)
        first += n
    balloon, meant = Balloon.at_rest(members, 3), np.zeros((0, members, 3))
    for k in range(first):
        voxel = count[k].reshape(members, 3, 2).sum(axis=2)
        activity = voxel / populations.size.reshape(3, 2).sum(axis=1) / dt_ms
        balloon.advance(activity[None], dt_ms)
        if (k + 1) % frame == 0:
            meant = np.concatenate([meant, balloon.bold()[None]])
    np.testing.assert_allclose(np.concatenate(seen), meant, rtol=1e-12)
