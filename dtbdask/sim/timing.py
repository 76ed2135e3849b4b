"""On what the blocks of a session spend their time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("delivery", "compute", "swap", "wait", "record")
"""What steps are made of: kicks; neurons; what peers are told and tell; waiting for peers and other
threads that are late; and what is left: what is seen is put in order, and the interpreter."""


@dataclass(frozen=True)
class Timing:
    """Time that the blocks of a session have spent on their steps.

    Attributes
    ----------
    n_steps : int
        Since the blocks were made.
    seconds : (block, part) float64, s
        On each of `PARTS`, by each block, or each worker of an ensemble; of several threads the
        mean. Blocks of one process have equal shares of its `record`; on a device all is `record`.
    """

    n_steps: int
    seconds: NDArray[np.float64]

    @classmethod
    def of(cls, gangs: Sequence[tuple[int, NDArray[np.float64]]]) -> Timing:
        """That of several gangs, of their steps and seconds."""
        return cls(gangs[0][0], np.concatenate([seconds for _, seconds in gangs]))

    @property
    def slowest(self) -> int:
        """The block that the others wait for: that with most to do beside waiting."""
        busy = self.seconds.sum(axis=1) - self.seconds[:, PARTS.index("wait")]
        return int(np.argmax(busy))

    def figures(self) -> dict[str, Any]:
        """Of a step, in ms: of the slowest block, and each part by block."""
        each = self.seconds / max(self.n_steps, 1) * 1000
        parts: dict[str, Any] = {
            f"{part}_ms": [round(float(value), 6) for value in values]
            for part, values in zip(PARTS, each.T, strict=True)
        }
        slowest = {"slowest_block": self.slowest, "step_ms": float(each.sum(axis=1).max())}
        return {"n_steps": self.n_steps, **slowest, **parts}


def shared(seconds: float, spent: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Time of the blocks of a process by part, (block, part) float64, s.

    Parameters
    ----------
    seconds : float
        That it took in all.
    spent : sequence of sequence of int, ns
        Of each block, on the parts but the last.
    """
    known = np.array(spent, np.float64) * 1e-9
    rest = max(seconds - known.sum(), 0.0) / len(spent)
    return np.concatenate([known, np.full((len(spent), 1), rest)], axis=1)
