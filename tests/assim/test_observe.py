"""Measured BOLD on the model's scale, and the error estimated from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtbdask.assim.observe import (
    Observation,
    band_pass,
    estimate_error,
    prepare_bold,
    scale_bold,
    standardise,
)
from dtbdask.errors import InputError

TR_S = 0.8
seeds = st.integers(0, 2**31)


def series(seed, frames=60, voxels=4):
    """Raw intensities: smooth, each voxel with a level and a gain of its own."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=(frames, voxels)), axis=0)
    return 1000 * rng.uniform(1, 9, voxels) + rng.uniform(1, 50, voxels) * walk


prepare = {
    "scale": lambda y: scale_bold(y, 0.02, 0.05),
    "scale each": lambda y: scale_bold(y, 0.02, 0.05, joint=False),
    "standardise": standardise,
    "band": lambda y: band_pass(y, TR_S, 0.01, 0.08),
    "prepare": lambda y: prepare_bold(y, TR_S, centre=0.03, spread=0.002),
    "prepare band": lambda y: prepare_bold(y, TR_S, centre=0.03, spread=0.002, band=(0.01, 0.08)),
    "error": estimate_error,
}
every = pytest.mark.parametrize("name", prepare)


@every
@given(seeds, st.floats(0.01, 100), st.floats(-1000, 1000))
def test_the_unit_of_the_scanner_does_not_matter(name, seed, gain, level):
    y = series(seed)
    wanted = prepare[name](y)
    if name == "band":
        wanted = gain * wanted
    if name == "error":
        wanted = gain**2 * wanted
    np.testing.assert_allclose(prepare[name](gain * y + level), wanted, rtol=1e-6, atol=1e-6 * gain)


@pytest.mark.parametrize("name", ["scale each", "standardise", "prepare", "prepare band"])
@given(seeds)
def test_nor_does_the_gain_of_a_single_voxel(name, seed):
    y = series(seed)
    gain = np.random.default_rng(seed).uniform(0.1, 10, y.shape[1])
    np.testing.assert_allclose(prepare[name](gain * y), prepare[name](y), rtol=0, atol=1e-8)


@every
@given(seeds, st.permutations(range(4)))
def test_voxels_are_treated_alike(name, seed, order):
    y = series(seed)
    np.testing.assert_allclose(
        prepare[name](y[:, order]), prepare[name](y)[..., order], rtol=0, atol=1e-9 * np.ptp(y) ** 2
    )


@every
def test_inputs_stay_as_they_were(name):
    y = series(1)
    y.flags.writeable = False
    copy = y.copy()
    assert prepare[name](y).dtype == np.float64
    np.testing.assert_array_equal(y, copy)


@given(seeds, st.booleans())
def test_the_scaled_range_is_the_one_asked_for(seed, joint):
    y = scale_bold(series(seed), 0.02, 0.05, joint)
    over = None if joint else 0
    np.testing.assert_allclose(y.min(axis=over), 0.02, atol=1e-15)
    np.testing.assert_allclose(y.max(axis=over), 0.05, atol=1e-15)


def test_joint_scaling_by_hand():
    bold = np.array([[0, 20], [10, 40]], dtype=np.uint16)
    np.testing.assert_allclose(scale_bold(bold, 1.0, 5.0), [[1.0, 3.0], [2.0, 5.0]])
    np.testing.assert_allclose(scale_bold(bold, 1.0, 5.0, joint=False), [[1.0, 1.0], [5.0, 5.0]])


@given(seeds)
def test_prepared_bold_has_the_centre_and_spread_of_the_model(seed):
    centre, spread = np.array([0.02, 0.03, 0.04, 0.05]), np.array([1, 2, 3, 4]) * 1e-3
    for band in (None, (0.01, 0.08)):
        y = prepare_bold(series(seed), TR_S, centre=centre, spread=spread, band=band)
        np.testing.assert_allclose(y.mean(axis=0), centre, rtol=1e-12)
        np.testing.assert_allclose(y.std(axis=0), spread, rtol=1e-12)


def test_the_band_is_kept_in_phase_and_the_rest_removed():
    t = TR_S * np.arange(600)
    kept, slow, fast = (np.sin(2 * np.pi * f * t)[:, None] for f in (0.03, 0.001, 0.4))
    filtered = band_pass(5000 + 10 * kept + 30 * slow + 20 * fast, TR_S, 0.01, 0.08)
    middle = slice(150, -150)
    assert np.abs(filtered - 10 * kept)[middle].max() < 0.6  # of an amplitude of 10, against 50


@given(seeds, st.floats(0.01, 100))
def test_the_error_of_white_noise_on_a_slow_signal_is_found(seed, sd):
    rng = np.random.default_rng(seed)
    frames, voxels = 400, 20
    slow = 5 * sd * np.sin(np.arange(frames) / 40)[:, None]
    error = estimate_error(slow + sd * rng.normal(size=(frames, voxels)))
    assert error.shape == (voxels,)
    assert abs(error.mean() / sd**2 - 1) < 0.15


