"""How hyper-parameters move between two frames: they have no dynamics of their own.

A plain random walk, as in DTB, lets a parameter drift for ever, each voxel for itself. `Walk` knows
three things more. What drives BOLD comes and goes, so that a forecast over several frames leads
back to the mean m of the prior: a `memory`. It does so smoothly, so that a parameter which rises
goes on rising for a while: a `momentum`. With both in frames, xi standard normal,

    w <- exp(-1 / momentum) w + sqrt(variance) xi,      z <- m + exp(-1 / memory) (z - m) + w.

And voxels that are wired together move together: `correlation` (voxel, voxel) is that of xi. From
it the ensemble knows of voxels that are not observed. `connectome_correlation` makes one from the
wiring alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Walk:
    """Random walk of the unbounded hyper-parameters.

    Parameters
    ----------
    variance : float
        Of a step, in units of z.
    memory : float
        Frames in which a deviation from the mean falls to 1/e; infinite for a plain walk.
    momentum : float
        Frames in which a velocity falls to 1/e; 0 for none.
    correlation : array_like, optional
        (voxel, voxel) float, 1 on the diagonal, positive semidefinite; by default voxels are
        independent.
    centred : bool
        Steps of the members have mean 0, so that the mean of the ensemble does not walk by chance.
    together : bool
        All hyper-parameters of a voxel take the same step.
    adapts : float
        Frames in which the mean that the walk leads back to follows that of the members; infinite
        where it stays that of the prior.

    Raises
    ------
    InputError
        A variance or the momentum is negative, a time is not positive, or the matrix is no
        correlation.
    """

    variance: float = 0.25
    memory: float = np.inf
    momentum: float = 0.0
    correlation: ArrayLike | None = None
    centred: bool = False
    together: bool = False
    adapts: float = np.inf

    def __post_init__(self) -> None:
        if not 0 <= self.variance < np.inf:
            raise InputError(f"walk is {self.variance}; expected a variance, 0 or more")
        for name in ("memory", "adapts"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected frames, more than 0")
        if not 0 <= self.momentum < np.inf:
            raise InputError(f"momentum is {self.momentum}; expected frames, 0 or more")
        if self.correlation is not None:
            _ = self._root

    @cached_property
    def _root(self) -> Floats:
        """Symmetric root of the correlation."""
        c = np.asarray(self.correlation, dtype=np.float64)
        if c.ndim != 2 or c.shape[0] != c.shape[1] or not np.isfinite(c).all():
            raise InputError(
                f"correlation has shape {c.shape}; expected finite values (voxel, voxel)"
            )
        s, U = np.linalg.eigh((c + c.T) / 2)
        if not (np.allclose(np.diag(c), 1) and np.allclose(c, c.T) and s[0] > -1e-8 * s[-1]):
            raise InputError(
                "correlation must be symmetric and positive semidefinite with a diagonal of 1; its "
                f"smallest eigenvalue is {s[0]:.3g}"
            )
        root: Floats = (U * np.sqrt(np.maximum(s, 0.0))) @ U.T
        return root

    def check(self, n_voxels: int) -> None:
        """Refuse a correlation of other voxels."""
        if self.correlation is not None and len(self._root) != n_voxels:
            raise InputError(f"correlation is of {len(self._root)} voxels, the network {n_voxels}")

    def step(
        self, z: Floats, velocity: Floats, mean: Floats, generator: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Hyper-parameters one frame later, and how fast they go.

        Parameters
        ----------
        z, velocity : (member, parameter, voxel) float64
        mean : (parameter, voxel) float64
            To which the walk leads back.
        generator : numpy.random.Generator

        Returns
        -------
        z, velocity : (member, parameter, voxel) float64
        """
        if np.isfinite(self.memory):
            z = mean + np.exp(-1 / self.memory) * (z - mean)
        drawn = (len(z), 1, z.shape[2]) if self.together else z.shape
        xi = generator.standard_normal(drawn)
        if self.correlation is not None:
            xi = xi @ self._root
        if self.centred:
            xi = xi - xi.mean(axis=0)
        step = np.sqrt(self.variance) * xi
        if self.momentum > 0:
            step = velocity = np.exp(-1 / self.momentum) * velocity + step
        return z + step, np.broadcast_to(velocity, z.shape)

    def told(self) -> dict[str, Any]:
        """What a posterior says of it."""
        c = self.correlation
        return {
            "variance": self.variance,
            "memory": self.memory if np.isfinite(self.memory) else None,
            "adapts": self.adapts if np.isfinite(self.adapts) else None,
            "momentum": self.momentum,
            "centred": self.centred,
            "together": self.together,
            "correlation": None if c is None else np.asarray(c).tolist(),
        }

    @classmethod
    def of_told(cls, told: Mapping[str, Any]) -> Walk:
        """The walk of a posterior."""
        ever = {name: np.inf for name in ("memory", "adapts") if told[name] is None}
        return cls(**{**told, **ever})


def connectome_correlation(connection: ArrayLike, coupling: float = 0.8) -> Floats:
    """How voxels would move together, were they a linear network on this wiring.

    With P the connection, its rows summing to 1, a network u = coupling P u + noise, its noise
    independent, has the covariance G G^T, G = (1 - coupling P)^-1 (a simultaneous autoregression:
    Whittle 1954, Biometrika 41, 434-449), here as a correlation.

    Parameters
    ----------
    connection : array_like
        (target, source) float, any unit. Not negative; the diagonal is not looked at.
    coupling : float
        0 (independent) to below 1.

    Returns
    -------
    correlation : ndarray
        (voxel, voxel) float64, 1.

    Raises
    ------
    InputError
        The matrix is not square, a value is negative or not finite, or the coupling is not in
        [0, 1).
    """
    c = np.array(connection, dtype=np.float64)
    if c.ndim != 2 or c.shape[0] != c.shape[1]:
        raise InputError(f"connection has shape {c.shape}; it must be (target, source), square")
    if not ((c >= 0) & (c < np.inf)).all():
        raise InputError("connection has values that are negative or not finite")
    if not 0 <= coupling < 1:
        raise InputError(f"coupling is {coupling}; expected 0 or more, and less than 1")
    np.fill_diagonal(c, 0)
    total = c.sum(axis=1, keepdims=True)
    P = np.divide(c, total, out=np.zeros_like(c), where=total > 0)
    G = np.linalg.inv(np.eye(len(c)) - coupling * P)
    K = G @ G.T
    d = np.sqrt(np.diag(K))
    correlation: Floats = K / np.outer(d, d)
    np.fill_diagonal(correlation, 1)
    return correlation
