"""The spikes of some steps, gathered as they are and put in order once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dtbdask.sim.block import Block

Ints = NDArray[np.int64]


class Raster:
    """Spikes of member 0 of some blocks.

    Parameters
    ----------
    blocks : sequence of Block
    first_step : int
        Index of the first of the steps.
    """

    def __init__(self, blocks: Sequence[Block], first_step: int) -> None:
        self._blocks, self._first = blocks, first_step
        self._fired: list[list[NDArray[np.uint32]]] = [[] for _ in blocks]
        self._n: list[list[int]] = [[] for _ in blocks]

    def take(self) -> None:
        """Keep the spikes of the step that has just been taken."""
        for block, fired, n in zip(self._blocks, self._fired, self._n, strict=True):
            local = block.local_spikes()
            fired.append(local)
            n.append(local.size)

    def spikes(self) -> tuple[Ints, Ints]:
        """Steps and global neurons of all that were kept: two of (spike,) int64, in order."""
        steps, neurons = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for block, fired, n in zip(self._blocks, self._fired, self._n, strict=True):
            if n:
                steps.append(np.repeat(np.arange(self._first, self._first + len(n)), n))
                neurons.append(block.global_of(np.concatenate(fired)))
        one = np.concatenate(steps), np.concatenate(neurons)
        return one if len(self._blocks) == 1 else in_order(*one)


def in_order(step: Ints, neuron: Ints) -> tuple[Ints, Ints]:
    """Spikes by step and neuron, fast where they are a few stretches that are in order."""
    if not step.size:
        return step, neuron
    order = np.argsort((step - step.min()) * (neuron.max() + 1) + neuron, kind="stable")
    return step[order], neuron[order]