def test_a_parabola_adds_nothing_to_the_error_and_a_smooth_signal_its_curvature():
    t = np.arange(8.0)
    noise = np.array([0, 1, 0, 0, -1, 0, 2, 0.0])
    second = np.diff(noise, n=2)
    wanted = ((second - second.mean()) ** 2).mean() / 6
    np.testing.assert_allclose(estimate_error((noise + 3 * t**2)[:, None]), wanted, rtol=1e-12)
    omega = 0.1  # second difference of a sine: itself times 2 (cos omega - 1)
    sine = np.sin(omega * np.arange(2000 * np.pi))[:, None]
    np.testing.assert_allclose(
        estimate_error(sine), (2 * (np.cos(omega) - 1)) ** 2 / 2 / 6, rtol=1e-2
    )


def test_an_observation_keeps_what_it_is_given():
    y = series(3)
    observation = Observation(y.astype(np.float32), [1, 2, 3, 4], TR_S)
    assert observation.y.dtype == observation.error.dtype == np.float64
    np.testing.assert_allclose(observation.y, y, rtol=1e-6)
    np.testing.assert_array_equal(observation.error, [1, 2, 3, 4])
    with pytest.raises(AttributeError):
        observation.tr_s = 2.0


@every
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: np.where(np.arange(60)[:, None] == 7, np.nan, y), "frame 7, voxel 0.* 4 places"),
        (lambda y: y / (np.arange(4) != 2), "inf at frame 0, voxel 2"),
        (lambda y: y[:1], "1 frames; at least"),
        (lambda y: y[:, 0], r"shape \(60,\)"),
        (lambda y: y[:, :0], r"shape \(60, 0\)"),
        (lambda y: np.full_like(y, 0.1), "constant"),
    ],
)
def test_unusable_bold_is_refused_and_the_place_named(name, change, message):
    with np.errstate(divide="ignore"):
        bold = change(series(5))
    with pytest.raises(InputError, match=message):
        prepare[name](bold)


@pytest.mark.parametrize("name", sorted(set(prepare) - {"scale"}))
def test_a_constant_voxel_is_named(name):
    bold = series(6)
    bold[:, [1, 3]] = 0.1
    with pytest.raises(InputError, match=r"in 2 voxels \(1, 3\)"):
        prepare[name](bold)


def test_the_band_pass_asks_for_frames_to_pad_with():
    band_pass(series(7, frames=16), TR_S, 0.01, 0.08)
    with pytest.raises(InputError, match="15 frames; at least 16"):
        band_pass(series(7, frames=15), TR_S, 0.01, 0.08)


@pytest.mark.parametrize("band", [(0.0, 0.08), (0.08, 0.01), (0.01, 0.625), (np.nan, 0.1)])
def test_a_band_beyond_nyquist_is_refused_with_the_figure(band):
    with pytest.raises(InputError, match=r"0\.625 Hz"):
        band_pass(series(8), TR_S, *band)


@pytest.mark.parametrize("tr_s", [0.0, -1.0, np.inf, np.nan])
def test_a_repetition_time_is_positive(tr_s):
    y = series(9)
    for attempt in (
        lambda: band_pass(y, tr_s, 0.01, 0.08),
        lambda: prepare_bold(y, tr_s, centre=0.03, spread=0.01),
        lambda: Observation(y, estimate_error(y), tr_s),
    ):
        with pytest.raises(InputError, match=f"tr_s is {tr_s}"):
            attempt()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: scale_bold(y, 0.05, 0.02), r"range is \(0\.05, 0\.02\)"),
        (lambda y: prepare_bold(y, TR_S, centre=0.03, spread=0.0), r"spread 0\.0"),
        (lambda y: prepare_bold(y, TR_S, centre=np.nan, spread=0.1), "centre is nan"),
        (lambda y: prepare_bold(y, TR_S, centre=[1, 2], spread=0.1), r"centre has shape \(2,\)"),
        (lambda y: prepare_bold(y, TR_S, centre=1, spread=np.ones((4, 1))), "spread has shape"),
        (lambda y: Observation(y, [1.0, 1.0], TR_S), r"error has shape \(2,\); y asks for \(4,\)"),
        (lambda y: Observation(y, [1.0, 0.0, 1.0, 1.0], TR_S), r"error is 0\.0"),
        (lambda y: Observation(y, [1.0, np.nan, 1.0, 1.0], TR_S), "error is nan"),
        (lambda y: Observation(y * np.nan, np.ones(4), TR_S), "not finite"),
        (lambda y: estimate_error(y[:3]), "3 frames; at least 4"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call(series(10))
