"""The hot operations in Numba: one part of a block a call, GIL released, no atomics.

The contract stands in `dtbdask.kernels`, the random numbers in `dtbdask.rng`. The order of the
float operations here is that of the CUDA text: change both, the oracle and a test in one commit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.kernels import Coefficient, Features
from dtbdask.kernels.cpu_bold import balloon
from dtbdask.kernels.cpu_machine import prefetch
from dtbdask.kernels.cpu_random import tile_normals, tile_words
from dtbdask.kernels.cpu_wire import alias, wire

__all__ = ["alias", "balloon", "census", "deliver", "integrate", "select", "wire"]

_TILE = rng.TILE
_BACKGROUND, _NOISE = np.uint32(rng.Purpose.BACKGROUND), np.uint32(rng.Purpose.NOISE)
(H_OVER_C, G_L, V_L, V_TH, V_RESET, I_EXT, REFRACTORY, OU_MEAN, OU_RATE, OU_KICK, NOISE_P,
 G, V_U, DECAY, G_T, E_T, V_H, H_DECAY, H_RATE, G_DA, E_DA, G_AHP, E_K, CA_DECAY,
 CA_KICK) = (int(c) for c in Coefficient)  # fmt: skip
_CHUNK = 8 * _TILE
"""Neurons advanced together: their state stays in the first-level cache."""
_AHEAD = np.uint64(4)
"""Rows by which the prefetch runs ahead of the delivery."""


@cache
def integrate(features: Features) -> Callable[..., None]:
    """Kernel that advances one part of a block by one exchange step, for a set of features.

    The kernel adds the kicks to J and clears them, then runs `t_steps` sub-steps of background
    current, membrane (forward Euler), threshold and exact decay of J, and lists the neurons that
    fired or had a noise or scripted spike, ascending.

    Kernel arguments
    ----------------
    v, ou : (member, neuron) float, mV and current
    j : four (member, neuron) float
        Traces of the receptors; those that are off are never touched.
    refractory : (member, neuron) uint16, sub-steps
    kick : (2, member, neuron) uint16, uint32 or uint64
    value : (member, population, coefficient) float
    factor : (slot, neuron) float
        Per-neuron factors of the coefficients that have a slot.
    run_stop, run_population : (run,) int64
        Last neuron + 1 and population of each run of neurons of one population.
    part : int
        Which part; it owns neurons `bounds[part]` to `bounds[part + 1]`.
    bounds : (part_edge,) int64
        Parts begin where a tile does.
    tile : (tile,) int64
        Global index of each tile of 128 neurons of the block.
    first_member : int
        Global index of member 0 of the block.
    key : (2,) uint32
        Seed of the run.
    step, t_steps : int
    scale : float
        Weight of integer 1.
    fired : (member, neuron) uint32
        Written: local indices, from `bounds[part]` on.
    n_fired : (member, part) int64
        Written.
    h_t, ca : (member, neuron) float
        Recovery of the T-type calcium current, and [Ca]; never touched where they are off.
    script : (spike,) uint32
        Local indices of the neurons with a scripted spike in this step, ascending.
    """
    scripted = features.scripted
    background, noise = features.background, features.noise
    add_kicks, substep, add_noise = _add_kicks(features), _substep(features), _add_noise(features)

    @njit(nogil=True)  # a closure over other kernels has no lasting identity to be cached by
    def kernel(
        v, ou, j, refractory, kick, value, factor, run_stop, run_population, part, bounds,
        tile, first_member, key, step, t_steps, scale, fired, n_fired, h_t, ca, script,
    ):  # fmt: skip
        words = np.empty((4, rng.LANE), np.uint32)
        z, flag = np.empty(_CHUNK, np.float32), np.empty(_CHUNK, np.uint8)
        eight = flag.view(np.uint64)
        for m in range(v.shape[0]):
            n = bounds[part]
            run = np.searchsorted(run_stop, n, side="right")
            cue = np.searchsorted(script, n) if scripted else 0
            start = n
            while start < bounds[part + 1]:
                stop = min(start + _CHUNK, bounds[part + 1])
                first_tile, n_tiles = start // _TILE, -(-(stop - start) // _TILE)
                flag[:] = 0
                add_kicks(j, kick, m, start, stop, scale)
                for s in range(t_steps):
                    if background:
                        for k in range(n_tiles):
                            tile_normals(
                                z[k * _TILE : (k + 1) * _TILE],
                                _BACKGROUND,
                                tile[first_tile + k],
                                step * t_steps + s,
                                first_member + m,
                                key,
                            )
                    a, r = start, run
                    while a < stop:
                        b = min(stop, run_stop[r])
                        substep(v, ou, j, refractory, np.uint64(m), value[m, run_population[r]],
                                factor, z, flag, np.uint64(start), a, b, h_t, ca)  # fmt: skip
                        a = b
                        r += 1
                if noise:
                    a, r = start, run
                    for k in range(n_tiles):
                        tile_words(words, _NOISE, tile[first_tile + k], step, first_member + m, key)
                        edge = min(stop, start + (k + 1) * _TILE)
                        while a < edge:
                            b = min(edge, run_stop[r])
                            add_noise(flag, words.reshape(_TILE), start, k * _TILE, a, b,
                                      value[m, run_population[r], NOISE_P], factor)  # fmt: skip
                            a = b
                            r += a == run_stop[r]
                if scripted:
                    while cue < script.size and script[cue] < stop:
                        flag[script[cue] - start] = 1
                        cue += 1
                while run < run_stop.size and run_stop[run] <= stop:
                    run += 1
                for word in range(eight.size):
                    if eight[word] != 0:
                        for i in range(8 * word, 8 * word + 8):
                            if flag[i] != 0:
                                fired[m, n] = start + i
                                n += 1
                start = stop
            n_fired[m, part] = n - bounds[part]

    return kernel


def _add_noise(features: Features) -> Callable[..., None]:
    """Noise spikes of the neurons `a` to `b`: a uniform variate below their probability."""
    slot = features.slots[NOISE_P]

    @njit
    def add_noise(flag, word, base, offset, a, b, probability, factor):
        for i in range(a, b):
            k = i - base
            u = np.float32(np.int32(word[k - offset] >> np.uint32(8))) * np.float32(2.0**-24)
            p = probability * factor[slot, i] if slot >= 0 else probability
            flag[k] |= np.uint8(u < np.float32(p))

    return add_noise


def _add_kicks(features: Features) -> Callable[..., None]:
    """Add the kicks of a tile to the traces of its receptors, scaled, and clear them."""
    ampa, nmda, gaba_a, gaba_b = features.receptors

    @njit
    def one(trace, kick, scale):
        real = trace.dtype.type
        for i in range(trace.size):
            trace[i] += real(kick[i]) * scale
            kick[i] = 0

    @njit
    def two(low, high, kick, scale):
        real, number = low.dtype.type, kick.dtype.type
        half = number(4 * kick.itemsize)
        for i in range(low.size):
            y = number(kick[i] >> half)
            x = number(kick[i] - number(y << half))
            low[i] += real(x) * scale
            high[i] += real(y) * scale
            kick[i] = 0

    @njit
    def add_kicks(j, kick, m, a, b, scale):
        if ampa and nmda:
            two(j[0][m, a:b], j[1][m, a:b], kick[0, m, a:b], scale)
        elif ampa:
            one(j[0][m, a:b], kick[0, m, a:b], scale)
        elif nmda:
            one(j[1][m, a:b], kick[0, m, a:b], scale)
        if gaba_a and gaba_b:
            two(j[2][m, a:b], j[3][m, a:b], kick[1, m, a:b], scale)
        elif gaba_a:
            one(j[2][m, a:b], kick[1, m, a:b], scale)
        elif gaba_b:
            one(j[3][m, a:b], kick[1, m, a:b], scale)

    return add_kicks


def _substep(features: Features) -> Callable[..., None]:
    """One sub-step of the neurons `a` to `b`, all of one population.

        I_ou += (1 - e^(-h/tau)) (mean - I_ou) + sigma sqrt(1 - e^(-2h/tau)) z
        V    += h/C [ g_L (V_L - V) + I_ext + I_ou + sum_u g_u (V_u - V) J_u ]
        J_u  *= e^(-h/tau_u)

    with, where they are on, I_T + I_DA + I_AHP in the bracket, and then

        I_T   = g_t h (E_t - V) if V >= V_h else 0
        h    *= e^(-h/tau_h-) if V >= V_h, else h += (1 - e^(-h/tau_h+)) (1 - h)
        I_DA  = g_da (E_da - V)
        I_AHP = g_ahp [Ca] (E_K - V)
        [Ca]  = e^(-h/tau_ca) [Ca] + (alpha where the neuron spikes)

    where the V that h follows is the one that is shown at the end of the sub-step.

    V shows V_th in the sub-step of a spike and V_reset after it; integration resumes from V_reset
    after as many sub-steps as the refractory period has (at least one).
    """
    ampa, nmda, gaba_a, gaba_b = features.receptors
    background, slots = features.background, features.slots
    calcium, dopamine, adaptation = features.calcium, features.dopamine, features.adaptation

    @njit(inline="always")
    def at(scalar, coefficient, factor, i):
        if slots[coefficient] >= 0:
            return scalar * factor[slots[coefficient], i]
        return scalar

    @njit
    def substep(v, ou, j, refractory, m, p, factor, z, flag, base, a, b, h_t, ca):
        real = v.dtype.type
        h_over_c, g_l, v_l, v_th, v_reset = p[H_OVER_C], p[G_L], p[V_L], p[V_TH], p[V_RESET]
        i_ext, pause, mean, rate, kick = p[I_EXT], p[REFRACTORY], p[OU_MEAN], p[OU_RATE], p[OU_KICK]
        g0, g1, g2, g3 = p[G], p[G + 1], p[G + 2], p[G + 3]
        e0, e1, e2, e3 = p[V_U], p[V_U + 1], p[V_U + 2], p[V_U + 3]
        d0, d1, d2, d3 = p[DECAY], p[DECAY + 1], p[DECAY + 2], p[DECAY + 3]
        g_t, e_t, v_h, h_decay, h_rate = p[G_T], p[E_T], p[V_H], p[H_DECAY], p[H_RATE]
        g_da, e_da, g_ahp, e_k = p[G_DA], p[E_DA], p[G_AHP], p[E_K]
        ca_decay, ca_kick = p[CA_DECAY], p[CA_KICK]
        for i in range(np.uint64(a), np.uint64(b)):
            k = np.uint64(i - base)
            resting = refractory[m, i] > 0
            left = np.uint16(refractory[m, i] - np.uint16(resting))
            reset = at(v_reset, V_RESET, factor, i)
            x = reset if resting else v[m, i]
            current = at(i_ext, I_EXT, factor, i)
            if background:
                noise = ou[m, i] + at(rate, OU_RATE, factor, i) * (
                    at(mean, OU_MEAN, factor, i) - ou[m, i]
                )
                noise = noise + at(kick, OU_KICK, factor, i) * real(z[k])
                ou[m, i] = noise
                current = current + noise
            if ampa:
                current += at(g0, G, factor, i) * (at(e0, V_U, factor, i) - x) * j[0][m, i]
                j[0][m, i] *= at(d0, DECAY, factor, i)
            if nmda:
                current += at(g1, G + 1, factor, i) * (at(e1, V_U + 1, factor, i) - x) * j[1][m, i]
                j[1][m, i] *= at(d1, DECAY + 1, factor, i)
            if gaba_a:
                current += at(g2, G + 2, factor, i) * (at(e2, V_U + 2, factor, i) - x) * j[2][m, i]
                j[2][m, i] *= at(d2, DECAY + 2, factor, i)
            if gaba_b:
                current += at(g3, G + 3, factor, i) * (at(e3, V_U + 3, factor, i) - x) * j[3][m, i]
                j[3][m, i] *= at(d3, DECAY + 3, factor, i)
            if calcium:
                flow = at(g_t, G_T, factor, i) * (at(e_t, E_T, factor, i) - x) * h_t[m, i]
                current += flow if x >= at(v_h, V_H, factor, i) else real(0)
            if dopamine:
                current += at(g_da, G_DA, factor, i) * (at(e_da, E_DA, factor, i) - x)
            if adaptation:
                current += at(g_ahp, G_AHP, factor, i) * (at(e_k, E_K, factor, i) - x) * ca[m, i]
            leak = at(g_l, G_L, factor, i) * (at(v_l, V_L, factor, i) - x)
            y = x + at(h_over_c, H_OVER_C, factor, i) * (leak + current)
            y = reset if left > 0 else y
            threshold = at(v_th, V_TH, factor, i)
            fires = y >= threshold
            shown = threshold if fires else y
            v[m, i] = shown
            refractory[m, i] = np.uint16(at(pause, REFRACTORY, factor, i)) if fires else left
            flag[k] |= np.uint8(fires)
            if calcium:
                h = h_t[m, i]
                fallen = h * at(h_decay, H_DECAY, factor, i)
                risen = h + at(h_rate, H_RATE, factor, i) * (real(1) - h)
                h_t[m, i] = fallen if shown >= at(v_h, V_H, factor, i) else risen
            if adaptation:
                kick_ca = at(ca_kick, CA_KICK, factor, i) if fires else real(0)
                ca[m, i] = ca[m, i] * at(ca_decay, CA_DECAY, factor, i) + kick_ca

    return substep


@njit(nogil=True, cache=True)
def deliver(
    kick: NDArray[Any], fired: NDArray[np.uint32], n_fired: NDArray[np.int64],
    bounds: NDArray[np.int64], indptr: NDArray[np.int64], target: NDArray[np.uint32],
    weight: Any, inhibitory: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Add the weights of the edges of every fired row to the kicks of their targets in one part.

    Parameters
    ----------
    kick : (2, member, neuron) uint16, uint32 or uint64
        Added to.
    fired : (member, row) uint32
        Rows that fired; list `k` of a member starts at `bounds[k]` and has `n_fired[member, k]`.
    n_fired : (member, list) int64
    bounds : (list_edge,) int64
    indptr : (row_edge,) int64
        Edges of a row that end in this part.
    target : (edge,) uint32
        Target neuron; with its weight in the low 8 bits where `weight` is None.
    weight : (edge, pair) uint8 or uint32, or None
    inhibitory : (row,) uint8
    """
    number, one = kick.dtype.type, np.uint64(1)  # indices without a sign need no look at it
    half = number(4 * kick.itemsize)
    for m in range(n_fired.shape[0]):
        for part in range(n_fired.shape[1]):
            last = np.uint64(bounds[part] + n_fired[m, part])
            for k in range(np.uint64(bounds[part]), last):
                if k + _AHEAD < last:
                    ahead = np.uint64(fired[m, k + _AHEAD])
                    for e in range(indptr[ahead], indptr[ahead + one], 16):
                        prefetch(target, e)
                if k + _AHEAD + _AHEAD < last:
                    prefetch(indptr, fired[m, k + _AHEAD + _AHEAD])
                row = np.uint64(fired[m, k])
                sums = kick[inhibitory[row], m]
                for e in range(np.uint64(indptr[row]), np.uint64(indptr[row + one])):
                    if weight is None:
                        edge = target[e]
                        sums[edge >> np.uint32(8)] += number(edge & np.uint32(255))
                    elif weight.shape[1] == 1:
                        sums[target[e]] += number(weight[e, 0])
                    else:
                        sums[target[e]] += number(weight[e, 0]) + (number(weight[e, 1]) << half)


