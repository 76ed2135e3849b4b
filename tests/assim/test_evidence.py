"""Scores beside baselines: a perfect forecast scores perfectly, and baselines are what they say."""

import numpy as np
import pytest

from dtbdask.assim.evidence import (
    ahead_scores,
    autoregression,
    free_run_scores,
    held_scores,
    structure_function,
)
from dtbdask.assim.scores import correlation, persistence
from dtbdask.assim.walk import connectome_correlation
from dtbdask.errors import InputError

DRAW = np.random.default_rng(4)
T, K, V = 40, 5, 6
Y = DRAW.normal(size=(T, V)).cumsum(axis=0)
AROUND = Y[:, None] + 0.1 * (lambda x: x - x.mean(axis=1, keepdims=True))(
    DRAW.normal(size=(T, K, V))
)


def test_a_perfect_forecast_is_perfect_at_every_lag():
    scores = ahead_scores(AROUND, Y, 4)
    assert list(scores) == ["1", "2", "3", "4"]
    for told in scores.values():
        assert told["r"] == pytest.approx(1)
        assert told["rmse"] == pytest.approx(0, abs=1e-12)
        assert told["r"] > told["r_persistence"]


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_persistence_is_scored_on_the_frames_of_the_lag(lag):
    told = ahead_scores(AROUND, Y, 3)[str(lag)]
    frames = np.arange(lag, T, 3)
    expected = correlation(persistence(Y, lag)[frames - lag], Y[frames]).mean()
    assert told["r_persistence"] == pytest.approx(expected)


def test_a_lag_of_a_few_frames_is_left_out():
    assert ahead_scores(AROUND[:4], Y[:4], 3) == {}
    assert list(ahead_scores(AROUND, Y, 3, first=36)) == []


def test_autoregression_tells_what_obeys_one():
    t = np.arange(60.0)
    wave = np.sin(0.3 * t[:, None] + np.arange(3.0))
    wave -= wave.mean(axis=0)
    found = autoregression(wave, 2)
    np.testing.assert_allclose(found, wave[-len(found) :], atol=0.02)
    assert autoregression(wave[:5], 2) is None


def test_unseen_voxels_are_scored_beside_the_seen():
    seen = np.array([0, 1, 3, 5])
    told = held_scores(AROUND, Y, seen, connectome_correlation(DRAW.random((V, V))))
    assert told["r"] == pytest.approx(1)
    mean = np.repeat(Y[:, seen].mean(axis=1)[:, None], 2, axis=1)
    assert told["r_mean_of_others"] == pytest.approx(correlation(mean, Y[:, [2, 4]]).mean())
    assert -1 <= told["r_kriging"] < 1
    with pytest.raises(InputError, match="none to score"):
        held_scores(AROUND, Y, np.arange(V))


def test_a_run_is_scored_against_itself():
    told = free_run_scores(Y, Y, first=3)
    assert told["r"] == pytest.approx(1)
    assert told["fc_similarity"] == pytest.approx(1)
    assert told["rmse"] == 0


def test_structure_and_function_agree_where_function_is_structure():
    c = DRAW.random((V, V))
    c = (c + c.T) / 2
    np.fill_diagonal(c, 0)
    fc = np.expm1(0.3 * np.log1p(c))
    np.fill_diagonal(fc, 1)
    y = DRAW.normal(size=(200_000, V)) @ np.linalg.cholesky(fc).T
    assert structure_function(c, y) > 0.95
