"""The spikes of some steps, gathered as they are and put in order once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dtbdask.sim.block import Block
from dtbdask.sim.state import Stride

Ints = NDArray[np.int64]


class Raster:
    """Spikes of member 0 of some blocks, from one window after the other.

    Parameters
    ----------
    blocks : sequence of Block
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._first = 0
        self._kept = [_Kept(block) for block in blocks]

    def begin(self, first_step: int) -> None:
        """Forget what was kept; the next step is this one."""
        self._first = first_step
        for kept in self._kept:
            kept.n, kept.total = [], 0

    def take(self) -> None:
        """Keep the spikes of the step that has just been taken."""
        for kept in self._kept:
            kept.take()

    def take_stride(self, stride: Stride) -> None:
        """Keep the spikes of some steps of the one block."""
        self._kept[0].take_stride(stride)

    def spikes(self) -> tuple[Ints, Ints]:
        """Steps and global neurons of all that were kept: two of (spike,) int64, in order."""
        each = [kept.spikes(self._first) for kept in self._kept]
        if len(each) == 1:
            return each[0]
        steps, neurons = zip(*each, strict=True)
        return in_order(np.concatenate(steps), np.concatenate(neurons))


class _Kept:
    """Those of one block, in memory that serves every window.

    Pages that a process touches for the first time would cost more than what is done with spikes.
    """

    def __init__(self, block: Block) -> None:
        self._block, self._bounds = block, block.bounds[:-1].tolist()
        self._fired = np.empty(0, np.uint32)
        self.n: list[int] = []
        self.total = 0

    def take(self) -> None:
        """Add those of a step."""
        block, counts = self._block, self._block.n_fired[0].tolist()
        self._add(
            [block.fired[0, low : low + n] for low, n in zip(self._bounds, counts, strict=True)]
        )

    def take_stride(self, stride: Stride) -> None:
        """Add those of some steps."""
        first = [0] * len(stride.logs)
        for counts in stride.n_log.T.tolist():
            last = [low + n for low, n in zip(first, counts, strict=True)]
            self._add([log[a:b] for log, a, b in zip(stride.logs, first, last, strict=True)])
            first = last

    def _add(self, parts: list[NDArray[np.uint32]]) -> None:
        """Add those of a step, part by part."""
        start, n = self.total, sum(part.size for part in parts)
        self.n.append(n)
        self.total += n
        if self.total > self._fired.size:
            more = np.empty(self.total + self._block.n_neurons, np.uint32)
            self._fired = np.concatenate([self._fired, more])
        for part in parts:
            self._fired[start : start + part.size] = part
            start += part.size

    def spikes(self, first_step: int) -> tuple[Ints, Ints]:
        """Steps and global neurons: two of (spike,) int64."""
        steps = np.arange(first_step, first_step + len(self.n))
        return np.repeat(steps, self.n), self._block.global_of(self._fired[: self.total])


def in_order(step: Ints, neuron: Ints) -> tuple[Ints, Ints]:
    """Spikes by step and neuron, fast where they are a few stretches that are in order."""
    if not step.size:
        return step, neuron
    order = np.argsort((step - step.min()) * (neuron.max() + 1) + neuron, kind="stable")
    return step[order], neuron[order]
