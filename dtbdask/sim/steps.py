"""The steps of recorded spikes: kept as how many spikes each step has, told spike by spike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class SpikeSteps:
    """The step of each spike, made for those that are asked for; an array to `dask.array`.

    Parameters
    ----------
    n_spikes : (step,) int64
        Spikes of each step.
    first_step : int

    Attributes
    ----------
    shape : (1,) tuple of int
    """

    dtype = np.dtype(np.int64)
    ndim = 1

    def __init__(self, n_spikes: Ints, first_step: int) -> None:
        self._stop = np.cumsum(n_spikes)
        self._first = first_step
        self.shape = (int(self._stop[-1]) if self._stop.size else 0,)

    def __len__(self) -> int:
        """Return the number of spikes."""
        return self.shape[0]

    def __getitem__(self, at: Any) -> Ints:
        """Steps of the spikes at an index, of a slice or of several indices: int64."""
        (within,) = at if isinstance(at, tuple) else (at,)
        if not isinstance(within, slice):
            index = np.asarray(within)
            index = np.where(index < 0, index + len(self), index)
            steps: Ints = self._first + np.searchsorted(self._stop, index, side="right")
            return steps
        start, stop, stride = within.indices(len(self))
        if stride != 1:
            return self[np.arange(start, stop, stride)]
        low, high = np.searchsorted(self._stop, [start, max(start, stop - 1)], side="right")
        ends = np.clip(self._stop[low : high + 1], start, max(start, stop))
        of_ends = np.arange(self._first + low, self._first + low + ends.size)
        return np.repeat(of_ends, np.diff(ends, prepend=start))
