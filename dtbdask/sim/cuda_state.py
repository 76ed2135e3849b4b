"""State of a block on a device as checkpoints and users see it: arrays of the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.kernels import cuda


class OnHost:
    """An array of the device, read and written as one of the host.

    Parameters
    ----------
    array : cupy.ndarray
    """

    def __init__(self, array: Any) -> None:
        self._array, self.dtype = array, array.dtype

    def __getitem__(self, at: Any) -> NDArray[Any]:
        values: NDArray[Any] = self._array[at].get()
        return values

    def __setitem__(self, at: Any, values: NDArray[Any]) -> None:
        self._array[at] = cuda.load_cupy().asarray(values)


class Ring:
    """Kicks of a device, packed as on the host: see `State.kick`.

    Parameters
    ----------
    kick : (slot, word, member, neuron) cupy.ndarray
    packing : cuda.Packing
    receptors : (receptor,) bool
        Those that are on.
    dtype : dtype
        Of the kicks on the host.
    """

    def __init__(
        self, kick: Any, packing: cuda.Packing, receptors: Sequence[bool], dtype: np.dtype[Any]
    ) -> None:
        self._kick, self._packing, self.dtype = kick, packing, dtype
        half = 4 * dtype.itemsize
        self._fields = []  # of each receptor: kind of source, and shift on the host
        for u in np.flatnonzero(receptors).tolist():
            second = u % 2 == 1 and receptors[u - 1]
            self._fields.append((u, u // 2, half if second else 0))

    def __getitem__(self, at: Any) -> NDArray[Any]:
        cp: Any = cuda.load_cupy()
        kick, p = self._kick[at], self._packing
        out = cp.zeros((kick.shape[0], 2, *kick.shape[2:]), np.uint64)
        for u, kind, shift in self._fields:
            mask = np.uint64(2 ** p.bits[u] - 1)
            sums = kick[:, p.word[u]].astype(np.uint64) >> np.uint64(p.shift[u]) & mask
            out[:, kind] |= sums << np.uint64(shift)
        packed: NDArray[Any] = out.astype(self.dtype).get()
        return packed

    def __setitem__(self, at: Any, values: NDArray[Any]) -> None:
        cp: Any = cuda.load_cupy()
        given, p = cp.asarray(values).astype(np.uint64), self._packing
        kick = cp.zeros_like(self._kick[at], dtype=np.uint64)
        for u, kind, shift in self._fields:
            sums = given[:, kind] >> np.uint64(shift) & np.uint64(2 ** p.bits[u] - 1)
            kick[:, p.word[u]] |= sums << np.uint64(p.shift[u])
        self._kick[at] = kick.astype(self._kick.dtype)
