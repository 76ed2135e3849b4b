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
    Bishop, Etherton and Majumdar 2001, Mon. Weather Rev. 129, 420-436; Hunt, Kostelich and
    Szunyogh 2007, Physica D 230, 112-126, equations 20 to 25.
`denkf`
    Deterministic filter: the mean moves by the gain, the anomalies by half of it,
    X - X H^T K^T / 2, which has the Kalman covariance to first order in K H and is wider beyond.
    Sakov and Oke 2008, Tellus A 60, 361-371.
`enkf`
    Stochastic filter: every member is corrected with observations perturbed by sqrt(R) xi.
    Evensen 1994, J. Geophys. Res. 99, 10143-10162; Burgers, van Leeuwen and Evensen 1998,
    Mon. Weather Rev. 126, 1719-1724; Evensen 2003, Ocean Dyn. 53, 343-367. The perturbations of an
    observation are shifted to mean 0 and widened by sqrt(k / (k - 1)), so that the mean is
    corrected with the observation itself.
`dhmda`
    The diffusion filter of the Digital Twin Brain (Lu et al. 2024, Nat. Comput. Sci.), as in its
    code: a scalar filter per voxel, then a blend of each voxel's own correction with the average of
    all voxels' proposals for it.

`dtbdask.assim.local` has the localised transform filter, `dtbdask.assim.smoothers` has those that
correct the past or parameters, `dtbdask.assim.inflation` what keeps an ensemble wide.

The smallest case, one variable observed directly with variance 1 in the ensemble and in the error:
the analysis mean lies half-way to the observation, and the variance halves.

Weights (member, member) are computed in float64; the result has the dtype of the state. Inputs are
never changed. Leading dimensions are a batch of independent problems. Arrays are NumPy's or CuPy's;
a state, and what it predicts, may be Dask arrays of either, chunked along variables.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.assim.arrays import namespace, of_members, of_variables, parts
from dtbdask.assim.checks import finite, positive, problem, share
from dtbdask.assim.weights import (
    centred,
    combined,
    denkf_weights,
    enkf_weights,
    etkf_weights,
    rotation,
    total,
)

Real = TypeVar("Real", bound=np.floating)
Floats = NDArray[np.float64]


def etkf(
    state: NDArray[Real],
    predicted: NDArray[np.floating],
    observation: ArrayLike,
    error_variance: ArrayLike,
    inflation: float = 1.0,
    generator: np.random.Generator | None = None,
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
    generator : numpy.random.Generator, optional
        Source of a random rotation of the members that keeps their mean and covariance; without it
        they change as little as they can.

    Returns
    -------
    analysis : ndarray
        (..., member, variable) float of the dtype of `state`.

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, a variance or the inflation is not positive.
    """
    b, y, R = problem(state, predicted, observation, error_variance)
    Q = rotation(generator, b.shape[-2], b.shape[:-2])
    weights = of_members(etkf_weights, b, y, R, Q)
    return _analysis(state, weights, inflation)


def denkf(
    state: NDArray[Real],
    predicted: NDArray[np.floating],
    observation: ArrayLike,
    error_variance: ArrayLike,
    inflation: float = 1.0,
) -> NDArray[Real]:
    """Deterministic ensemble Kalman filter (Sakov and Oke 2008).

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
    b, y, R = problem(state, predicted, observation, error_variance)
    weights = of_members(denkf_weights, b, y, R)
    return _analysis(state, weights, inflation)


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
    b, y, R = problem(state, predicted, observation, error_variance)
    weights = of_members(enkf_weights, b, y, R, generator.standard_normal(b.shape))
    return _analysis(state, weights, inflation)


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
        (..., member, voxel, variable) float, any unit. Forecast ensemble. Chunks, if any, are of
        voxels or variables.
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
    rho = share("rho", rho)
    b, y, R = problem(state, predicted, observation, error_variance, variables=2)
    E = b.shape[-2]
    made = of_members(_proposals, b, y, R, generator.standard_normal(b.shape))
    s, d, mix = parts(made, b.shape, b.shape, (*b.shape[:-2], E, E))
    analysis: NDArray[Real] = of_variables(_diffused, state, mix, rho, each=(s, d), axis=-2)
    return analysis


def _proposals(b: Floats, y: Floats, R: Floats, xi: Floats) -> tuple[Floats, Floats, Floats]:
    """Scaled innovations and anomalies (..., E, V), and the weights of all for all (..., E, E)."""
    # b (..., E, V), y and R (..., 1, V): the letters of `dhmda`
    finite(predicted=b)
    xp = namespace(b)
    E, V = b.shape[-2:]
    r = y + xp.sqrt(R) * xp.asarray(xi) - b
    d = centred(b)
    c = (d**2).sum(axis=-2, keepdims=True) / (E - 1) + R
    s = r / ((E - 1) * c)
    return s, d, s @ d.swapaxes(-1, -2) / V


def _diffused(state: NDArray[Real], s: Floats, d: Floats, mix: Floats, rho: float) -> NDArray[Real]:
    """The state of some voxels, corrected by their own observations and those of all."""
    finite(state=state)
    xp = namespace(state)
    s, d, mix = xp.asarray(s), xp.asarray(d), xp.asarray(mix)
    D = state.astype(np.float64) - state.mean(axis=-3, keepdims=True, dtype=np.float64)
    own = s[..., None] * xp.einsum("...ev,...evm->...vm", d, D)[..., None, :, :]
    shared = (mix @ D.reshape(*d.shape[:-1], -1)).reshape(D.shape)
    analysis: NDArray[Real] = state + (rho * own + (1 - rho) * shared).astype(state.dtype)
    return analysis


def _analysis(
    state: NDArray[Real], weights: tuple[Floats, Floats], inflation: float
) -> NDArray[Real]:
    weight = of_members(total, weights, positive("inflation", inflation))
    analysis: NDArray[Real] = of_variables(combined, state, weight)
    return analysis