@njit(nogil=True, cache=True)
def select(
    out: NDArray[np.uint32], fired: NDArray[np.uint32], n_fired: NDArray[np.int64],
    bounds: NDArray[np.int64], position: NDArray[np.int64],
) -> int:  # fmt: skip
    """Positions, in a peer's list of the neurons it hears, of those that fired.

    Parameters
    ----------
    out : (neuron,) uint32
        Written.
    fired : (neuron,) uint32
        Local indices; list `k` starts at `bounds[k]` and has `n_fired[k]`.
    n_fired : (list,) int64
    bounds : (list_edge,) int64
    position : (neuron,) int64
        Position of each local neuron in the peer's list, or -1.

    Returns
    -------
    int
        How many were written.
    """
    n = 0
    for part in range(n_fired.size):
        for k in range(n_fired[part]):
            at = position[fired[bounds[part] + k]]
            if at >= 0:
                out[n] = at
                n += 1
    return n


@njit(nogil=True, cache=True)
def census(
    spikes: NDArray[np.int32], fired: NDArray[np.uint32], n_fired: NDArray[np.int64],
    bounds: NDArray[np.int64], run_stop: NDArray[np.int64], run_population: NDArray[np.int64],
) -> None:  # fmt: skip
    """Count the spikes of each population.

    Parameters
    ----------
    spikes : (member, population) int32
        Added to.
    fired : (member, neuron) uint32
        As `integrate` writes it.
    n_fired : (member, part) int64
    bounds : (part_edge,) int64
    run_stop, run_population : (run,) int64
    """
    for m in range(n_fired.shape[0]):
        run = 0
        for part in range(n_fired.shape[1]):
            for k in range(n_fired[m, part]):
                neuron = fired[m, bounds[part] + k]
                while run_stop[run] <= neuron:
                    run += 1
                spikes[m, run_population[run]] += 1
