"""Filters where each voxel has one observation, its own: nothing has to be inverted.

With the anomalies Y (member,) of what the members predict, X (member, variable) those of the state,
P = Y^T Y / (k - 1) and the gain K = X^T Y / (k - 1) / (P + R), the mean moves by K (y - mean b),
and

    X <- X - a Y K,     a = 1 / (1 + sqrt(R / (P + R)))  of `etkf`,     a = 1/2  of `denkf`.

Both are what `dtbdask.assim.filters` gives for one observation (Whitaker and Hamill 2002, Mon.
Weather Rev. 130, 1913-1924, equation 13). There it takes an eigenproblem of members for each voxel,
here some k products for each variable.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask.assim.checks import finite

Floats = NDArray[np.float64]


def update_each(
    state: Floats, predicted: Floats, y: Floats, error: Floats,
    method: Literal["etkf", "denkf"], inflation: float = 1.0,
) -> Floats:  # fmt: skip
    """Analysis of all voxels, each with its own observation.

    Parameters
    ----------
    state : (member, voxel, variable) float64
        Forecast ensemble.
    predicted : (member, voxel) float64
        What each member predicts of each voxel.
    y, error : (voxel,) float64
        Observations and variances of their errors.
    method : {"etkf", "denkf"}
    inflation : float
        Multiplies the analysis anomalies.

    Returns
    -------
    analysis : (member, voxel, variable) float64
    """
    finite(state=state, predicted=predicted, observation=y)
    share = np.nan if method == "etkf" else 0.5
    return _updated(state, predicted, y, error, share, inflation)


@njit(nogil=True, cache=True, error_model="numpy")
def _updated(
    state: Floats, predicted: Floats, y: Floats, error: Floats, share: float, inflation: float
) -> Floats:
    """`update_each`, a voxel at a time, whose members fit into the first cache; a is `share`.

    Sums go over members in their order, whatever else the state holds.
    """
    n_members, n_voxels, n_variables = state.shape
    X = np.empty(state.shape)  # becomes the analysis, in place
    Y = np.empty(n_members)
    mean, K = np.empty(n_variables), np.empty(n_variables)
    for v in range(n_voxels):
        mean[:], K[:], mean_b, P = 0.0, 0.0, 0.0, 0.0
        for m in range(n_members):
            mean_b += predicted[m, v]
            for n in range(n_variables):
                mean[n] += state[m, v, n]
        mean_b /= n_members
        for n in range(n_variables):
            mean[n] /= n_members
        for m in range(n_members):
            Y[m] = predicted[m, v] - mean_b
            P += Y[m] * Y[m]
            for n in range(n_variables):
                X[m, v, n] = state[m, v, n] - mean[n]
                K[n] += Y[m] * X[m, v, n]
        P /= n_members - 1
        for n in range(n_variables):
            K[n] /= (n_members - 1) * (P + error[v])
            mean[n] += K[n] * (y[v] - mean_b)
        a = share if share == share else 1 / (1 + np.sqrt(error[v] / (P + error[v])))
        for m in range(n_members):
            aY = a * Y[m]
            for n in range(n_variables):
                X[m, v, n] = (X[m, v, n] - aY * K[n]) * inflation + mean[n]
    return X
