"""The local filter: between one filter for all variables and one for each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtbdask.assim.filters import etkf
from dtbdask.assim.local import letkf
from dtbdask.assim.localisation import gaspari_cohn
from dtbdask.errors import InputError

MEMBERS, VARIABLES, OBS = 6, 5, 4
seeds = st.integers(0, 2**31)


def problem(seed, *batch, obs=OBS):
    """A random (state, predicted, observation, error variance) and its tapers."""
    rng = np.random.default_rng(seed)
    state = rng.normal(size=(*batch, MEMBERS, VARIABLES))
    predicted = rng.normal(size=(*batch, MEMBERS, obs)) + state.mean(-1)[..., None]
    y, R = rng.normal(size=(*batch, obs)), rng.uniform(0.1, 2, (*batch, obs))
    return (state, predicted, y, R), rng.uniform(0, 1, (VARIABLES, obs))


@given(seeds, st.floats(0.5, 2))
def test_with_every_observation_near_it_is_the_transform_filter(seed, inflation):
    inputs, taper = problem(seed)
    everywhere = gaspari_cohn(np.zeros_like(taper), 1.0)
    local = letkf(*inputs, everywhere, inflation)
    np.testing.assert_allclose(local, etkf(*inputs, inflation), rtol=0, atol=1e-10)
    turned = [
        f(*args, inflation, np.random.default_rng(seed))
        for f, args in ((letkf, (*inputs, everywhere)), (etkf, inputs))
    ]
    np.testing.assert_allclose(turned[0], turned[1], rtol=0, atol=1e-10)


@given(seeds)
def test_with_only_its_own_observation_near_each_variable_is_filtered_alone(seed):
    (x, _, y, R), _ = problem(seed, obs=VARIABLES)
    apart = np.abs(np.subtract.outer(np.arange(VARIABLES), np.arange(VARIABLES)))
    local = letkf(x, x, y, R, gaspari_cohn(apart, 1e-3))
    alone = etkf(x.T[..., None], x.T[..., None], y[:, None], R[:, None])[..., 0].T
    np.testing.assert_allclose(local, alone, rtol=0, atol=1e-10)


@given(seeds)
def test_each_variable_is_a_transform_filter_with_errors_divided_by_its_tapers(seed):
    (x, b, y, R), taper = problem(seed)
    local = letkf(x, b, y, R, taper)
    for v in range(VARIABLES):
        one = etkf(x[:, [v]], b, y, R / np.maximum(taper[v], 1e-12))
        np.testing.assert_allclose(local[:, [v]], one, rtol=0, atol=1e-9)


@given(seeds)
def test_an_observation_with_taper_zero_does_not_exist(seed):
    (x, b, y, R), taper = problem(seed)
    taper[:, 1] = 0
    other = y.copy()
    other[1] += 100
    kept = [0, 2, 3]
    without = letkf(x, b[:, kept], y[kept], R[kept], taper[:, kept])
    np.testing.assert_allclose(letkf(x, b, other, R, taper), without, rtol=0, atol=1e-12)
    np.testing.assert_allclose(letkf(x, b, y, R, 0 * taper), x, rtol=0, atol=1e-12)


@given(seeds, st.permutations(range(MEMBERS)))
def test_the_order_of_members_and_scales_change_nothing(seed, order):
    (x, b, y, R), taper = problem(seed)
    plain = letkf(x, b, y, R, taper)
    np.testing.assert_allclose(
        letkf(x[order], b[order], y, R, taper), plain[order], rtol=0, atol=1e-10
    )
    rng = np.random.default_rng(seed)
    scale, shift = 10 ** rng.uniform(-2, 2, VARIABLES), rng.normal(size=VARIABLES)
    unit = 10 ** rng.uniform(-2, 2, OBS)
    rescaled = letkf(x * scale + shift, b * unit, y * unit, R * unit**2, taper)
    np.testing.assert_allclose((rescaled - shift) / scale, plain, rtol=0, atol=1e-8)


def test_a_batch_is_many_single_problems():
    inputs, taper = problem(4, 2, 3)
    together = letkf(*inputs, taper)
    for i in np.ndindex(2, 3):
        alone = letkf(*(a[i] for a in inputs), taper)
        np.testing.assert_allclose(together[i], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_stay_as_they_were_and_the_dtype_too(dtype):
    inputs, taper = problem(5)
    given_ = [a.astype(dtype) for a in (*inputs, taper)]
    copies = [a.copy() for a in given_]
    for a in given_:
        a.flags.writeable = False
    analysis = letkf(*given_)
    assert analysis.dtype == dtype
    assert not np.shares_memory(analysis, given_[0])
    for a, copy in zip(given_, copies, strict=True):
        np.testing.assert_array_equal(a, copy)
    double = letkf(*(a.astype(np.float64) for a in given_))
    np.testing.assert_allclose(analysis, double, rtol=0, atol=2e-6 if dtype == np.float32 else 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, b, y, R, t: (x, b, y, R, t[:, 1:]), r"taper has shape \(5, 3\).*\(5, 4\)"),
        (lambda x, b, y, R, t: (x, b, y, R, t.T), r"taper has shape \(4, 5\)"),
        (lambda x, b, y, R, t: (x, b, y, R, t - 1), r"taper has values from -.*0 and 1"),
        (lambda x, b, y, R, t: (x, b, y, R, t * np.nan), "taper has values from nan"),
        (lambda x, b, y, R, t: (x, b[:1], y, R, t), "predicted has shape"),
        (lambda x, b, y, R, t: (x[:1], b[:1], y, R, t), "1 members"),
        (lambda x, b, y, R, t: (x, b, y, -R, t), "error_variance is as low as -"),
        (lambda x, b, y, R, t: (x * np.inf, b, y, R, t), "state is -?inf"),
        (lambda x, b, y, R, t: (x, b * np.nan, y, R, t), "predicted is nan"),
        (lambda x, b, y, R, t: (x, b, y, R, t, 0.0), "inflation is 0"),
    ],
)
def test_wrong_input_is_named(change, message):
    inputs, taper = problem(6)
    with pytest.raises(InputError, match=message):
        letkf(*change(*inputs, taper))
