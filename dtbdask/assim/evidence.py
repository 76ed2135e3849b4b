"""Scores that a smooth signal does not give away: several frames ahead, unseen voxels, free runs.

Each stands beside predictors that need no model. On series that were band-passed even these are
strong: a filtered frame contains its future, and `autoregression`, fitted to the very frames that
it is scored on, shows how much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.assim.analysis import kriging
from dtbdask.assim.scores import correlation, crps, fc_similarity, rmse, spread_skill
from dtbdask.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def ahead_scores(
    forecast: ArrayLike, y: ArrayLike, ahead: int, first: int = 0
) -> dict[str, dict[str, float]]:
    """Scores of forecasts that set out from every `ahead`-th frame, by how far they reach.

    Parameters
    ----------
    forecast : array_like
        (frame, member, voxel) float, any unit. That of frame f set out from the last frame before
        it that `ahead` divides, after its observation.
    y : array_like
        (frame, voxel) float.
    ahead : int
        Frames that a forecast reaches.
    first : int
        First frame to score.

    Returns
    -------
    scores : dict
        By lag, "1" to `ahead`: `r`, `rmse`, `crps`, `spread_over_rmse`, each the mean over voxels,
        and `r_` and `rmse_` of `persistence` and, if it can be, of `autoregression`, on the same
        frames. Lags of fewer than 3 frames are left out.
    """
    x, truth = np.asarray(forecast, dtype=np.float64), np.asarray(y, dtype=np.float64)
    scores = {}
    for lag in range(1, ahead + 1):
        frames = np.arange(lag, len(truth), ahead)
        frames = frames[frames >= max(first, lag)]
        if len(frames) < 3:
            continue
        found = _scored(x[frames], truth[frames])
        before = truth[frames - lag]
        found |= _beside("persistence", before, truth[frames])
        by_past = autoregression(truth, lag)
        if by_past is not None:
            known = frames[frames >= len(truth) - len(by_past)]
            beside = by_past[known - (len(truth) - len(by_past))]
            if len(known) > 2:
                found |= _beside("autoregression", beside, truth[known])
        scores[str(lag)] = found
    return scores


def autoregression(y: ArrayLike, lag: int, order: int = 2) -> Floats | None:
    """Predict by the best line through the last frames, one for all voxels, fitted to all of y.

    Parameters
    ----------
    y : array_like
        (frame, voxel) float.
    lag : int
        Frames ahead.
    order : int
        Frames that it sees.

    Returns
    -------
    prediction : ndarray or None
        (frame - lag - order + 1, voxel) float64, of the last frames; None where there are too few.
    """
    x = np.asarray(y, dtype=np.float64)
    n = len(x) - lag - order + 1
    if n < order + 2:
        return None
    z = x - x.mean(axis=0)
    seen = np.stack([z[order - 1 - k : order - 1 - k + n] for k in range(order)], axis=-1)
    target = z[order - 1 + lag :]
    weights, *_ = np.linalg.lstsq(seen.reshape(-1, order), target.reshape(-1), rcond=None)
    predicted: Floats = x.mean(axis=0) + seen @ weights
    return predicted


def held_scores(
    analysed: ArrayLike, y: ArrayLike, observed: Ints, wiring: ArrayLike | None = None,
    first: int = 0,
) -> dict[str, float]:  # fmt: skip
    """Scores of the voxels that were not observed, after the analysis of the frame.

    Parameters
    ----------
    analysed : array_like
        (frame, member, voxel) float. BOLD of the members after the update.
    y : array_like
        (frame, voxel) float. Of all voxels.
    observed : (index,) int
        Voxels that were observed.
    wiring : array_like, optional
        (voxel, voxel) float. The correlation of the walks, by which the unseen voxels can also be
        told from the others without any model.
    first : int
        First frame to score.

    Returns
    -------
    scores : dict
        `r`, `rmse`, `crps` and `spread_over_rmse` of the unseen voxels; `r_` and `rmse_` of
        `mean_of_others`, the mean of the observed in the same frame, and of `kriging`.
    """
    x = np.asarray(analysed, dtype=np.float64)[first:]
    truth = np.asarray(y, dtype=np.float64)[first:]
    unseen = np.setdiff1d(np.arange(truth.shape[1]), observed)
    if not unseen.size:
        raise InputError("observed has all voxels; there is none to score")
    scores = _scored(x[:, :, unseen], truth[:, unseen])
    mean = np.repeat(truth[:, observed].mean(axis=1)[:, None], unseen.size, axis=1)
    scores |= _beside("mean_of_others", mean, truth[:, unseen])
    if wiring is not None:
        centre = truth[:, observed].mean()
        carried = centre + (truth[:, observed] - centre) @ kriging(wiring, observed, unseen).T
        scores |= _beside("kriging", carried, truth[:, unseen])
    return scores


def free_run_scores(bold: ArrayLike, y: ArrayLike, first: int = 0) -> dict[str, float]:
    """Scores of a run that never saw an observation.

    Parameters
    ----------
    bold, y : array_like
        (frame, voxel) float. What the run gave, and what was measured.
    first : int
        First frame to score.

    Returns
    -------
    scores : dict
        `r` and `rmse`, the mean over voxels, and `fc_similarity`.
    """
    x, truth = np.asarray(bold, dtype=np.float64)[first:], np.asarray(y, dtype=np.float64)[first:]
    return {
        "r": float(correlation(x, truth).mean()),
        "rmse": float(rmse(x, truth).mean()),
        "fc_similarity": fc_similarity(x, truth),
    }


def structure_function(connection: ArrayLike, y: ArrayLike) -> float:
    """Correlation of the logarithm of connections with functional connectivity, over pairs.

    What a functional connectivity that is fitted is to be read beside.

    Parameters
    ----------
    connection : array_like
        (target, source) float.
    y : array_like
        (frame, voxel) float.

    Returns
    -------
    r : float
    """
    c = np.asarray(connection, dtype=np.float64)
    upper = np.triu_indices(len(c), k=1)
    fc = np.atleast_2d(np.corrcoef(np.asarray(y, dtype=np.float64).T))
    weight = np.log1p((c + c.T) / 2)[upper]
    return float(np.corrcoef(weight, fc[upper])[0, 1])


def _scored(x: Floats, truth: Floats) -> dict[str, float]:
    mean = x.mean(axis=1)
    return {
        "r": float(correlation(mean, truth).mean()),
        "rmse": float(rmse(mean, truth).mean()),
        "crps": float(crps(x, truth).mean()),
        "spread_over_rmse": spread_skill(x, truth),
    }


def _beside(name: str, predicted: Floats, truth: Floats) -> dict[str, float]:
    return {
        f"r_{name}": float(correlation(predicted, truth).mean()),
        f"rmse_{name}": float(rmse(predicted, truth).mean()),
    }
