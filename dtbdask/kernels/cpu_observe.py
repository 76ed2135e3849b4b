"""Looking at the state of a block in Numba: sums over populations, and single neurons.

What is summed is whole: a value is rounded once to a multiple of a power of two, and integers are
added, so that no order of additions, no partition and no number of threads can be seen in a sum. A
part writes the sums of its own runs of neurons. Nothing of the state is changed.

The receptors' currents are g_u (E_u - V) J_u in float64 of the numbers as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask.kernels import Coefficient, Features

LIMIT = 2.0**14
"""Magnitude that no value may have, mV or mV/ms; the sum over a population with one is spoilt."""
SPOILT = int(np.iinfo(np.int64).min)
"""What stands for a sum with a value that is beyond `LIMIT` or no number; no sum comes near it."""

_LIMIT, _SPOILT = LIMIT, np.int64(SPOILT)
_WHOLE = 1.5 * 2.0**52
"""Added and taken away, it rounds what is below 2^51 to the nearest whole number."""
_G, _V_U = int(Coefficient.G), int(Coefficient.V_U)


@cache
def totals(features: Features) -> Callable[..., None]:
    """Kernel that adds to the sums of one part, for member 0.

    Kernel arguments
    ----------------
    total : (row, run) int64
        Added to.
    row : (6,) int64
        Rows of the sums of V, of the synaptic current and of the current of each receptor, or -1.
    scale : float
        Integer of 1 mV, or 1 mV/ms.
    run_stop, run_population : (run,) int64
        Last neuron + 1 and population of each run of neurons; runs are cut where a part ends.
    first, last : int
        Runs of the part.
    v, j, value, factor
        As of `dtbdask.kernels.cpu.integrate`; a run whose population has no row there is left out.
    """
    currents = _currents(features)

    @njit(nogil=True)
    def kernel(total, row, scale, run_stop, run_population, first, last, v, j, value, factor):
        for r in range(first, last):
            if run_population[r] >= value.shape[1]:
                continue
            low = run_stop[r - 1] if r > 0 else 0
            if row[0] >= 0:
                _add(total, row[0], r, _sum(v[0, low : run_stop[r]], scale))
            if row[1:].max() < 0:
                continue
            p, sums, good = value[0, run_population[r]], np.zeros(5, np.int64), True
            for i in range(low, run_stop[r]):
                one = currents(v, j, p, factor, i)
                whole = ((one[0] + one[1]) + one[2]) + one[3]
                sums[0] += _whole(whole * scale)
                good &= abs(whole) < _LIMIT
                for u in range(4):
                    sums[u + 1] += _whole(one[u] * scale)
                    good &= abs(one[u]) < _LIMIT
            for k in range(5):
                if row[k + 1] >= 0:
                    _add(total, row[k + 1], r, sums[k] if good else _SPOILT)

    return kernel


@cache
def single(features: Features) -> Callable[..., None]:
    """Kernel that looks at chosen neurons of member 0.

    Kernel arguments
    ----------------
    out : (3, sample) float64
        Written: V, synaptic current, background current.
    neuron, population : (sample,) int64
        Local index and population of each.
    v, ou, j, value, factor
        As of `dtbdask.kernels.cpu.integrate`.
    """
    currents, background = _currents(features), features.background

    @njit(nogil=True)
    def kernel(out, neuron, population, v, ou, j, value, factor):
        for k in range(neuron.size):
            i = neuron[k]
            one = currents(v, j, value[0, population[k]], factor, i)
            out[0, k] = v[0, i]
            out[1, k] = ((one[0] + one[1]) + one[2]) + one[3]
            out[2, k] = ou[0, i] if background else 0.0

    return kernel


@njit(nogil=True, cache=True)
def strike(
    count: NDArray[np.uint16], neuron: NDArray[np.int64], fired: NDArray[np.uint32],
    n_fired: NDArray[np.int64], bounds: NDArray[np.int64],
) -> None:  # fmt: skip
    """Count the spikes of chosen neurons of member 0 in the last step.

    Parameters
    ----------
    count : (sample,) uint16
        Added to.
    neuron : (sample,) int64
        Local index of each.
    fired : (member, neuron) uint32
        As `dtbdask.kernels.cpu.integrate` writes it.
    n_fired : (member, part) int64
    bounds : (part_edge,) int64
    """
    for k in range(neuron.size):
        part = np.searchsorted(bounds, neuron[k], side="right") - 1
        low = bounds[part]
        high = low + n_fired[0, part]
        at = low + np.searchsorted(fired[0, low:high], np.uint32(neuron[k]))
        if at < high and fired[0, at] == neuron[k]:
            count[k] += np.uint16(1)


@njit(inline="always")
def _whole(x):
    """Nearest whole number, the even one of two."""
    return np.int64((x + _WHOLE) - _WHOLE)


@njit
def _sum(values, scale):
    """Sum of values as integers."""
    total, good = np.int64(0), True
    for i in range(values.size):
        x = np.float64(values[i])
        total += _whole(x * scale)
        good = good and bool(abs(x) < _LIMIT)
    return total if good else _SPOILT


@njit
def _add(total, row, run, value):
    """Add to a sum, unless one of the two is spoilt."""
    if total[row, run] == _SPOILT or value == _SPOILT:
        total[row, run] = _SPOILT
    else:
        total[row, run] += value


def _currents(features: Features) -> Callable[..., tuple[float, float, float, float]]:
    """Currents of the four receptors of a neuron; zero where one is off."""
    ampa, nmda, gaba_a, gaba_b = features.receptors
    slots = features.slots

    @njit(inline="always")
    def at(p, coefficient, factor, i):
        if slots[coefficient] >= 0:
            return p[coefficient] * factor[slots[coefficient], i]
        return p[coefficient]

    @njit(inline="always")
    def one(u, x, trace, p, factor, i):
        g, e = np.float64(at(p, _G + u, factor, i)), np.float64(at(p, _V_U + u, factor, i))
        return g * (e - x) * np.float64(trace[0, i])

    @njit
    def currents(v, j, p, factor, i):
        x = np.float64(v[0, i])
        return (
            one(0, x, j[0], p, factor, i) if ampa else 0.0,
            one(1, x, j[1], p, factor, i) if nmda else 0.0,
            one(2, x, j[2], p, factor, i) if gaba_a else 0.0,
            one(3, x, j[3], p, factor, i) if gaba_b else 0.0,
        )

    return currents
