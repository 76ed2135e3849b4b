"""Inflation: an ensemble that few members and an imperfect model made too narrow is widened.

All keep the mean of the analysis and scale its anomalies: by a factor, or back towards those of the
forecast, the more the more the observations narrowed them.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dtbdask.assim.arrays import of_variables
from dtbdask.assim.checks import finite, members, positive, share
from dtbdask.errors import InputError

Real = TypeVar("Real", bound=np.floating)


def inflate(ensemble: NDArray[Real], factor: float) -> NDArray[Real]:
    """Multiplicative inflation of the anomalies.

    Parameters
    ----------
    ensemble : ndarray
        (..., member, variable) float, any unit.
    factor : float
        Of the anomalies, positive; variances grow by its square.

    Returns
    -------
    ensemble : ndarray
        (..., member, variable) float of the dtype of the input.

    Raises
    ------
    InputError
        The factor is not positive, a value is not finite, or there are fewer than two members.
    """
    factor = positive("factor", factor)
    x = _sound(ensemble, "ensemble")
    mean = x.mean(axis=-2, keepdims=True)
    wide: NDArray[Real] = mean + factor * (x - mean)
    return wide


def rtpp(forecast: NDArray[Real], analysis: NDArray[Real], alpha: float) -> NDArray[Real]:
    """Relaxation to prior perturbations (Zhang, Snyder and Sun 2004).

    Anomalies become (1 - alpha) times those of the analysis plus alpha times those of the forecast.

    Zhang, Snyder and Sun 2004, Mon. Weather Rev. 132, 1238-1253, equation 5.

    Parameters
    ----------
    forecast, analysis : ndarray
        (..., member, variable) float, any unit. The same members before and after the update.
    alpha : float
        0 leaves the analysis, 1 gives it the anomalies of the forecast.

    Returns
    -------
    analysis : ndarray
        (..., member, variable) float of the dtype of `analysis`.

    Raises
    ------
    InputError
        Alpha is not in [0, 1], shapes differ, a value is not finite, or there are fewer than two
        members.
    """
    alpha = share("alpha", alpha)
    before, after = _pair(forecast, analysis)
    mean = after.mean(axis=-2, keepdims=True)
    kept = (1 - alpha) * (after - mean)
    relaxed: NDArray[Real] = mean + kept + alpha * (before - before.mean(axis=-2, keepdims=True))
    return relaxed


def rtps(forecast: NDArray[Real], analysis: NDArray[Real], alpha: float) -> NDArray[Real]:
    """Relaxation to prior spread (Whitaker and Hamill 2012).

    With s the standard deviation of a variable among the members, before and after the update,
    anomalies are multiplied by 1 + alpha (s_before - s_after) / s_after.

    Whitaker and Hamill 2012, Mon. Weather Rev. 140, 3078-3089, equation 2.

    Parameters
    ----------
    forecast, analysis : ndarray
        (..., member, variable) float, any unit. The same members before and after the update.
    alpha : float
        0 leaves the analysis, 1 gives it the spread of the forecast.

    Returns
    -------
    analysis : ndarray
        (..., member, variable) float of the dtype of `analysis`. A variable in which all members
        agree stays as it is.

    Raises
    ------
    InputError
        Alpha is not in [0, 1], shapes differ, a value is not finite, or there are fewer than two
        members.
    """
    alpha = share("alpha", alpha)
    before, after = _pair(forecast, analysis)
    mean = after.mean(axis=-2, keepdims=True)
    wide, narrow = (a.std(axis=-2, keepdims=True) for a in (before, after))
    factor = 1 + alpha * (wide - narrow) / (narrow + (narrow == 0))  # anomalies of 0 stay 0
    relaxed: NDArray[Real] = mean + factor * (after - mean)
    return relaxed


def _pair(forecast: Any, analysis: Any) -> tuple[Any, Any]:
    if forecast.shape != analysis.shape:
        raise InputError(
            f"forecast has shape {forecast.shape}, analysis {analysis.shape}; both must be the same"
        )
    after = _sound(analysis, "analysis")
    return _sound(forecast, "forecast").astype(after.dtype), after


def _sound(ensemble: Any, name: str) -> Any:
    """The ensemble, whose values are checked where they are computed."""
    members(ensemble, name)
    return of_variables(_passed, ensemble, name)


def _passed(ensemble: Any, name: str) -> Any:
    finite(**{name: ensemble})
    return ensemble
