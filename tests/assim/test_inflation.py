"""Inflation keeps means and scales anomalies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtbdask.assim.inflation import inflate, rtpp, rtps
from dtbdask.errors import InputError

seeds, shares = st.integers(0, 2**31), st.floats(0, 1)


def pair(seed, *batch):
    """A forecast, and an analysis of half the spread or so."""
    rng = np.random.default_rng(seed)
    shape = (*batch, 6, 4)
    return rng.normal(1, 2, shape), rng.normal(0, rng.uniform(0.1, 1, 4), shape)


def anomalies(x):
    return x - x.mean(axis=-2, keepdims=True)


@given(seeds, st.floats(0.5, 2))
def test_a_factor_multiplies_the_anomalies(seed, factor):
    x, _ = pair(seed)
    wide = inflate(x, factor)
    np.testing.assert_allclose(wide, x.mean(axis=0) + factor * anomalies(x), rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.cov(wide.T), factor**2 * np.cov(x.T), rtol=0, atol=1e-10)


@pytest.mark.parametrize("relax", [rtpp, rtps])
@given(seed=seeds, alpha=shares)
def test_the_mean_stays_and_zero_leaves_everything(relax, seed, alpha):
    forecast, analysis = pair(seed, 3)
    relaxed = relax(forecast, analysis, alpha)
    np.testing.assert_allclose(relaxed.mean(-2), analysis.mean(-2), rtol=0, atol=1e-12)
    np.testing.assert_allclose(relax(forecast, analysis, 0), analysis, rtol=0, atol=1e-14)


@given(seeds, shares)
def test_rtpp_mixes_anomalies_and_one_gives_those_of_the_forecast(seed, alpha):
    forecast, analysis = pair(seed)
    mixed = (1 - alpha) * anomalies(analysis) + alpha * anomalies(forecast)
    np.testing.assert_allclose(
        anomalies(rtpp(forecast, analysis, alpha)), mixed, rtol=0, atol=1e-12
    )
    whole = analysis.mean(0) + anomalies(forecast)
    np.testing.assert_allclose(rtpp(forecast, analysis, 1), whole, rtol=0, atol=1e-12)


@given(seeds, shares)
def test_rtps_mixes_spreads_and_keeps_the_pattern(seed, alpha):
    forecast, analysis = pair(seed)
    relaxed = rtps(forecast, analysis, alpha)
    spread = {n: a.std(0, ddof=1) for n, a in (("f", forecast), ("a", analysis), ("r", relaxed))}
    mixed = (1 - alpha) * spread["a"] + alpha * spread["f"]
    np.testing.assert_allclose(spread["r"], mixed, rtol=0, atol=1e-12)
    pattern = anomalies(analysis) / spread["a"]
    np.testing.assert_allclose(anomalies(relaxed) / spread["r"], pattern, rtol=0, atol=1e-9)


def test_a_variable_in_which_all_agree_stays():
    forecast, analysis = pair(1)
    analysis[:, 2] = 3.0
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(rtps(forecast, analysis, 0.5)[:, 2], 3.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("relax", [rtpp, rtps, lambda f, a, s: inflate(a, 1 + s)])
def test_inputs_stay_as_they_were_and_the_dtype_too(relax, dtype):
    inputs = [a.astype(dtype) for a in pair(2)]
    copies = [a.copy() for a in inputs]
    relaxed = relax(*inputs, np.float64(0.4))
    assert relaxed.dtype == dtype
    for a, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(a, copy)
        assert not np.shares_memory(a, relaxed)


@pytest.mark.parametrize("relax", [rtpp, rtps])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, a: (f, a, -0.1), "alpha is -0.1"),
        (lambda f, a: (f, a, 1.1), "alpha is 1.1"),
        (lambda f, a: (f[:-1], a, 0.5), r"forecast has shape \(5, 4\), analysis \(6, 4\)"),
        (lambda f, a: (f[:1], a[:1], 0.5), "1 members"),
        (lambda f, a: (f * np.nan, a, 0.5), "forecast is nan"),
        (lambda f, a: (f, a * np.inf, 0.5), "analysis is -?inf"),
        (lambda f, a: (f, a.astype(int), 0.5), "analysis has dtype int64"),
    ],
)
def test_wrong_input_is_named(relax, change, message):
    with pytest.raises(InputError, match=message):
        relax(*change(*pair(3)))


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
def test_a_factor_is_positive(factor):
    with pytest.raises(InputError, match=f"factor is {factor}"):
        inflate(pair(4)[0], factor)
