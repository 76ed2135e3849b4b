"""An ensemble, its predictions and the observations, checked: what is wrong is named."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.assim.arrays import is_lazy, namespace
from dtbdask.errors import InputError

Floats = NDArray[np.float64]


def problem(
    state: NDArray[np.floating],
    predicted: NDArray[np.floating],
    observation: ArrayLike,
    error_variance: ArrayLike,
    variables: int = 1,
) -> tuple[Floats, Floats, Floats]:
    """Predictions, observations and error variances in float64, fitting the state.

    Parameters
    ----------
    state : ndarray
        (..., member, variable) float, any unit, or (..., member, voxel, variable).
    predicted : ndarray
        (..., member, obs) float, unit of the observation.
    observation : array_like
        (..., obs) float.
    error_variance : array_like
        (..., obs) float or a scalar, squared unit of the observation. Positive.
    variables : int
        Dimensions of the state after its members, 1 or 2.

    Returns
    -------
    predicted : ndarray
        (..., member, obs) float64. Values are unchecked: it may be lazy; see `finite`.
    observation, error_variance : ndarray
        (..., 1, obs) float64.

    Raises
    ------
    InputError
        Shapes disagree, there are fewer than two members, a value is not finite, a variance not
        positive, or the state has another dtype than float32 or float64.
    """
    shape = tuple(predicted.shape)
    shared = state.shape[:-1] if variables == 2 else (*state.shape[:-1], *shape[-1:])
    if state.ndim < variables + 1 or shape != shared:
        wanted = "(..., member, voxel)" if variables == 2 else "(..., member, obs)"
        raise InputError(f"predicted has shape {shape}; state {state.shape} asks for {wanted}")
    members(state, axis=-1 - variables)
    xp = namespace(predicted, state)
    y = _each(xp, observation, "observation", shape)
    R = _each(xp, error_variance, "error_variance", shape)
    if not (R > 0).all():
        raise InputError(f"error_variance is as low as {R.min()}; every value must be positive")
    finite(observation=y, error_variance=R)
    if is_lazy(predicted):
        return predicted.astype(np.float64), y, R
    return xp.asarray(predicted, dtype=np.float64), y, R


def members(state: NDArray[np.floating], name: str = "state", axis: int = -2) -> None:
    """Refuse what is no ensemble of two members or more, of floats.

    Parameters
    ----------
    state : ndarray
        (..., member, variable) float, any unit.
    name : str
        For the message.
    axis : int
        Where the members are.
    """
    if state.ndim < -axis:
        raise InputError(f"{name} has shape {state.shape}; expected (..., member, variable)")
    if state.shape[axis] < 2:
        raise InputError(f"the ensemble has {state.shape[axis]} members; at least 2 are needed")
    if not np.issubdtype(state.dtype, np.floating):
        raise InputError(f"{name} has dtype {state.dtype}; use float32 or float64")


def finite(**arrays: Any) -> None:
    """Refuse infinities and what is not a number.

    Parameters
    ----------
    **arrays : ndarray
        (...) float, by name. In a chunk of a lazy array, places are counted from its corner.
    """
    for name, a in arrays.items():
        xp = namespace(a)
        good = xp.isfinite(a)
        if not good.all():
            place = tuple(xp.argwhere(~good)[0].tolist())
            value = float(a[place])
            raise InputError(f"{name} is {value} at index {place}; every value must be finite")


def positive(name: str, value: float) -> float:
    """The value, or an `InputError` where it is not positive and finite.

    Parameters
    ----------
    name : str
        For the message.
    value : float
    """
    if not 0 < value < np.inf:
        raise InputError(f"{name} is {value}; it must be positive and finite")
    return float(value)


def share(name: str, value: float) -> float:
    """The value, or an `InputError` where it is not between 0 and 1.

    Parameters
    ----------
    name : str
        For the message.
    value : float
    """
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {value}; it must lie between 0 and 1")
    return float(value)


def _each(xp: Any, values: ArrayLike, name: str, shape: tuple[int, ...]) -> Floats:
    """One value for each observation of each problem, (..., 1, obs)."""
    a = xp.asarray(values, dtype=np.float64)
    try:
        each: Floats = xp.broadcast_to(a, (*shape[:-2], shape[-1]))
    except ValueError:
        raise InputError(
            f"{name} has shape {a.shape}; predicted of shape {shape} asks for {shape[-1:]}"
        ) from None
    return each[..., None, :]
