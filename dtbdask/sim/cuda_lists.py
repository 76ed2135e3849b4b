"""Who fired in a window of steps, and how many of each population, on a device.

A window is made in pieces. The lists of member 0 stand in two halves of a log, those of one piece
in each by turns: while the steps of a piece are made, the spikes of the one before are put in order
and copied to the host, on a stream of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.kernels import cuda

Ints = NDArray[np.int64]

PIECE = 128
"""Steps of the longest piece."""
LOG = 1 << 26
"""Spikes for which there is room in both halves, if every neuron fired in every step."""


class Lists:
    """Lists of the neurons that fired.

    Parameters
    ----------
    n_neurons, members : int
        Of the block.
    runs : dict of str to cupy.ndarray
        Runs of neurons of one population.
    n_populations : int
    shift : (tile,) int64
        What makes a local index of each tile a global one.

    Attributes
    ----------
    piece : int
        Steps after which the host may look: a power of two.
    fired, census : struct
        What kernels take.
    """

    def __init__(
        self, n_neurons: int, members: int, runs: dict[str, Any], n_populations: int, shift: Ints
    ) -> None:
        self._cp: Any = cuda.load_cupy()
        self._n, self._members, self._runs = n_neurons, members, runs
        self._n_populations = n_populations
        self._shift = self._cp.asarray(shift) if shift.any() else None
        fit = min(PIECE, max(1, LOG // 2 // max(n_neurons, 1)))
        self.piece = 1 << fit.bit_length() - 1
        self._others = self._cp.zeros((max(members - 1, 1), n_neurons), np.uint32)
        self._log = self._cp.zeros(max(n_neurons, 1), np.uint32)
        self._room = self._made = self._offset = 0
        self._count: Any = None
        self._copying = self._cp.cuda.Stream(non_blocking=True)
        self.reserve(1, logged=False)

    def reserve(self, n_steps: int, *, logged: bool) -> bool:
        """Have room for what a window leaves behind; true if kernels must be told where."""
        cp, log = self._cp, 2 * self._n * self.piece if logged else self._n
        if n_steps <= self._room and log <= self._log.size:
            return False
        room = max(n_steps, self._room)
        last = self._count[self._made].copy() if self._room else 0
        if log > self._log.size:
            old, self._log = self._log, cp.empty(log, np.uint32)
            self._log[: old.size] = old
        self._count = cp.zeros((room + 1, self._members), np.uint32)
        self._count[0], self._made = last, 0
        self._base = cp.zeros(room + 2, np.uint64)
        self._spikes = cp.zeros((room, self._members, self._n_populations + 1), np.int32)
        self._room = room
        self.fired = cuda.filled(
            cuda.FIRED, log=self._log, others=self._others, count=self._count, base=self._base,
            half=self._half, n=self._n, members=self._members, piece=self.piece,
        )  # fmt: skip
        self.census = cuda.filled(cuda.CENSUS, spikes=self._spikes, **self._runs)
        return True

    @property
    def _half(self) -> int:
        return self._n * self.piece

    def last(self, member: int = 0) -> Any:
        """Neurons that fired in the last step: (spike,) uint32 cupy.ndarray, in any order."""
        n = int(self._count[self._made, member])
        if member:
            return self._others[member - 1, :n]
        return self._log[self._offset : self._offset + n]

    def begin(self, n_steps: int) -> None:
        """Have the spikes of the last step at the beginning, and nothing of the steps to come."""
        if self._offset:
            moved = self.last().copy()
            self._log[: moved.size], self._offset = moved, 0
        self._count[0], self._made = self._count[self._made].copy(), 0
        self._count[1 : n_steps + 1] = 0
        self._spikes[:n_steps] = 0
        self._neuron, self._n_spikes = _Growing(), np.zeros(0, np.int64)
        self._counts: list[NDArray[np.int32]] = []
        self._total = self._cp.zeros(self._spikes.shape[1:], np.int64)

    def forget(self) -> None:
        """Nobody fired in the last step."""
        self._count[:] = 0

    def take(
        self, start: int, stop: int, made: Any, *, logged: bool, summed: bool,
        each: Callable[[Any], None] | None,
    ) -> None:  # fmt: skip
        """Have a piece of the window done with while the next one is under way.

        Parameters
        ----------
        start, stop : int
            Its steps.
        made : cupy.cuda.Event
            When they are.
        logged : bool
            Copy its spikes, for which the host waits.
        summed : bool
            Add its counts up, instead of copying them.
        each : callable, optional
            Enqueues what is to be done with its counts, (step, member, population + 1) int32.
        """
        with self._copying as stream:
            stream.wait_event(made)
            count = self._spikes[start:stop]
            if each is not None:
                each(count)
            if summed:
                self._total += count.sum(axis=0)
            else:
                self._counts.append(count[:, :, :-1].get())
            if logged:
                self._collect(start, stop)

    def _collect(self, start: int, stop: int) -> None:
        """Put the spikes of a piece in order, and copy them."""
        cp = self._cp
        n_spikes = self._count[start + 1 : stop + 1, 0].get().astype(np.int64)
        total, low = int(n_spikes.sum()), self._begun(start)
        step = cp.searchsorted(cp.asarray(n_spikes.cumsum()), cp.arange(total), side="right")
        local = self._log[low : low + total].astype(np.uint64)
        ordered = cp.sort(step.astype(np.uint64) << np.uint64(32) | local).astype(np.uint32)
        neuron = ordered.astype(np.int64)
        if self._shift is not None:
            neuron += self._shift[ordered // np.uint32(rng.TILE)]
        neuron.get(out=self._neuron.more(total))
        self._n_spikes = np.concatenate([self._n_spikes, n_spikes])

    def _begun(self, start: int) -> int:
        """Where the lists of the piece from a step on begin in the log."""
        return start // self.piece % 2 * self._half

    def end(self, n_steps: int, *, logged: bool, summed: bool) -> tuple[NDArray[Any], Ints, Ints]:
        """All pieces have been taken: counts, spikes of each step, and their global neurons."""
        with self._copying:
            count = self._total[None, :, :-1].get() if summed else np.concatenate(self._counts)
        self._made = n_steps
        if logged:
            start = (n_steps - 1) // self.piece * self.piece
            self._offset = self._begun(start) + int(self._n_spikes[start:-1].sum())
        return count, self._n_spikes, self._neuron.values


class _Growing:
    """Numbers on the host where a device copies fastest, in memory that is used again."""

    def __init__(self) -> None:
        self._held, self._n = np.zeros(0, np.int64), 0

    def more(self, n: int) -> Ints:
        """Room for some more."""
        if self._n + n > self._held.size:
            from cupyx import empty_pinned

            held = empty_pinned(max(2 * self._held.size, self._n + n), np.int64)
            held[: self._n] = self.values
            self._held = held
        self._n += n
        return self._held[self._n - n : self._n]

    @property
    def values(self) -> Ints:
        """All of them."""
        return self._held[: self._n]
