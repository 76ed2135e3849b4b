"""What a block is, before it is live: it travels to the worker that makes it so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.graph.network import Network

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BlockSpec:
    """What a block is; travels to the worker that makes it live.

    Attributes
    ----------
    network : Network
    ranges : (range, 2) int64
        Of its neurons, ascending: they begin where a tile of random numbers does.
    seed : int
        Seed of the run.
    first_member, members : int
        Range of its ensemble members.
    dt_ms : float
        Exchange step.
    t_steps : int
        Sub-steps of an exchange step.
    dtype : {"float32", "float64"}
        Of the state.
    threads : int
    device : {"cpu", "cuda"}
        Where it lives.
    """

    network: Network
    ranges: Ints
    seed: int
    first_member: int = 0
    members: int = 1
    dt_ms: float = 1.0
    t_steps: int = 1
    dtype: str = "float32"
    threads: int = 1
    device: str = "cpu"

    @classmethod
    def whole(cls, network: Network, seed: int, **options: Any) -> BlockSpec:
        """Spec of a block that has all neurons of a network."""
        return cls(network, np.array([[0, network.n_neurons]]), seed, **options)
