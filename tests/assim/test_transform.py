"""Bounded hyper-parameters, their random walk and the factors of single neurons."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtbdask.assim.transform import Log, Logit, random_walk
from dtbdask.errors import InputError
from dtbdask.graph.factors import NEURONS_PER_DRAW, gamma_factors
from dtbdask.rng import generator

bounds = st.tuples(st.floats(-10, 10), st.floats(0.01, 10)).map(lambda b: (b[0], b[0] + b[1]))


@given(bounds, st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=8), st.floats(0.1, 50))
def test_a_parameter_survives_the_round_trip(bound, share, scale):
    lo, hi = bound
    h = lo + (hi - lo) * np.array(share)
    logit = Logit(lo, hi, scale)
    np.testing.assert_allclose(
        logit.to_h(logit.to_z(h)), h, rtol=0, atol=1e-12 * (abs(lo) + hi + 20)
    )


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_an_unbounded_value_survives_the_round_trip(values):
    z = np.array(values)
    logit = Logit(0.25, 4.0)
    np.testing.assert_allclose(logit.to_z(logit.to_h(z)), z, rtol=0, atol=1e-8)


@given(
    bounds,
    st.floats(allow_nan=False, allow_infinity=True),
    st.sampled_from([np.float32, np.float64]),
)
def test_no_value_leaves_the_bounds(bound, value, dtype):
    with np.errstate(over="ignore"):
        z = np.array([value]).astype(dtype)
    logit = Logit(*bound)
    h = logit.to_h(z)
    assert h.dtype == dtype
    assert np.isfinite(logit.to_z(h)).all()  # which refuses a value at its bounds


@given(bounds, st.floats(-80, 80), st.floats(0.01, 10))
def test_the_transform_rises(bound, z, step):
    low, high = Logit(*bound).to_h(np.array([z, z + step]))
    assert low < high


def test_the_scale_divides_z_and_not_the_exponential():
    """sigmoid(ln 3) = 3/4, so h(10 ln 3) lies three quarters of the way up."""
    logit = Logit(1.0, 5.0)
    np.testing.assert_allclose(logit.to_h(np.array([0.0, 10 * np.log(3)])), [3.0, 4.0], rtol=1e-15)
    np.testing.assert_allclose(logit.to_z(np.array([3.0, 4.0])), [0.0, 10 * np.log(3)], atol=1e-14)


def test_bounds_broadcast_over_members():
    lo, hi = np.array([[0.1], [2.0]]), np.array([[0.3], [8.0]])  # (parameter, 1)
    h = np.full((4, 2, 3), [[0.2], [5.0]])  # (member, parameter, voxel)
    np.testing.assert_allclose(Logit(lo, hi).to_z(h), 0, atol=1e-13)


@pytest.mark.parametrize("value", [1.0, 5.0, 0.5, 7.0, np.nan])
def test_a_value_at_or_outside_its_bounds_is_named(value):
    h = np.full((2, 3), 2.0)
    h[1, 2] = value
    with pytest.raises(InputError, match=rf"{value}.*\(1, 2\).*1\.0 and 5\.0"):
        Logit(1.0, 5.0).to_z(h)


@pytest.mark.parametrize(
    ("lo", "hi", "scale", "message"),
    [
        (1.0, 1.0, 10.0, "lo = 1.0, hi = 1.0"),
        ([0.0, 3.0], 2.0, 10.0, "lo = 3.0, hi = 2.0"),
        (0.0, np.inf, 10.0, "hi = inf"),
        (0.0, 1.0, 0.0, "scale is 0.0"),
    ],
)
def test_impossible_bounds_are_refused(lo, hi, scale, message):
    with pytest.raises(InputError, match=message):
        Logit(lo, hi, scale)


def test_integers_are_refused_rather_than_truncated():
    with pytest.raises(InputError, match="int64"):
        Logit(0.5, 4.5).to_z(np.array([2]))


# The logarithm


@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e4), st.floats(0, 1))
def test_the_logarithm_survives_the_round_trip_up_to_its_walls(lo, ratio, share):
    log = Log(lo, lo * ratio)
    h = np.array([np.clip(lo * ratio**share, lo, lo * ratio)])
    np.testing.assert_allclose(log.to_h(log.to_z(h)), h, rtol=1e-9)


def test_a_step_of_the_logarithm_is_a_factor():
    log = Log(0.01, 1.0, scale=10.0)
    np.testing.assert_allclose(log.to_h(np.array([0.0, 10.0])), [0.1, 0.1 * np.e])
    np.testing.assert_array_equal(log.to_h(np.array([-1e6, 1e6])), [0.01, 1.0])


@pytest.mark.parametrize(("lo", "hi"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (1.0, np.inf)])
def test_walls_that_have_no_logarithm_are_refused(lo, hi):
    with pytest.raises(InputError, match="bound"):
        Log(lo, hi)
    with pytest.raises(InputError, match="beyond its bounds"):
        Log(1.0, 2.0).to_z(np.array([3.0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_walk_is_as_wide_as_its_variance_says(dtype):
    z = np.full((200, 50), 3.0, dtype)
    before = z.copy()
    walked = random_walk(z, [0.0, 0.25] * 25, generator(1, "walk", 0))
    assert walked.dtype == dtype
    np.testing.assert_array_equal(z, before)
    np.testing.assert_array_equal(walked[:, ::2], z[:, ::2])
    step = walked[:, 1::2] - 3.0
    assert abs(step.mean()) < 5 * 0.5 / np.sqrt(step.size)
    assert abs(step.var() / 0.25 - 1) < 5 * np.sqrt(2 / step.size)


def test_the_walk_is_a_function_of_its_stream():
    z = np.zeros((3, 2))
    first, again, other = (random_walk(z, 1.0, generator(1, "walk", i)) for i in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_a_negative_variance_is_refused():
    with pytest.raises(InputError, match=r"variance of the random walk is -0\.1"):
        random_walk(np.zeros(3), [0.1, -0.1, 0.0], generator(1, "walk"))


@given(
    st.integers(0, 3 * NEURONS_PER_DRAW), st.integers(0, 3 * NEURONS_PER_DRAW), st.integers(0, 9)
)
def test_a_neuron_keeps_its_factor_in_a_network_of_any_size(n, more, seed):
    few, many = gamma_factors(seed, 2, n), gamma_factors(seed, 2, n + more)
    assert few.shape == (n,)
    np.testing.assert_array_equal(few, many[:n])


@pytest.mark.parametrize("shape", [1.0, 5.0, 20.0])
def test_factors_have_mean_one_and_variance_one_over_shape(shape):
    n = 200_000
    gamma = gamma_factors(3, 0, n, shape)
    assert (gamma > 0).all()
    assert abs(gamma.mean() - 1) < 5 * np.sqrt(1 / shape / n)
    # the variance of a squared deviation is kurtosis - 1 = 2 + 6 / a, in units of the variance
    assert abs(gamma.var() * shape - 1) < 5 * np.sqrt((2 + 6 / shape) / n)
    assert abs(((gamma - 1) ** 3).mean() * shape**2 - 2) < 0.3 * np.sqrt(1 + 20 / shape)  # skewed


def test_seeds_parameters_and_groups_of_neurons_are_independent():
    n = NEURONS_PER_DRAW
    drawn = gamma_factors(1, 0, 2 * n)
    columns = [drawn[:n], drawn[n:], gamma_factors(1, 1, n), gamma_factors(2, 0, n)]
    correlation = np.corrcoef(columns) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(n)


@pytest.mark.parametrize(("n", "shape"), [(-1, 5.0), (10, 0.0), (10, np.nan)])
def test_impossible_factors_are_refused(n, shape):
    with pytest.raises(InputError, match="must"):
        gamma_factors(1, 0, n, shape)
