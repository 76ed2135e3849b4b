"""The spikes of some steps, kept as blocks list them and put in order once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dtbdask.kernels import cpu
from dtbdask.sim.block import Block
from dtbdask.sim.state import Stride

Ints = NDArray[np.int64]
Spikes = tuple[Ints, Ints]
"""How many each step has, (step,) int64; and their global neurons in order, (spike,) int64."""


class Raster:
    """Spikes of member 0 of some blocks, from one window after the other.

    Parameters
    ----------
    blocks : sequence of Block
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._kept = [_Kept(block) for block in blocks]

    def begin(self) -> None:
        """Forget what was kept."""
        for kept in self._kept:
            kept.clear()

    def take(self) -> None:
        """Keep the spikes of the step that has just been taken."""
        for kept in self._kept:
            kept.take()

    def take_stride(self, stride: Stride) -> None:
        """Keep the spikes of some steps of the one block."""
        self._kept[0].add(stride.logs, stride.n_log)

    def spikes(self) -> Spikes:
        """All that were kept."""
        return merged([kept.spikes() for kept in self._kept])


class _Kept:
    """Those of one block: for each part a list, step by step, and how many each step has."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self.clear()

    def clear(self) -> None:
        """Forget them."""
        n_parts = self._block.bounds.size - 1
        self._logs: list[list[NDArray[np.uint32]]] = [[] for _ in range(n_parts)]
        self._n_log = [np.zeros((n_parts, 0), np.int64)]

    def take(self) -> None:
        """Add those of a step."""
        block = self._block
        self.add([block.fired[0, low:] for low in block.bounds[:-1]], block.n_fired[0, :, None])

    def add(self, logs: Sequence[NDArray[np.uint32]], n_log: Ints) -> None:
        """Add those of some steps, as of `Stride`."""
        self._n_log.append(n_log.copy())
        for kept, log, n in zip(self._logs, logs, n_log.sum(axis=1), strict=True):
            kept.append(log[:n].copy())

    def spikes(self) -> Spikes:
        """All that were kept."""
        n_log = np.concatenate(self._n_log, axis=1)
        stop = np.cumsum(n_log.T).reshape(n_log.T.shape).T  # step by step, part by part
        neuron = np.empty(n_log.sum(), np.int64)

        def unroll(part: int) -> None:
            if self._logs[part]:
                log = np.concatenate(self._logs[part])
                cpu.unroll(neuron, log, stop[part], n_log[part], self._block.shift)

        self._block.on_parts(unroll)
        return n_log.sum(axis=0), neuron


def merged(each: Sequence[Spikes]) -> Spikes:
    """Spikes of several blocks, of the same steps, as those of one."""
    if len(each) == 1:
        return each[0]
    of_blocks, neurons = zip(*each, strict=True)
    n_spikes: Ints = np.sum(of_blocks, axis=0)
    steps = np.arange(n_spikes.size)
    step = np.concatenate([np.repeat(steps, n) for n in of_blocks])
    neuron = np.concatenate(neurons)
    order = np.argsort(step * (neuron.max(initial=0) + 1) + neuron, kind="stable")  # some runs
    return n_spikes, neuron[order]
