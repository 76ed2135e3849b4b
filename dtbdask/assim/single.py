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
    k = len(predicted)
    mean, mean_b = state.mean(axis=0), predicted.mean(axis=0)
    X: Floats = state - mean  # becomes the analysis, in place
    Y = predicted - mean_b
    P = (Y**2).sum(axis=0) / (k - 1)
    K = np.einsum("mv,mvn->vn", Y, X) / ((k - 1) * (P + error))[:, None]
    a = 0.5 if method == "denkf" else 1 / (1 + np.sqrt(error / (P + error)))
    X -= (a * Y)[:, :, None] * K
    X *= inflation
    X += mean + K * (y - mean_b)[:, None]
    return X
