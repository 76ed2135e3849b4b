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
    rows = np.ascontiguousarray(state.swapaxes(1, 2))  # nothing to do where voxels came last
    k = len(predicted) - 1
    mean_b = predicted.sum(axis=0) / (k + 1)
    Y = predicted - mean_b
    P = (Y * Y).sum(axis=0) / k
    a = 1 / (1 + np.sqrt(error / (P + error))) if method == "etkf" else np.full(y.shape, 0.5)
    return _updated(rows, Y, y - mean_b, k * (P + error), a, inflation).swapaxes(1, 2)


@njit(nogil=True, cache=True, error_model="numpy")
def _updated(
    state: Floats, Y: Floats, innovation: Floats, total: Floats, a: Floats, inflation: float
) -> Floats:
    """Analysis (member, variable, voxel), all voxels of a variable at once.

    `total` is (k - 1) (P + R). Sums go over members in their order, whatever else the state holds.
    """
    n_members, n_variables, n_voxels = state.shape
    X = np.empty(state.shape)  # becomes the analysis, in place
    mean, K = np.empty(n_voxels), np.empty(n_voxels)
    for n in range(n_variables):
        mean[:], K[:] = 0.0, 0.0
        for m in range(n_members):
            for v in range(n_voxels):
                mean[v] += state[m, n, v]
        for v in range(n_voxels):
            mean[v] /= n_members
        for m in range(n_members):
            for v in range(n_voxels):
                X[m, n, v] = state[m, n, v] - mean[v]
                K[v] += Y[m, v] * X[m, n, v]
        for v in range(n_voxels):
            K[v] /= total[v]
            mean[v] += K[v] * innovation[v]
        for m in range(n_members):
            for v in range(n_voxels):
                X[m, n, v] = (X[m, n, v] - a[v] * Y[m, v] * K[v]) * inflation + mean[v]
    return X
