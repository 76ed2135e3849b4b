"""Smoothers against the filter, the Rauch-Tung-Striebel smoother and the Gaussian posterior."""

import numpy as np
import pytest
from assim.gaussian import exact_ensemble, kalman, random_covariance
from hypothesis import given
from hypothesis import strategies as st

from dtbdask.assim.filters import enkf, etkf
from dtbdask.assim.smoothers import enks, es_mda
from dtbdask.errors import InputError

N, OBS, MEMBERS, STEPS = 2, 1, 24, 6
seeds = st.integers(0, 2**31)


def drawn(seed, n=N, obs=OBS):
    """A linear model and its observations: M, Q, H, R, mean, P, y (step, obs)."""
    rng = np.random.default_rng(seed)
    M = np.linalg.qr(rng.normal(size=(n, n)))[0] * 0.98
    Q, H, R = 0.3 * random_covariance(n, rng), rng.normal(size=(obs, n)), rng.uniform(0.1, 1, obs)
    return M, Q, H, R, rng.normal(size=n), random_covariance(n, rng), rng.normal(size=(STEPS, obs))


def smoothed(seed, lag, steps=STEPS, *, exact=True):
    """States after so many analyses; exact noise is uncorrelated with all of the past."""
    M, Q, H, R, mean, P, y = drawn(seed)
    rng = np.random.default_rng(seed + 1)
    states = []
    x = exact_ensemble(mean, P, MEMBERS, rng)
    for step in range(steps):
        if step:
            x = states[-1] @ M.T
            past = np.hstack([*states, x]) if exact else None
            x = x + exact_ensemble(np.zeros(N), Q, MEMBERS, rng, avoid=past)
        states = enks([*states, x], x @ H.T, y[step], R, lag)
    return states


def rauch_tung_striebel(seed):
    """Means and covariances of every step, given all observations."""
    M, Q, H, R, mean, P, y = drawn(seed)
    forecasts, analyses = [], []
    for step in range(STEPS):
        if step:
            mean, P = M @ mean, M @ P @ M.T + Q
        forecasts.append((mean, P))
        mean, P = kalman(mean, P, H, y[step], np.diag(R))
        analyses.append((mean, P))
    found = [analyses[-1]]
    for (a, A), (f, F) in zip(analyses[-2::-1], forecasts[:0:-1], strict=True):
        J = A @ M.T @ np.linalg.inv(F)
        found.append((a + J @ (found[-1][0] - f), A + J @ (found[-1][1] - F) @ J.T))
    return found[::-1]


@pytest.mark.parametrize("seed", range(5))
def test_with_full_lag_it_is_the_smoother_of_rauch_tung_and_striebel(seed):
    states = smoothed(seed, STEPS)
    for x, (mean, covariance) in zip(states, rauch_tung_striebel(seed), strict=True):
        np.testing.assert_allclose(x.mean(axis=0), mean, rtol=0, atol=1e-9)
        np.testing.assert_allclose(np.cov(x.T), covariance, rtol=0, atol=1e-9)


@pytest.mark.parametrize("lag", range(4))
def test_a_lag_is_the_full_smoother_stopped_so_many_steps_later(lag):
    states = smoothed(3, lag, exact=False)
    for step in range(STEPS):
        stopped = smoothed(3, STEPS, min(step + lag + 1, STEPS), exact=False)
        np.testing.assert_allclose(states[step], stopped[step], rtol=0, atol=1e-12)


@given(seeds, st.floats(0.8, 1.3), st.sampled_from(["etkf", "enkf"]))
def test_the_last_state_is_the_analysis_of_the_filter(seed, inflation, method):
    M, _, H, R, mean, P, y = drawn(seed)
    rng = np.random.default_rng(seed)
    x = exact_ensemble(mean, P, 8, rng)
    past = [rng.normal(size=(8, 3)), x @ M]
    run = {"etkf": etkf, "enkf": enkf}[method]
    alone = run(x, x @ H.T, y[0], R, generator=np.random.default_rng(1), inflation=inflation)
    for lag in (0, 1, 5):
        states = enks(
            [*past, x], x @ H.T, y[0], R, lag, inflation, np.random.default_rng(1), method
        )
        np.testing.assert_array_equal(states[-1], alone)
        assert [a is b for a, b in zip(states, past, strict=False)] == [lag < 2, lag < 1]


def test_inflation_widens_the_last_state_alone():
    x = np.random.default_rng(2).normal(size=(2, 6, 3))
    plain, wide = (enks(x, x[1], x[0, 0], 0.5, 1, inflation=i) for i in (1.0, 1.5))
    np.testing.assert_array_equal(wide[0], plain[0])
    mean = plain[1].mean(axis=0)
    np.testing.assert_allclose(wide[1] - mean, 1.5 * (plain[1] - mean), rtol=0, atol=1e-12)


@given(seeds)
def test_a_state_of_the_same_time_is_corrected_as_the_last_is(seed):
    M, _, H, R, mean, P, y = drawn(seed)
    x = exact_ensemble(mean, P, 8, np.random.default_rng(seed))
    before, after = enks([x @ M.T, x], x @ H.T, y[0], R, lag=1)
    np.testing.assert_allclose(before, after @ M.T, rtol=0, atol=1e-12)


