"""What the ensemble is drawn from: bounded hyper-parameters and their random walk.

A hyper-parameter h (a conductance of a population, say) lives between bounds, a Kalman filter on
the whole real line. So the filter sees

    z = k [ln(h - lo) - ln(hi - h)],        h = lo + (hi - lo) / (1 + exp(-z / k)),

with k = 10: a step of 1 in z moves h by at most (hi - lo) / 40. Between two frames z does a random
walk, z <- z + sqrt(variance) xi with xi standard normal: without it the spread of a parameter,
which has no dynamics of its own, would only shrink. Neuron i of a population then runs with
h gamma_i, its factor of `dtbdask.graph.factors`.

Source: the assimilation of the Digital Twin Brain (Lu et al. 2024, Nat. Comput. Sci.) and its code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from dtbdask.errors import InputError

Real = TypeVar("Real", bound=np.floating)
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Logit:
    """Map between a bounded hyper-parameter h and the unbounded z that a filter corrects.

    Parameters
    ----------
    lo, hi : array_like
        (...) float, unit of h. Lower and upper bounds; they broadcast against h and z.
    scale : float
        k of the transform, in units of z.

    Raises
    ------
    InputError
        A bound is not finite, a lower bound is not below its upper one, or k is not positive.
    """

    lo: ArrayLike
    hi: ArrayLike
    scale: float = 10.0

    def __post_init__(self) -> None:
        lo, hi = np.broadcast_arrays(np.asarray(self.lo, float), np.asarray(self.hi, float))
        wrong = ~(np.isfinite(lo) & np.isfinite(hi) & (lo < hi))
        if wrong.any():
            raise InputError(
                f"bounds are lo = {lo[wrong][0]}, hi = {hi[wrong][0]}; "
                "lo must be below hi, both finite"
            )
        if not 0 < self.scale < np.inf:
            raise InputError(f"scale is {self.scale}; it must be positive and finite")

    def to_z(self, h: NDArray[Real]) -> NDArray[Real]:
        """Unbounded value of a hyper-parameter, z = k [ln(h - lo) - ln(hi - h)].

        Parameters
        ----------
        h : ndarray
            (...) float, unit of the bounds. Hyper-parameter, strictly between its bounds.

        Returns
        -------
        z : ndarray
            (...) float of the dtype of `h`, 1.

        Raises
        ------
        InputError
            A value lies at or outside its bounds, or is not a number.
        """
        lo, hi = self._bounds(h.dtype)
        inside = (lo < h) & (h < hi)
        if not inside.all():
            place = tuple(np.argwhere(~inside)[0].tolist())
            value, low, high = (np.broadcast_to(a, inside.shape)[place] for a in (h, lo, hi))
            raise InputError(
                f"hyper-parameter {value} at index {place} is not strictly between its bounds "
                f"{low} and {high}"
            )
        z: NDArray[Real] = h.dtype.type(self.scale) * (np.log(h - lo) - np.log(hi - h))
        return z

    def to_h(self, z: NDArray[Real]) -> NDArray[Real]:
        """Hyper-parameter of an unbounded value, h = lo + (hi - lo) sigmoid(z / k).

        Parameters
        ----------
        z : ndarray
            (...) float, 1. Any size: nothing overflows.

        Returns
        -------
        h : ndarray
            (...) float of the dtype of `z`, unit of the bounds. Strictly between the bounds, even
            where the sigmoid rounds to 0 or 1, so that `to_z` takes it back.
        """
        lo, hi = self._bounds(z.dtype)
        h = lo + (hi - lo) * expit(z / z.dtype.type(self.scale))
        inner: NDArray[Real] = np.clip(h, np.nextafter(lo, hi), np.nextafter(hi, lo))
        return inner

    def _bounds(self, dtype: np.dtype[Real]) -> tuple[NDArray[Real], NDArray[Real]]:
        if not np.issubdtype(dtype, np.floating):
            raise InputError(f"hyper-parameters have dtype {dtype}; use float32 or float64")
        return np.asarray(self.lo, dtype), np.asarray(self.hi, dtype)


@dataclass(frozen=True, eq=False)
class Log:
    """Map between a positive hyper-parameter h and z = k ln(h / sqrt(lo hi)).

    The bounds are walls: beyond them z goes on, and h stays. A step of z is the same factor of h
    everywhere, where `Logit` slows down near the bounds.

    Parameters
    ----------
    lo, hi : array_like
        (...) float, unit of h. Lower and upper bounds, positive; they broadcast against h and z.
    scale : float
        k of the transform, in units of z.

    Raises
    ------
    InputError
        A bound is not positive or not finite, a lower bound is not below its upper one, or k is not
        positive.
    """

    lo: ArrayLike
    hi: ArrayLike
    scale: float = 10.0

    def __post_init__(self) -> None:
        Logit(self.lo, self.hi, self.scale)
        if not (np.asarray(self.lo) > 0).all():
            raise InputError(f"bound lo is {np.min(self.lo)}; a logarithm needs it positive")

    def to_z(self, h: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unbounded value of a hyper-parameter within its bounds.

        Parameters
        ----------
        h : ndarray
            (...) float64, unit of the bounds.

        Returns
        -------
        z : ndarray
            (...) float64, 1.
        """
        lo, hi = np.asarray(self.lo, float), np.asarray(self.hi, float)
        if not ((lo <= h) & (h <= hi)).all():
            raise InputError(f"hyper-parameter is {h.min()} to {h.max()}, beyond its bounds")
        z: Floats = self.scale * np.log(h / np.sqrt(lo * hi))
        return z

    def to_h(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Hyper-parameter of an unbounded value.

        Parameters
        ----------
        z : ndarray
            (...) float64, 1. Any size.

        Returns
        -------
        h : ndarray
            (...) float64, unit of the bounds, within them.
        """
        lo, hi = np.asarray(self.lo, float), np.asarray(self.hi, float)
        ends = self.scale * np.log(hi / lo) / 2
        h: Floats = np.sqrt(lo * hi) * np.exp(np.clip(z, -ends, ends) / self.scale)
        return np.clip(h, lo, hi)


def random_walk(
    z: NDArray[Real], variance: ArrayLike, generator: np.random.Generator
) -> NDArray[Real]:
    """One step of the artificial evolution of a hyper-parameter, z + sqrt(variance) xi.

    Parameters
    ----------
    z : ndarray
        (member, ...) float, 1. Unbounded hyper-parameters (see `Logit`).
    variance : array_like
        (...) float, 1. Variance of the step; broadcasts against `z`. 0 stands still.
    generator : numpy.random.Generator
        Source of xi, drawn in float64 in the order of `z`.

    Returns
    -------
    z : ndarray
        (member, ...) float of the dtype of the input, 1.

    Raises
    ------
    InputError
        A variance is negative or not a number.
    """
    step = np.asarray(variance, dtype=np.float64)
    if not (step >= 0).all():
        raise InputError(f"variance of the random walk is {step.min()}; it must not be negative")
    xi = generator.standard_normal(z.shape)
    return z + (np.sqrt(step) * xi).astype(z.dtype)
