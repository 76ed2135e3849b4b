"""Scores against hand-checked cases, brute force and what is known of real BOLD."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat

from dtbdask.assim.scores import (
    baseline_scores,
    correlation,
    crps,
    fc_similarity,
    forecast_scores,
    linear_extrapolation,
    mean_of_others,
    parameter_error,
    persistence,
    rank_histogram,
    rmse,
    spread_skill,
)
from dtbdask.errors import InputError

REAL = Path(__file__).resolve().parents[2].parent / "shared/data/DTI_voxel_networks_sum_1204.mat"
seeds = st.integers(0, 2**31)


def ensemble(seed, frames=30, members=7, voxels=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(frames, members, voxels)), rng.normal(size=(frames, voxels))


@given(seeds, st.floats(0.01, 100), st.floats(-100, 100))
def test_correlation_sees_no_unit_but_the_sign(seed, gain, level):
    x, y = ensemble(seed)
    wanted = [np.corrcoef(x[:, 0, v], y[:, v])[0, 1] for v in range(4)]
    np.testing.assert_allclose(correlation(gain * x[:, 0] + level, y), wanted, rtol=0, atol=1e-10)
    np.testing.assert_allclose(correlation(y, -gain * y), -1, rtol=1e-12)


def test_correlation_and_rmse_by_hand():
    a = np.array([[1, 0], [2, 0], [3, 0]])
    b = np.array([[1, 3], [3, 3], [2, 3]])
    np.testing.assert_allclose(correlation(a, b), [0.5, np.nan])
    np.testing.assert_allclose(rmse(a, b), [np.sqrt(2 / 3), 3.0])


def test_correlation_with_a_constant_is_undefined():
    """0.1 summed ten times is not 1, so a mean alone would not show that it is constant."""
    _, y = ensemble(1, frames=10)
    assert np.isnan(correlation(np.full_like(y, 0.1), y)).all()
    assert np.isnan(fc_similarity(np.full_like(y, 0.1), y))


@given(seeds, st.integers(2, 12))
def test_crps_is_the_double_sum(seed, members):
    x, y = ensemble(seed, 3, members, 2)
    wanted = np.empty_like(y)
    for f, v in np.ndindex(y.shape):
        near = sum(abs(x[f, i, v] - y[f, v]) for i in range(members)) / members
        apart = sum(abs(a - b) for a in x[f, :, v] for b in x[f, :, v])
        wanted[f, v] = near - apart / (2 * members * (members - 1))
    np.testing.assert_allclose(crps(x, y), wanted, rtol=0, atol=1e-12)


def test_crps_by_hand():
    """Members 0 and 2, truth 3: (3 + 1) / 2 - (2 + 2) / (2 * 2) = 1; equal members: the error."""
    x = np.array([[[0.0, 5.0], [2.0, 5.0]]])
    np.testing.assert_allclose(crps(x, [[3.0, 4.0]]), [[1.0, 1.0]])


def test_crps_is_fair_and_rewards_the_true_distribution():
    """For a standard normal truth and ensemble it is 1 / sqrt(pi) with 2 members as with 50."""
    rng = np.random.default_rng(2)
    y = rng.normal(size=(40_000, 1))
    for members in (2, 50):
        x = rng.normal(size=(40_000, members, 1))
        assert abs(crps(x, y).mean() - 1 / np.sqrt(np.pi)) < 0.015
        for worse in (0.5 * x, 2 * x, x + 0.5):
            assert crps(worse, y).mean() > crps(x, y).mean() + 0.02


def test_a_reliable_ensemble_is_known_by_spread_and_ranks():
    x, y = ensemble(3, frames=4000, members=5)
    counts, p = rank_histogram(x, y)
    assert counts.shape == (6,)
    assert counts.sum() == y.size
    assert p > 0.01
    assert abs(spread_skill(x, y) - 1) < 0.03
    for factor, outer in ((0.3, True), (3.0, False)):  # too narrow: U; too wide: dome
        counts, p = rank_histogram(factor * x, y)
        assert p < 1e-6
        assert (counts[[0, -1]].min() > counts[1:-1].max()) == outer
    low, _ = rank_histogram(x - 1, y)
    assert (np.diff(low) > 0).all()


@given(seeds, st.floats(0.1, 10))
def test_spread_over_error_grows_with_the_spread_alone(seed, factor):
    x, y = ensemble(seed)
    mean = x.mean(axis=1, keepdims=True)
    ratio = spread_skill(mean + factor * (x - mean), y)
    np.testing.assert_allclose(ratio, factor * spread_skill(x, y), rtol=1e-9)


def test_spread_and_ranks_by_hand():
    """Members 0 and 2: variance 2, widened by 3/2; the mean 1 is off by 2: sqrt(3) / 2."""
    x, y = np.array([[[0.0], [2.0]]]), np.array([[3.0]])
    np.testing.assert_allclose(spread_skill(x, y), np.sqrt(3) / 2)
    counts, p = rank_histogram(x, y)
    np.testing.assert_array_equal(counts, [0, 0, 1])
    np.testing.assert_allclose(p, np.exp(-1.0))  # chi-square 2 with 2 degrees of freedom
    assert spread_skill(x, [[1.0]]) == np.inf


def test_predictors_by_hand():
    y = np.array([[1, 2, 6], [2, 4, 6], [4, 8, 0], [7, 7, 1]])
    np.testing.assert_array_equal(persistence(y), y[:3])
    np.testing.assert_array_equal(persistence(y, 3), y[:1])
    np.testing.assert_array_equal(linear_extrapolation(y), [[3, 6, 6], [6, 12, -6]])
    np.testing.assert_array_equal(mean_of_others(y)[:2], [[4, 3.5, 1.5], [5, 4, 3]])


@given(seeds)
def test_predictors_see_no_future(seed):
    _, y = ensemble(seed)
    changed = y.copy()
    changed[20:] += 1
    for predict, start, stop in (  # the frames that must stay as they were
        (lambda y: persistence(y, 2), 2, 22),
        (persistence, 1, 21),
        (linear_extrapolation, 2, 21),
        (mean_of_others, 0, 20),
    ):
        before, after = predict(y), predict(changed)
        np.testing.assert_array_equal(after[: stop - start], before[: stop - start])
        assert (after[stop - start] != before[stop - start]).all()


def test_a_line_is_extrapolated_without_error():
    y = np.arange(9.0)[:, None] * [1, 2] + [5, 0]
    scores = baseline_scores(y)
    assert scores["r_linear_extrapolation"] == pytest.approx(1)
    assert scores["rmse_linear_extrapolation"] == pytest.approx(0, abs=1e-12)
    assert scores["rmse_persistence"] == scores["crps_persistence"] == pytest.approx(1.5)
    assert scores["r_mean_of_others"] == pytest.approx(1)


@given(seeds)
def test_forecast_and_baselines_are_scored_on_the_same_frames(seed):
    x, y = ensemble(seed)
    scores = forecast_scores(x, y)
    changed_x, changed_y = x.copy(), y.copy()
    changed_x[:2] += 100
    for key, value in forecast_scores(changed_x, y).items():
        assert value == scores[key]
    # a forecast that is a baseline scores as the baseline does, whatever the first frames hold
    changed_y[0] += 100
    trivial = {
        "persistence": np.concatenate([y[:2], persistence(changed_y)[1:]]),
        "linear_extrapolation": np.concatenate([y[:2], linear_extrapolation(changed_y)]),
        "mean_of_others": mean_of_others(changed_y),
    }
    for name, prediction in trivial.items():
        found = forecast_scores(np.repeat(prediction[:, None], 3, axis=1), changed_y)
        for score in ("r", "rmse", "crps"):
            assert found[score] == pytest.approx(found[f"{score}_{name}"], rel=1e-9, abs=1e-12)
        assert found["spread_over_rmse"] == pytest.approx(0, abs=1e-9)


def test_forecast_scores_are_the_single_scores():
    x, y = ensemble(4)
    scores = forecast_scores(x, y)
    x, y = x[2:], y[2:]
    assert scores["r"] == pytest.approx(correlation(x.mean(axis=1), y).mean())
    assert scores["rmse"] == pytest.approx(rmse(x.mean(axis=1), y).mean())
    assert scores["crps"] == pytest.approx(crps(x, y).mean())
    assert scores["spread_over_rmse"] == pytest.approx(spread_skill(x, y))
    assert len(scores) == 4 + 9


@given(seeds)
def test_connectivity_is_like_itself_in_any_unit(seed):
    _, y = ensemble(seed, voxels=5)
    rng = np.random.default_rng(seed)
    assert fc_similarity(y, y * rng.uniform(0.1, 9, 5) + 3) == pytest.approx(1)
    other = rng.normal(size=(50, 5))  # another number of frames
    upper = np.triu_indices(5, 1)
    pairs = [np.corrcoef(a.T)[upper] for a in (y, other)]
    assert fc_similarity(y, other) == pytest.approx(np.corrcoef(*pairs)[0, 1])


@given(seeds, st.floats(0.1, 10))
def test_a_common_factor_is_the_parameter_error(seed, factor):
    truth = np.random.default_rng(seed).uniform(0.1, 5, (2, 3))
    spread = np.array([0.5, 1.0, 1.5])[:, None, None]  # (member, 1, 1), mean 1
    found = parameter_error(factor * spread * truth, truth, 0, 2 * truth / factor)
    assert found["error"] == pytest.approx(abs(np.log(factor)), abs=1e-12)
    assert found["error_of_middle"] == pytest.approx(abs(np.log(factor)), abs=1e-12)


def test_parameter_error_by_hand():
    """Means 2 and 1/2 of truths 1 and 1; the middle of 0 and e is e/2."""
    h = np.array([[1.0, 0.25], [3.0, 0.75]])
    found = parameter_error(h, [1.0, 1.0], 0.0, 2 * np.e)
    assert found == pytest.approx({"error": np.log(2), "error_of_middle": 1.0})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: correlation(y, y[:-1]), r"\(30, 4\) and \(29, 4\) differ"),
        (lambda x, y: rmse(y, y[0]), r"shape \(4,\)"),
        (lambda x, y: crps(y, y), r"forecast has shape \(30, 4\)"),
        (lambda x, y: crps(x[:, :1], y), "at least 2 members"),
        (lambda x, y: rank_histogram(x * np.nan, y), "not finite"),
        (lambda x, y: spread_skill(x, y * np.inf), "not finite"),
        (lambda x, y: persistence(y, 0), "lag is 0"),
        (lambda x, y: persistence(y, 30), "less than the 30 frames"),
        (lambda x, y: linear_extrapolation(y[:2]), "2 frames"),
        (lambda x, y: mean_of_others(y[:, :1]), "1 voxels"),
        (lambda x, y: baseline_scores(y, 30), "first is 30"),
        (lambda x, y: fc_similarity(y, y[:, 1:]), "4 and 3 voxels"),
        (lambda x, y: parameter_error(x, y, 0, 1), "shape"),
        (lambda x, y: parameter_error(-np.ones((2, 3)), np.ones(3), 0, 1), "positive; -1.0"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call(*ensemble(5))


@pytest.mark.skipif(not REAL.exists(), reason="the 90-region file is not beside the repository")
@pytest.mark.parametrize(
    ("key", "r_persistence", "r_mean_of_others"),
    [("roi_rest_state", 0.957, 0.814), ("roi_task_evaulation_reward", 0.952, 0.803)],
)
def test_baselines_of_real_bold(key, r_persistence, r_mean_of_others):
    scores = baseline_scores(loadmat(REAL)[key])
    assert scores["r_persistence"] == pytest.approx(r_persistence, abs=0.002)
    assert scores["r_linear_extrapolation"] == pytest.approx(0.992, abs=0.002)
    assert scores["r_mean_of_others"] == pytest.approx(r_mean_of_others, abs=0.002)