class InTurn:
    """Stands for a generator and hands out given arrays of normals."""

    def __init__(self, arrays):
        self.arrays = list(arrays)

    def standard_normal(self, shape):
        drawn = self.arrays.pop(0)
        assert drawn.shape == shape
        return drawn


def uncorrelated(members, n, obs, steps, rng):
    """Anomalies of n variables and perturbations of all steps, each with covariance I exactly."""
    ones = np.ones((members, 1))
    columns = n + obs * steps
    free = np.linalg.qr(np.hstack([ones, rng.normal(size=(members, columns))]))[0][:, 1:]
    free = free * np.sqrt(members - 1)
    narrow = np.sqrt((members - 1) / members)  # the filter widens by as much
    xi = [narrow * free[:, n + obs * i : n + obs * (i + 1)] for i in range(steps)]
    return free[:, :n], xi


@pytest.mark.parametrize("steps", [1, 4, [1.0], [28 / 3, 7, 4, 2]])
@given(seed=seeds)
def test_es_mda_of_a_linear_model_is_the_posterior(steps, seed):
    """Perturbations without chance correlations leave the mean and the covariance exact."""
    n, obs = 3, 2
    n_steps = steps if isinstance(steps, int) else len(steps)
    rng = np.random.default_rng(seed)
    _, _, H, R, mean, P, y = drawn(seed, n, obs)
    X, xi = uncorrelated(16, n, obs, n_steps, rng)
    prior = mean + X @ np.linalg.cholesky(P).T
    kept, calls = prior.copy(), []

    def model(m):
        calls.append(m)
        return m @ H.T

    posterior = es_mda(prior, model, y[0], R, InTurn(xi), steps)
    wanted, covariance = kalman(mean, P, H, y[0], np.diag(R))
    np.testing.assert_allclose(posterior.mean(axis=0), wanted, rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.cov(posterior.T), covariance, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(prior, kept)
    assert len(calls) == n_steps


def test_es_mda_with_real_perturbations_scatters_about_the_posterior():
    _, _, H, R, mean, P, y = drawn(5, 3, 2)
    rng = np.random.default_rng(5)
    prior = rng.multivariate_normal(mean, P, (50, 400))
    posterior = es_mda(prior, lambda m: m @ H.T, np.tile(y[0], (50, 1)), R, rng, 4)
    wanted, covariance = kalman(mean, P, H, y[0], np.diag(R))
    scatter = np.sqrt(np.diag(covariance) / 400)
    assert (np.abs(posterior.mean(axis=(0, 1)) - wanted) < 2 * scatter).all()
    found = np.mean([np.cov(a.T) for a in posterior], axis=0)
    np.testing.assert_allclose(found, covariance, rtol=0, atol=0.06 * np.trace(covariance))


def test_many_steps_fit_a_curved_model_better_than_one():
    rng = np.random.default_rng(6)
    prior = rng.normal(size=(200, 1))
    misfit = {n: abs(np.exp(es_mda(prior, np.exp, [8.0], 0.01, rng, n)).mean() - 8) for n in (1, 8)}
    assert misfit[8] < 0.2 * misfit[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays_and_inputs_are_left_alone(dtype):
    rng = np.random.default_rng(7)
    past, x = rng.normal(size=(2, 6, 3)).astype(dtype)
    for a in (past, x):
        a.flags.writeable = False
    states = enks([past, x], x, x[0], 0.5, 1)
    parameters = es_mda(x, lambda m: m, x[0], 0.5, rng)
    assert {a.dtype for a in (*states, parameters)} == {np.dtype(dtype)}
    assert not any(np.shares_memory(a, b) for a in (*states, parameters) for b in (past, x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": []}, "states is empty"),
        ({"lag": -1}, "lag is -1"),
        ({"lag": 0.5}, "lag is 0.5"),
        ({"method": "enkf"}, "'enkf'.*with a generator"),
        ({"method": "kalman"}, "method is 'kalman'"),
        ({"inflation": 0.0}, "inflation is 0"),
        ({"states": [np.ones((5, 3)), np.ones((6, 3))]}, r"states has shape \(5, 3\).*6"),
        ({"states": [np.full((6, 3), np.nan), np.ones((6, 3))]}, "state is nan"),
        ({"states": [np.ones((6, 3), int)]}, "state has dtype int64"),
        ({"states": [np.ones((6, 3), int), np.ones((6, 3))]}, "states has dtype int64"),
        ({"predicted": np.ones((1, 2))}, "predicted has shape"),
        ({"error_variance": 0.0}, "error_variance is as low as 0"),
    ],
)
def test_wrong_input_of_the_smoother_is_named(change, message):
    right = {"states": [np.ones((6, 3)), np.ones((6, 3))], "predicted": np.ones((6, 2)),
             "observation": np.ones(2), "error_variance": 1.0, "lag": 1}  # fmt: skip
    with pytest.raises(InputError, match=message):
        enks(**(right | change))


@pytest.mark.parametrize("steps", [0, 1.5, -1, [], [2.0], [2.0, -2.0], [4.0, 4.0, np.nan]])
def test_wrong_steps_are_named(steps):
    with pytest.raises(InputError, match=r"steps is \[?"):
        es_mda(np.ones((6, 3)), lambda m: m, np.ones(3), 1.0, np.random.default_rng(1), steps)
