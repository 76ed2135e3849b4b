"""How good a forecast of BOLD is, always beside what needs no model at all.

BOLD is so smooth that trivial predictors score high: on a 90-region resting series at 0.8 s, a
region's last value predicts it with r = 0.96, linear extrapolation with 0.99, the mean of the other
regions with 0.81. A forecast r of 0.9 shows nothing; `forecast_scores` therefore gives forecast and
baselines on the same frames. Better evidence is a free run, held-out frames or regions, functional
connectivity, and twin experiments where the truth is known (`parameter_error`).

`crps`, `spread_skill` and `rank_histogram` compare an ensemble with the truth. Against noisy data
add draws of the observation error to the members first, or a good ensemble looks too narrow.

A correlation with a constant series is undefined and given as NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chisquare

from dtbdask.errors import InputError

Floats = NDArray[np.float64]

FIRST = 2
"""First frame that every baseline can predict."""


def correlation(a: ArrayLike, b: ArrayLike) -> Floats:
    """Pearson correlation over frames.

    Parameters
    ----------
    a, b : array_like
        (frame, voxel) float, any unit.

    Returns
    -------
    r : ndarray
        (voxel,) float64, 1. NaN where either series is constant.
    """
    x, y = _pair(a, b)
    r: Floats = (_unit(x) * _unit(y)).sum(axis=0)
    return r


def rmse(a: ArrayLike, b: ArrayLike) -> Floats:
    """Root-mean-square difference over frames.

    Parameters
    ----------
    a, b : array_like
        (frame, voxel) float, any unit.

    Returns
    -------
    rmse : ndarray
        (voxel,) float64, unit of the input.
    """
    x, y = _pair(a, b)
    difference: Floats = np.sqrt(((x - y) ** 2).mean(axis=0))
    return difference


def crps(forecast: ArrayLike, y: ArrayLike) -> Floats:
    """Continuous ranked probability score of an ensemble of n members, fair estimator.

        mean_i |x_i - y| - sum_ij |x_i - x_j| / (2 n (n - 1))

    Ferro 2014, Q. J. R. Meteorol. Soc. 140, 1917-1923. The expected score does not depend on n, and
    a single value scores its absolute error. The double sum is taken from the sorted members, as
    2 sum_i (2 i - n - 1) x_(i), i from 1.

    Parameters
    ----------
    forecast : array_like
        (frame, member, voxel) float, any unit. At least 2 members.
    y : array_like
        (frame, voxel) float, unit of the forecast.

    Returns
    -------
    crps : ndarray
        (frame, voxel) float64, unit of the forecast; smaller is better.
    """
    x, truth = _ensemble(forecast, y)
    n = x.shape[1]
    error = np.sort(x - truth[:, None], axis=1)
    rank = 2.0 * np.arange(1, n + 1) - n - 1
    score: Floats = np.abs(error).mean(axis=1) - np.einsum("m,fmv->fv", rank, error) / (n * (n - 1))
    return score


def spread_skill(forecast: ArrayLike, y: ArrayLike) -> float:
    """Ratio of an ensemble's spread to the error of its mean; 1 for a reliable ensemble.

    The spread is sqrt((n + 1) / n  mean variance), the error that the mean of n members makes when
    the truth is one more draw (Fortin et al. 2014, J. Hydrometeorol. 15, 1708-1713).

    Parameters
    ----------
    forecast : array_like
        (frame, member, voxel) float, any unit. At least 2 members.
    y : array_like
        (frame, voxel) float, unit of the forecast.

    Returns
    -------
    ratio : float
        Below 1 the ensemble is too narrow; infinite where the mean is exact.
    """
    x, truth = _ensemble(forecast, y)
    variance = (1 + 1 / x.shape[1]) * x.var(axis=1, ddof=1).mean()
    error = ((x.mean(axis=1) - truth) ** 2).mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.sqrt(variance / error))


def rank_histogram(forecast: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.int64], float]:
    """How often the truth fell between which members; flat for a reliable ensemble.

    Hamill 2001, Mon. Weather Rev. 129, 550-560. A U means too narrow, a dome too wide, a slope
    biased.

    Parameters
    ----------
    forecast : array_like
        (frame, member, voxel) float, any unit. At least 2 members.
    y : array_like
        (frame, voxel) float, unit of the forecast.

    Returns
    -------
    counts : ndarray
        (rank,) int64, 1. How often r members lay below the truth, r = 0 ... n.
    p : float
        Chi-square probability of counts this uneven from a flat histogram. It takes frames and
        voxels as independent, which BOLD is not: a small p alone convicts nothing.
    """
    x, truth = _ensemble(forecast, y)
    below = (x < truth[:, None]).sum(axis=1)
    counts = np.bincount(below.ravel(), minlength=x.shape[1] + 1)
    return counts, float(chisquare(counts).pvalue)


def persistence(y: ArrayLike, lag: int = 1) -> Floats:
    """Predict each frame by the one `lag` before it.

    Parameters
    ----------
    y : array_like
        (frame, voxel) float, any unit.
    lag : int
        Frames, at least 1.

    Returns
    -------
    prediction : ndarray
        (frame - lag, voxel) float64, unit of the input. Of the frames from `lag` on.
    """
    x = _series(y)
    if not 1 <= lag < len(x):
        raise InputError(f"lag is {lag}; it must be at least 1 and less than the {len(x)} frames")
    return x[:-lag]


def linear_extrapolation(y: ArrayLike) -> Floats:
    """Predict each frame by the line through the two before it, 2 y(t - 1) - y(t - 2).

    Parameters
    ----------
    y : array_like
        (frame, voxel) float, any unit. At least 3 frames.

    Returns
    -------
    prediction : ndarray
        (frame - 2, voxel) float64, unit of the input. Of the frames from 2 on.
    """
    x = _series(y)
    if len(x) <= FIRST:
        raise InputError(f"y has {len(x)} frames; linear extrapolation needs at least {FIRST + 1}")
    return 2 * x[1:-1] - x[:-2]


def mean_of_others(y: ArrayLike) -> Floats:
    """Predict each voxel by the mean of all other voxels in the same frame.

    Parameters
    ----------
    y : array_like
        (frame, voxel) float, any unit. At least 2 voxels.

    Returns
    -------
    prediction : ndarray
        (frame, voxel) float64, unit of the input.
    """
    x = _series(y)
    n = x.shape[1]
    if n < 2:
        raise InputError(f"y has {n} voxels; the mean of the others needs at least 2")
    mean: Floats = (x.sum(axis=1, keepdims=True) - x) / (n - 1)
    return mean


def baseline_scores(y: ArrayLike, first: int = 0) -> dict[str, float]:
    """Scores of the predictors that need no model.

    Parameters
    ----------
    y : array_like
        (frame, voxel) float, any unit. At least 3 frames and 2 voxels.
    first : int
        First frame to score; a predictor that cannot reach it starts with the first it can. From
        `FIRST` on all score the same frames.

    Returns
    -------
    scores : dict
        `r_<name>`, `rmse_<name>` and `crps_<name>` for the names persistence, linear_extrapolation
        and mean_of_others, each the mean over voxels; the CRPS of one value is its absolute error.
    """
    x = _series(y)
    if not 0 <= first < len(x):
        raise InputError(f"first is {first}; it must be a frame, 0 to {len(x) - 1}")
    predictions = {
        "persistence": persistence(x),
        "linear_extrapolation": linear_extrapolation(x),
        "mean_of_others": mean_of_others(x),
    }
    scores = {}
    for name, prediction in predictions.items():
        n = min(len(x) - first, len(prediction))  # a prediction ends with the last frame
        p, t = prediction[-n:], x[-n:]
        scores[f"r_{name}"] = float(correlation(p, t).mean())
        scores[f"rmse_{name}"] = float(rmse(p, t).mean())
        scores[f"crps_{name}"] = float(np.abs(p - t).mean())
    return scores


def forecast_scores(forecast: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """Scores of an ensemble forecast and, on the same frames, those of the baselines.

    The first `FIRST` frames, which the baselines cannot predict, are left out for all.

    Parameters
    ----------
    forecast : array_like
        (frame, member, voxel) float, any unit. At least 2 members.
    y : array_like
        (frame, voxel) float, unit of the forecast.

    Returns
    -------
    scores : dict
        All of `ensemble_scores` and of `baseline_scores`.
    """
    x, truth = _ensemble(forecast, y)
    return {**ensemble_scores(x[FIRST:], truth[FIRST:]), **baseline_scores(truth, FIRST)}


def ensemble_scores(forecast: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """Scores of an ensemble alone.

    Parameters
    ----------
    forecast : array_like
        (frame, member, voxel) float, any unit. At least 2 members.
    y : array_like
        (frame, voxel) float, unit of the forecast.

    Returns
    -------
    scores : dict
        `r` and `rmse` of the ensemble mean and `crps`, each the mean over voxels, and
        `spread_over_rmse`.
    """
    x, truth = _ensemble(forecast, y)
    mean = x.mean(axis=1)
    return {
        "r": float(correlation(mean, truth).mean()),
        "rmse": float(rmse(mean, truth).mean()),
        "crps": float(crps(x, truth).mean()),
        "spread_over_rmse": spread_skill(x, truth),
    }


def fc_similarity(bold_a: ArrayLike, bold_b: ArrayLike) -> float:
    """Similarity of two functional connectivities: correlation of their upper triangles.

    Functional connectivity is the Pearson correlation of every pair of voxels over frames. Read the
    result beside its ceiling, about 0.7 between two people.

    Parameters
    ----------
    bold_a, bold_b : array_like
        (frame, voxel) float, any unit. The same voxels, at least 3; frames may differ in number.

    Returns
    -------
    r : float
        -1 to 1. NaN where a series is constant.
    """
    a, b = _series(bold_a), _series(bold_b)
    n = a.shape[1]
    if n != b.shape[1] or n < 3:
        raise InputError(f"bold has {n} and {b.shape[1]} voxels; give the same, at least 3")
    upper = np.triu_indices(n, k=1)
    pairs = [(_unit(x).T @ _unit(x))[upper] for x in (a, b)]
    return float(correlation(pairs[0][:, None], pairs[1][:, None])[0])


def parameter_error(
    h: ArrayLike, truth: ArrayLike, lo: ArrayLike, hi: ArrayLike
) -> dict[str, float]:
    """Error of the ensemble mean of positive parameters, as root mean square of ln(mean / truth).

    In logarithms a factor of 2 counts the same up and down, and for every size of parameter: 0.1
    means 10 % off. Beside it stands the error of the middle of the bounds, where z = 0: what one
    knows without any data.

    Parameters
    ----------
    h : array_like
        (member, ...) float, any unit. Hyper-parameters of the members.
    truth, lo, hi : array_like
        (...) float, unit of `h`. True values and bounds; the bounds broadcast.

    Returns
    -------
    errors : dict
        `error` of the ensemble mean and `error_of_middle` of (lo + hi) / 2, both 1.

    Raises
    ------
    InputError
        Shapes disagree, or a mean, a middle or a true value is not positive.
    """
    true = np.asarray(truth, dtype=np.float64)
    guesses = {
        "error": np.asarray(h, dtype=np.float64).mean(axis=0),
        "error_of_middle": (np.asarray(lo, np.float64) + np.asarray(hi, np.float64)) / 2,
    }
    errors = {}
    for name, guess in guesses.items():
        try:
            mean = np.broadcast_to(guess, true.shape)
        except ValueError:
            message = f"a member of h, or a bound, has shape {guess.shape}, truth {true.shape}"
            raise InputError(message) from None
        if not ((mean > 0).all() and (true > 0).all()):
            raise InputError(f"parameters must be positive; {mean.min()} against {true.min()}")
        errors[name] = float(np.sqrt((np.log(mean / true) ** 2).mean()))
    return errors


def _unit(x: Floats) -> Floats:
    """Columns shifted to mean 0 and scaled to length 1; NaN where constant."""
    centred = x - x.mean(axis=0)
    length = np.where(np.ptp(x, axis=0) > 0, np.sqrt((centred**2).sum(axis=0)), np.nan)
    unit: Floats = centred / length
    return unit


def _series(y: ArrayLike) -> Floats:
    x = np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or x.size == 0:
        raise InputError(f"y has shape {x.shape}; it must be (frame, voxel)")
    return x


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    x, y = _series(a), _series(b)
    if x.shape != y.shape:
        raise InputError(f"shapes {x.shape} and {y.shape} differ; both must be (frame, voxel)")
    return x, y


def _ensemble(forecast: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    x, truth = np.asarray(forecast, dtype=np.float64), _series(y)
    if x.ndim != 3 or (len(x), x.shape[2]) != truth.shape or x.shape[1] < 2:
        raise InputError(
            f"forecast has shape {x.shape}, y {truth.shape}; they must be (frame, member, voxel), "
            "at least 2 members, and (frame, voxel)"
        )
    if not (np.isfinite(x).all() and np.isfinite(truth).all()):
        raise InputError("forecast or y holds values that are not finite")
    return x, truth
