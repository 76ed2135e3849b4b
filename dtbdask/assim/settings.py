"""What an assimilation is asked to do: checked before it begins, and as a posterior tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.assim.analysis import Method
from dtbdask.assim.hyper import Fixed
from dtbdask.assim.transform import Log, Logit
from dtbdask.assim.walk import Walk
from dtbdask.errors import InputError, whole_number

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TRANSFORMS: dict[str, type[Logit] | type[Log]] = {"logit": Logit, "log": Log}
IN_ROOT = (
    "members", "method", "rho", "warm_up_frames", "gamma_shape", "free", "seed", "start",
    "transform", "window", "inflation", "lag", "ahead", "checkpoint_every",
)  # fmt: skip
"""Settings that are kept in the root of a posterior as they are."""


@dataclass(frozen=True, eq=False)
class Settings:
    """Settings of `dtbdask.assimilate`, which explains them; indices in place of labels."""

    bounds: Mapping[str, tuple[float, float]]
    walk: Walk
    voxels: Ints
    observed: Ints
    n_voxels: int
    members: int = 32
    method: Method = "dhmda"
    rho: float = 0.8
    warm_up_frames: int = 6
    gamma_shape: float | None = 5.0
    free: bool = True
    seed: int = 0
    start: str = "log"
    transform: str = "logit"
    window: str = "last"
    inflation: float = 1.0
    taper: Floats | None = None
    lag: int = 0
    ahead: int = 0
    checkpoint_every: int | None = None
    fixed: Fixed | None = None

    def __post_init__(self) -> None:
        whole_number("members", self.members, 2, 2**15)
        whole_number("warm_up_frames", self.warm_up_frames, 0)
        whole_number("lag", self.lag, 0)
        whole_number("ahead", self.ahead, 0)
        if self.checkpoint_every is not None:
            whole_number("checkpoint_every", self.checkpoint_every, 1)
        if not 0 <= self.rho <= 1:
            raise InputError(f"rho is {self.rho}; expected 0 to 1")
        if self.gamma_shape is not None and not 0 < self.gamma_shape < np.inf:
            raise InputError(f"gamma_shape is {self.gamma_shape}; expected None or > 0")
        if self.transform not in TRANSFORMS:
            raise InputError(f"transform is {self.transform!r}; use one of {tuple(TRANSFORMS)}")
        self.walk.check(self.n_voxels)
        _ = self.limits

    @property
    def names(self) -> tuple[str, ...]:
        """Hyper-parameters."""
        return tuple(self.bounds)

    @property
    def limits(self) -> Logit | Log:
        """Map between hyper-parameters and z."""
        low, high = np.array(list(self.bounds.values())).T[:, :, None]
        return TRANSFORMS[self.transform](low, high)

    @property
    def groups(self) -> int:
        """Ensembles that run side by side: the fit, the one that is free, the one that is ahead."""
        return 1 + self.free + (self.ahead > 0)

    def told(self) -> dict[str, Any]:
        """What the root of a posterior says."""
        every = {name: getattr(self, name) for name in IN_ROOT}
        walk = self.walk.told()
        del walk["correlation"]
        return {
            **every, "parameters": list(self.names), "bounds": dict(self.bounds),
            "walk": self.walk.variance, "walk_of": walk, "voxels": self.voxels.tolist(),
            "observed": self.observed.tolist(),
            "fixed": None if self.fixed is None else self.fixed.told(),
        }  # fmt: skip

    @classmethod
    def of_root(
        cls, root: Mapping[str, Any], correlation: Floats | None, taper: Floats | None
    ) -> Settings:
        """The settings of a posterior, from its root and two of its arrays."""
        fixed = root["fixed"]
        return cls(
            bounds={name: tuple(root["bounds"][name]) for name in root["parameters"]},
            walk=Walk.of_told({**root["walk_of"], "correlation": correlation}),
            voxels=np.array(root["voxels"]), observed=np.array(root["observed"]),
            n_voxels=len(root["labels"]), taper=taper,
            fixed=None if fixed is None else Fixed(
                fixed["parameters"], np.array(fixed["h"]), fixed["gamma_shape"]
            ),
            **{name: root[name] for name in IN_ROOT},
        )  # fmt: skip
