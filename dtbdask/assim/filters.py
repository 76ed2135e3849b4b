"""Ensemble Kalman filters: pure functions from a forecast ensemble to an analysis ensemble.

An ensemble of k members carries a state x and what it predicts for the observations, b = H(x).
With anomalies about the ensemble mean as the rows of X (member, variable) and Y (member, obs),
observations y and the diagonal R of their error variances, the Kalman gain of the sample is

    K = X^T Y (Y^T Y + (k - 1) R)^-1  =  X^T A^-1 Y R^-1,     A = (k - 1) I + Y R^-1 Y^T,

where the right-hand form (Woodbury) inverts a matrix of members, never one of observations.
Each filter adds to the members combinations of their own anomalies:

`etkf`
    Ensemble transform filter, deterministic. The mean moves by X^T w, w = A^-1 Y R^-1 (y - mean b);
    the anomalies become W X with W = [(k - 1) A^-1]^(1/2), the symmetric root: the smallest change
    of the members that has the Kalman covariance, and one that keeps their mean.
    Hunt, Kostelich and Szunyogh 2007, Physica D 230, 112-126, equations 20 to 25.
`enkf`
    Stochastic filter: every member is corrected with observations perturbed by sqrt(R) xi.
    Burgers, van Leeuwen and Evensen 1998, Mon. Weather Rev. 126, 1719-1724. The perturbations of an
    observation are shifted to mean 0 and widened by sqrt(k / (k - 1)), so that the mean is
    corrected with the observation itself.
`dhmda`
    The diffusion filter of the Digital Twin Brain (Lu et al. 2024, Nat. Comput. Sci.), as in its
    code: a scalar filter per voxel, then a blend of each voxel's own correction with the average of
    all voxels' proposals for it.

The smallest case, one variable observed directly with variance 1 in the ensemble and in the error:
the analysis mean lies half-way to the observation, and the variance halves.

Weights (member, member) are computed in float64; the result has the dtype of the state. Inputs are
never changed. Leading dimensions are a batch of independent problems.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError

Real = TypeVar("Real", bound=np.floating)
Floats = NDArray[np.float64]


def etkf(
    state: NDArray[Real],
    predicted: NDArray[np.floating],
    observation: ArrayLike,
    error_variance: ArrayLike,
    inflation: float = 1.0,
) -> NDArray[Real]:
    """Ensemble transform Kalman filter with the symmetric square root (Hunt et al. 2007).

    Parameters
    ----------
    state : ndarray
        (..., member, variable) float, any unit. Forecast ensemble.
    predicted : ndarray
        (..., member, obs) float, unit of the observation. What each member predicts.
    observation : array_like
        (..., obs) float. Measured values.
    error_variance : array_like
        (..., obs) float or a scalar, squared unit of the observation. Diagonal of R, positive.
    inflation : float
        Multiplies the analysis anomalies; 1 leaves them.

    Returns
    -------
    analysis : ndarray
        (..., member, variable) float of the dtype of `state`.

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, a variance or the inflation is not positive.
    """
    # b (..., k, obs), y and R (..., 1, obs): the letters of the module docstring
    b, y, R = _checked(state, predicted, observation, error_variance, variables=1)
    k = state.shape[-2]
    mean = b.mean(axis=-2, keepdims=True)
    Y = b - mean
    YR = Y / R
    eigenvalue, U = np.linalg.eigh(YR @ Y.mT)
    a = np.maximum(eigenvalue, 0.0)[..., None, :] + (k - 1)  # of A, (..., 1, k)
    w = ((y - mean) @ YR.mT @ U / a) @ U.mT  # (..., 1, k)
    W = (U * np.sqrt((k - 1) / a)) @ U.mT  # (..., k, k)
    return _combine(state, w + _positive(inflation) * W)


def enkf(
    state: NDArray[Real],
    predicted: NDArray[np.floating],
    observation: ArrayLike,
    error_variance: ArrayLike,
    generator: np.random.Generator,
    inflation: float = 1.0,
) -> NDArray[Real]:
    """Stochastic ensemble Kalman filter, perturbed observations (Burgers et al. 1998).

    Parameters
    ----------
    state : ndarray
        (..., member, variable) float, any unit. Forecast ensemble.
    predicted : ndarray
        (..., member, obs) float, unit of the observation. What each member predicts.
    observation : array_like
        (..., obs) float. Measured values.
    error_variance : array_like
        (..., obs) float or a scalar, squared unit of the observation. Diagonal of R, positive.
    generator : numpy.random.Generator
        Source of the perturbations, one standard normal for each element of `predicted`.
    inflation : float
        Multiplies the analysis anomalies; 1 leaves them.

    Returns
    -------
    analysis : ndarray
        (..., member, variable) float of the dtype of `state`.

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, a variance or the inflation is not positive.
    """
    # b (..., k, obs), y and R (..., 1, obs): the letters of the module docstring
    b, y, R = _checked(state, predicted, observation, error_variance, variables=1)
    k = state.shape[-2]
    xi = _centred(generator.standard_normal(b.shape)) * np.sqrt(k / (k - 1))
    D = y + np.sqrt(R) * xi - b
    Y = _centred(b)
    A = (k - 1) * np.eye(k) + (Y / R) @ Y.mT
    T = np.linalg.solve(A, Y @ (D / R).mT).mT  # (..., k, k): member e gains T_e X
    w = T.mean(axis=-2, keepdims=True)
    return _combine(state, w + _positive(inflation) * (T - w + np.eye(k)))


def dhmda(
    state: NDArray[Real],
    predicted: NDArray[np.floating],
    observation: ArrayLike,
    error_variance: ArrayLike,
    rho: float,
    generator: np.random.Generator,
) -> NDArray[Real]:
    """Diffusion ensemble Kalman filter of the Digital Twin Brain (Lu et al. 2024).

    Every observation is treated as a scalar: with d the anomalies of the predictions b, D those of
    the state x, E members and V voxels,

        c_v     = sum_e d_ev^2 / (E - 1) + R_v
        G_v(w)  = sum_e d_ev D_ew / ((E - 1) c_v)          gain of observation v on the state of w
        r_ev    = y_v + sqrt(R_v) xi_ev - b_ev             innovation, perturbed
        x_ev   <- x_ev + rho r_ev G_v(v) + (1 - rho) (1 / V) sum_w r_ew G_w(v).

    The sum over w is two matrix products, (E, V) (V, E) and (E, E) (E, V variables).

    Parameters
    ----------
    state : ndarray
        (..., member, voxel, variable) float, any unit. Forecast ensemble.
    predicted : ndarray
        (..., member, voxel) float, unit of the observation. BOLD that each member predicts.
    observation : array_like
        (..., voxel) float. Measured BOLD.
    error_variance : array_like
        (..., voxel) float or a scalar, squared unit of the observation. R, positive.
    rho : float
        Weight of a voxel's own correction, 0 to 1; 1 gives independent scalar filters.
    generator : numpy.random.Generator
        Source of xi, one standard normal for each element of `predicted`; not centred.

    Returns
    -------
    analysis : ndarray
        (..., member, voxel, variable) float of the dtype of `state`.

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, a variance is not positive, rho is not in [0, 1].
    """
    if not 0 <= rho <= 1:
        raise InputError(f"rho is {rho}; it must lie between 0 and 1")
    # b (..., E, V), y and R (..., 1, V), D (..., E, V, variable): the letters above
    b, y, R = _checked(state, predicted, observation, error_variance, variables=2)
    E, V = b.shape[-2:]
    r = y + np.sqrt(R) * generator.standard_normal(b.shape) - b
    d = _centred(b)
    D = state.astype(np.float64) - state.mean(axis=-3, keepdims=True, dtype=np.float64)
    c = (d**2).sum(axis=-2, keepdims=True) / (E - 1) + R
    s = r / ((E - 1) * c)
    own = s[..., None] * np.einsum("...ev,...evm->...vm", d, D)[..., None, :, :]
    shared = ((s @ d.mT / V) @ D.reshape(*b.shape[:-1], -1)).reshape(D.shape)
    analysis: NDArray[Real] = state + (rho * own + (1 - rho) * shared).astype(state.dtype)
    return analysis


def _centred(a: Floats) -> Floats:
    anomalies: Floats = a - a.mean(axis=-2, keepdims=True)
    return anomalies


def _combine(state: NDArray[Real], weight: Floats) -> NDArray[Real]:
    """Mean of the state plus `weight` (..., member, member) times its anomalies."""
    mean = state.mean(axis=-2, keepdims=True)
    analysis: NDArray[Real] = mean + weight.astype(state.dtype) @ (state - mean)
    return analysis


def _positive(inflation: float) -> float:
    if not 0 < inflation < np.inf:
        raise InputError(f"inflation is {inflation}; it must be positive and finite")
    return inflation


def _checked(
    state: NDArray[Real],
    predicted: NDArray[np.floating],
    observation: ArrayLike,
    error_variance: ArrayLike,
    variables: int,
) -> tuple[Floats, Floats, Floats]:
    """Predictions (..., member, obs), observation and variance (..., 1, obs), checked, float64.

    The last `variables` dimensions of the state come after its member dimension.
    """
    b = np.asarray(predicted, dtype=np.float64)
    shared = state.shape[:-1] if variables == 2 else (*state.shape[:-1], *b.shape[-1:])
    if state.ndim < variables + 1 or b.shape != shared:
        wanted = "(..., member, voxel)" if variables == 2 else "(..., member, obs)"
        raise InputError(f"predicted has shape {b.shape}; state {state.shape} asks for {wanted}")
    if b.shape[-2] < 2:
        raise InputError(f"the ensemble has {b.shape[-2]} members; at least 2 are needed")
    if not np.issubdtype(state.dtype, np.floating):
        raise InputError(f"state has dtype {state.dtype}; use float32 or float64")
    y, R = (
        _each(observation, "observation", b.shape),
        _each(error_variance, "error_variance", b.shape),
    )
    if not (R > 0).all():
        raise InputError(f"error_variance is as low as {R.min()}; every value must be positive")
    _finite(state=state, predicted=b, observation=y, error_variance=R)
    return b, y, R


def _each(values: ArrayLike, name: str, shape: tuple[int, ...]) -> Floats:
    """One value for each observation of each problem, (..., 1, obs)."""
    a = np.asarray(values, dtype=np.float64)
    try:
        each = np.broadcast_to(a, (*shape[:-2], shape[-1]))
    except ValueError:
        raise InputError(
            f"{name} has shape {a.shape}; predicted of shape {shape} asks for {shape[-1:]}"
        ) from None
    return each[..., None, :]


def _finite(**arrays: NDArray[np.floating]) -> None:
    for name, a in arrays.items():
        wrong = np.argwhere(~np.isfinite(a))
        if len(wrong):
            place = tuple(wrong[0].tolist())
            raise InputError(f"{name} is {a[place]} at index {place}; every value must be finite")
