"""The filters against figures of the literature, with Lorenz's models."""

import time

import numpy as np
import pytest
from assim.lorenz import CASES, FULL, L63, L96, SEEDS, circle, rk4, rmse

from dtbdask.assim.local import letkf
from dtbdask.assim.localisation import HALF_WIDTH, gaspari_cohn

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@cases
def test_a_short_twin_comes_near_the_published_error(case):
    """One seed and few cycles, so bounds half as wide again; the full ones are below."""
    low, high = case.bounds
    assert low / 1.5 <= rmse(case, 1, cycles=150, burn_in=50) <= high * 1.5


@pytest.mark.slow
@cases
def test_four_twins_have_the_published_error(case):
    low, high = case.bounds
    assert low <= np.mean([rmse(case, seed, *FULL[case.model]) for seed in SEEDS]) <= high


@pytest.mark.parametrize("model", [L96, L63], ids=["L96", "L63"])
def test_the_models_are_of_fourth_order(model):
    x = np.random.default_rng(1).normal(1, 1, model.variables)
    for _ in range(400):
        x = rk4(model.derivative, x, 0.01)

    def run(n):
        y = x
        for _ in range(n):
            y = rk4(model.derivative, y, 0.08 / n)
        return y

    ends = [run(n) for n in (4, 8, 16)]
    ratio = np.abs(ends[1] - ends[0]).max() / np.abs(ends[2] - ends[1]).max()
    assert 11 < ratio < 23  # halved steps: a sixteenth of the error


def test_the_rest_of_lorenz_96_is_the_forcing():
    np.testing.assert_array_equal(L96.derivative(np.full(40, 8.0)), 0)
    x = np.random.default_rng(2).normal(size=40)
    assert abs((x * (L96.derivative(x) + x - 8)).sum()) < 1e-12  # advection keeps the energy


def test_the_local_filter_takes_milliseconds():
    x = np.random.default_rng(3).normal(size=(10, 40))
    taper = gaspari_cohn(circle(40), 6 * HALF_WIDTH)
    letkf(x, x, x[0], 1.0, taper)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        letkf(x, x, x[0], 1.0, taper)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005
