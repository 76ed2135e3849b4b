"""The analysis of the cycle is the filter that is named, where there is something to see."""

import numpy as np
import pytest

from dtbdask.assim.analysis import NUGGET, Analysis, kriging
from dtbdask.assim.filters import denkf, dhmda, etkf
from dtbdask.assim.local import letkf
from dtbdask.assim.walk import connectome_correlation
from dtbdask.errors import InputError

K, V, N = 12, 6, 5
DRAW = np.random.default_rng(8)
STATE = DRAW.normal(size=(K, V, N))
B = STATE[..., 0] + 0.1 * DRAW.normal(size=(K, V))
Y = DRAW.normal(size=V)
ERROR = np.full(V, 0.3)
ALL = np.arange(V)
SOME = np.array([0, 1, 3, 5])
WIRED = connectome_correlation(DRAW.random((V, V)))


def analysed(method="etkf", observed=ALL, **options):
    return Analysis(method, ERROR, observed, **options)(STATE, B, Y, np.random.default_rng(1))


@pytest.mark.parametrize(("method", "alone"), [("etkf", etkf), ("denkf", denkf)])
@pytest.mark.parametrize("inflation", [1.0, 1.3])
def test_each_voxel_is_analysed_by_itself(method, alone, inflation):
    found = analysed(method, inflation=inflation)
    for v in range(V):
        of = slice(v, v + 1)
        expected = alone(STATE[:, v], B[:, of], Y[of], ERROR[of], inflation=inflation)
        np.testing.assert_allclose(found[:, v], expected, rtol=1e-9, atol=1e-12)


def test_members_that_agree_are_not_moved():
    same = np.ones((K, V))
    found = Analysis("etkf", ERROR, ALL)(STATE, same, Y, np.random.default_rng(1))
    np.testing.assert_allclose(found, STATE, atol=1e-14)


def test_dhmda_is_that_of_all_voxels():
    expected = dhmda(STATE, B, Y, ERROR, 0.7, np.random.default_rng(1))
    np.testing.assert_allclose(analysed("dhmda", rho=0.7), expected, rtol=1e-11)


@pytest.mark.parametrize("observed", [ALL, SOME], ids=["all", "some"])
def test_letkf_is_the_local_filter(observed):
    taper = WIRED.clip(0, 1) ** 2 * (WIRED > 0.5)
    found = analysed("letkf", observed, taper=taper, inflation=1.1)
    flat = STATE.transpose(0, 2, 1).reshape(K, -1)
    near = np.tile(taper[:, observed], (N, 1))
    local = letkf(flat, B[:, observed], Y[observed], ERROR[observed], near, inflation=1.1)
    np.testing.assert_allclose(
        found, local.reshape(K, N, V).transpose(0, 2, 1), rtol=1e-7, atol=1e-9
    )


def test_the_identity_as_taper_is_each_voxel_by_itself():
    np.testing.assert_allclose(analysed("letkf", taper=np.eye(V)), analysed(), rtol=1e-9)


# Voxels that are not observed


@pytest.mark.parametrize("method", ["etkf", "denkf", "enkf", "dhmda"])
def test_what_is_not_observed_stays_and_does_not_count(method):
    found = analysed(method, SOME)
    unseen = np.setdiff1d(ALL, SOME)
    np.testing.assert_array_equal(found[:, unseen], STATE[:, unseen])
    other = Analysis(method, ERROR, SOME)
    y, b = Y.copy(), B.copy()
    y[unseen], b[:, unseen] = np.nan, 1e6
    np.testing.assert_array_equal(other(STATE, b, y, np.random.default_rng(1)), found)


def test_by_the_wiring_unseen_voxels_follow_those_that_are_seen():
    found, alone = analysed(observed=SOME, correlation=WIRED), analysed(observed=SOME)
    unseen = np.setdiff1d(ALL, SOME)
    np.testing.assert_array_equal(found[:, SOME], alone[:, SOME])
    carried = kriging(WIRED, SOME, unseen)
    change = (found - STATE)[:, SOME]
    for k in range(N):
        np.testing.assert_allclose(
            (found - STATE)[:, unseen, k], change[:, :, k] @ carried.T, atol=1e-12
        )


def test_kriging_finds_what_is_the_same_elsewhere():
    """A voxel that is one with an observed one follows it, but for the nugget."""
    c = np.eye(3)
    c[0, 2] = c[2, 0] = 1.0
    np.testing.assert_allclose(
        kriging(c, np.array([0, 1]), np.array([2])), [[1 / (1 + NUGGET), 0]], atol=1e-12
    )


def test_a_gaussian_that_is_carried_is_the_conditional_one():
    """Unseen voxels get the conditional mean and variance, from members without correlations."""
    draw, k = np.random.default_rng(3), 200
    x = draw.normal(size=(k, V))
    x = x - x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T @ np.linalg.cholesky(WIRED).T
    unseen = np.setdiff1d(ALL, SOME)
    filter_ = Analysis("etkf", np.full(V, 1e-6), SOME, correlation=WIRED)
    found = filter_(x[:, :, None], x, Y, draw)[:, unseen, 0]
    inner = np.linalg.solve(WIRED[np.ix_(SOME, SOME)], WIRED[np.ix_(SOME, unseen)]).T
    np.testing.assert_allclose(found.mean(axis=0), inner @ Y[SOME], atol=0.05)
    rest = WIRED[np.ix_(unseen, unseen)] - inner @ WIRED[np.ix_(SOME, unseen)]
    np.testing.assert_allclose(np.cov(found.T), rest, atol=0.05)


WRONG = {
    "method": ({"method": "kalman"}, "method is 'kalman'"),
    "letkf without a taper": ({"method": "letkf"}, "needs a taper"),
    "a taper for others": ({"taper": np.eye(V)}, "needs a taper"),
    "taper of others": ({"method": "letkf", "taper": np.eye(V + 1)}, "taper has shape"),
    "taper too large": ({"method": "letkf", "taper": 2 * np.eye(V)}, "expected 0 to 1"),
    "rho": ({"rho": 1.1}, "rho is 1.1"),
    "inflation": ({"inflation": 0.0}, "inflation is 0"),
    "inflated diffusion": ({"method": "dhmda", "inflation": 1.1}, "dhmda of the cycle"),
}


@pytest.mark.parametrize(("wrong", "told"), WRONG.values(), ids=WRONG)
def test_a_wrong_analysis_is_refused(wrong, told):
    with pytest.raises(InputError, match=told):
        analysed(**wrong)
