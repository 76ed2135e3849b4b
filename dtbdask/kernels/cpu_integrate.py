"""One step of the neurons of one part of a block, in Numba: currents, membrane, threshold.

What a network does not need is compiled out: a receptor, a current or a coefficient of single
neurons that is off is an argument that is None. The functions are those of a module, so what was
compiled once is kept on disk.

The order of the float operations here is that of the CUDA text: change both, the oracle and a test
in one commit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from dtbdask import rng
from dtbdask.kernels import Coefficient, Features
from dtbdask.kernels.cpu_random import tile_normals, tile_words

_TILE = rng.TILE
_BACKGROUND, _NOISE = np.uint32(rng.Purpose.BACKGROUND), np.uint32(rng.Purpose.NOISE)
_NOISE_P = int(Coefficient.NOISE)
_CHUNK = 8 * _TILE
"""Neurons advanced together: their state stays in the first-level cache."""


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
    factor : (slot, neuron) or (slot, member * neuron) float
        Per-neuron factors of the coefficients that have a slot: of all members, or of each.
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
    on, slots = arguments_of(features)

    def kernel(*arguments: Any) -> None:
        advance(*arguments, *on, slots)

    return kernel


def arguments_of(features: Features) -> tuple[tuple[Any, ...], tuple[int | None, ...]]:
    """Last arguments of `advance`: what is on, and the slots; None is compiled out."""
    flags = (
        *features.receptors, features.background, features.noise, features.scripted,
        features.calcium, features.dopamine, features.adaptation,
    )  # fmt: skip
    on = tuple(True if flag else None for flag in flags)
    return on, tuple(slot if slot >= 0 else None for slot in features.slots)


@njit(nogil=True, cache=True)
def advance(
    v, ou, j, refractory, kick, value, factor, run_stop, run_population, part, bounds, tile,
    first_member, key, step, t_steps, scale, fired, n_fired, h_t, ca, script,
    ampa, nmda, gaba_a, gaba_b, background, noise, scripted, calcium, dopamine, adaptation, slots,
) -> None:  # fmt: skip
    """Advance one part: the arguments of `integrate`, then those of `arguments_of`."""
    words = np.empty((4, rng.LANE), np.uint32)
    z, flag = np.empty(_CHUNK, np.float32), np.empty(_CHUNK, np.uint8)
    eight = flag.view(np.uint64)
    for m in range(v.shape[0]):
        shift = m * v.shape[1] if factor.shape[1] > v.shape[1] else 0
        n = bounds[part]
        run = np.searchsorted(run_stop, n, side="right")
        cue = np.searchsorted(script, n) if scripted is not None else 0
        start = n
        while start < bounds[part + 1]:
            stop = min(start + _CHUNK, bounds[part + 1])
            first_tile, n_tiles = start // _TILE, -(-(stop - start) // _TILE)
            flag[:] = 0
            _add_kicks(j, kick, m, start, stop, scale, ampa, nmda, gaba_a, gaba_b)
            for s in range(t_steps):
                if background is not None:
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
                    _substep(
                        v, ou, j, refractory, np.uint64(m), value[m, run_population[r]], factor,
                        np.uint64(shift), z, flag, np.uint64(start), a, b, h_t, ca, ampa, nmda,
                        gaba_a, gaba_b, background, calcium, dopamine, adaptation, slots,
                    )  # fmt: skip
                    a = b
                    r += 1
            if noise is not None:
                a, r = start, run
                for k in range(n_tiles):
                    tile_words(words, _NOISE, tile[first_tile + k], step, first_member + m, key)
                    edge = min(stop, start + (k + 1) * _TILE)
                    while a < edge:
                        b = min(edge, run_stop[r])
                        _add_noise(
                            flag, words.reshape(_TILE), start, k * _TILE, a, b,
                            value[m, run_population[r], _NOISE_P], factor, shift, slots[_NOISE_P],
                        )  # fmt: skip
                        a = b
                        r += a == run_stop[r]
            if scripted is not None:
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


@njit(cache=True)
def _add_noise(flag, word, base, offset, a, b, probability, factor, shift, slot):
    """Noise spikes of the neurons `a` to `b`: a uniform variate below their probability."""
    for i in range(a, b):
        k = i - base
        u = np.float32(np.int32(word[k - offset] >> np.uint32(8))) * np.float32(2.0**-24)
        flag[k] |= np.uint8(u < np.float32(_at(probability, slot, factor, i + shift)))


@njit(cache=True)
def _add_one(trace, kick, scale):
    """Add the kicks of one receptor to its trace."""
    real = trace.dtype.type
    for i in range(trace.size):
        trace[i] += real(kick[i]) * scale
        kick[i] = 0


@njit(cache=True)
def _add_two(low, high, kick, scale):
    """Add packed kicks to the traces of two receptors."""
    real, number = low.dtype.type, kick.dtype.type
    half = number(4 * kick.itemsize)
    for i in range(low.size):
        y = number(kick[i] >> half)
        x = number(kick[i] - number(y << half))
        low[i] += real(x) * scale
        high[i] += real(y) * scale
        kick[i] = 0


@njit(cache=True)
def _add_kicks(j, kick, m, a, b, scale, ampa, nmda, gaba_a, gaba_b):
    """Add the kicks of a tile to the traces of its receptors, scaled, and clear them."""
    if ampa is not None and nmda is not None:
        _add_two(j[0][m, a:b], j[1][m, a:b], kick[0, m, a:b], scale)
    elif ampa is not None:
        _add_one(j[0][m, a:b], kick[0, m, a:b], scale)
    elif nmda is not None:
        _add_one(j[1][m, a:b], kick[0, m, a:b], scale)
    if gaba_a is not None and gaba_b is not None:
        _add_two(j[2][m, a:b], j[3][m, a:b], kick[1, m, a:b], scale)
    elif gaba_a is not None:
        _add_one(j[2][m, a:b], kick[1, m, a:b], scale)
    elif gaba_b is not None:
        _add_one(j[3][m, a:b], kick[1, m, a:b], scale)


@njit(cache=True)
def _at(scalar, slot, factor, i):
    """Coefficient of a neuron: that of its population, times its own factor if there are any."""
    if slot is None:
        return scalar
    return scalar * factor[slot, i]


@njit(cache=True)
def _substep(
    v, ou, j, refractory, m, p, factor, shift, z, flag, base, a, b, h_t, ca, ampa, nmda, gaba_a,
    gaba_b, background, calcium, dopamine, adaptation, slots,
):  # fmt: skip
    """One sub-step of the neurons `a` to `b`, which share the values of a population.

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
    real = v.dtype.type
    # values of the population and slots of the neurons' own factors, in the order of Coefficient
    h_over_c, g_l, v_l, v_th, v_reset, i_ext, pause = p[0], p[1], p[2], p[3], p[4], p[5], p[6]
    mean, rate, kick = p[7], p[8], p[9]
    g0, g1, g2, g3, e0, e1, e2, e3 = p[11], p[12], p[13], p[14], p[15], p[16], p[17], p[18]
    d0, d1, d2, d3 = p[19], p[20], p[21], p[22]
    g_t, e_t, v_h, h_decay, h_rate = p[23], p[24], p[25], p[26], p[27]
    g_da, e_da, g_ahp, e_k, ca_decay, ca_kick = p[28], p[29], p[30], p[31], p[32], p[33]
    (
        s_h_over_c, s_g_l, s_v_l, s_v_th, s_v_reset, s_i_ext, s_pause, s_mean, s_rate, s_kick, _,
        s_g0, s_g1, s_g2, s_g3, s_e0, s_e1, s_e2, s_e3, s_d0, s_d1, s_d2, s_d3,
        s_g_t, s_e_t, s_v_h, s_h_decay, s_h_rate, s_g_da, s_e_da, s_g_ahp, s_e_k,
        s_ca_decay, s_ca_kick,
    ) = slots  # fmt: skip
    for i in range(np.uint64(a), np.uint64(b)):
        k, w = np.uint64(i - base), np.uint64(i + shift)
        resting = refractory[m, i] > 0
        left = np.uint16(refractory[m, i] - np.uint16(resting))
        reset = _at(v_reset, s_v_reset, factor, w)
        x = reset if resting else v[m, i]
        current = _at(i_ext, s_i_ext, factor, w)
        if background is not None:
            noise = ou[m, i] + _at(rate, s_rate, factor, w) * (
                _at(mean, s_mean, factor, w) - ou[m, i]
            )
            noise = noise + _at(kick, s_kick, factor, w) * real(z[k])
            ou[m, i] = noise
            current = current + noise
        if ampa is not None:
            current += _at(g0, s_g0, factor, w) * (_at(e0, s_e0, factor, w) - x) * j[0][m, i]
            j[0][m, i] *= _at(d0, s_d0, factor, w)
        if nmda is not None:
            current += _at(g1, s_g1, factor, w) * (_at(e1, s_e1, factor, w) - x) * j[1][m, i]
            j[1][m, i] *= _at(d1, s_d1, factor, w)
        if gaba_a is not None:
            current += _at(g2, s_g2, factor, w) * (_at(e2, s_e2, factor, w) - x) * j[2][m, i]
            j[2][m, i] *= _at(d2, s_d2, factor, w)
        if gaba_b is not None:
            current += _at(g3, s_g3, factor, w) * (_at(e3, s_e3, factor, w) - x) * j[3][m, i]
            j[3][m, i] *= _at(d3, s_d3, factor, w)
        if calcium is not None:
            flow = _at(g_t, s_g_t, factor, w) * (_at(e_t, s_e_t, factor, w) - x) * h_t[m, i]
            current += flow if x >= _at(v_h, s_v_h, factor, w) else real(0)
        if dopamine is not None:
            current += _at(g_da, s_g_da, factor, w) * (_at(e_da, s_e_da, factor, w) - x)
        if adaptation is not None:
            current += _at(g_ahp, s_g_ahp, factor, w) * (_at(e_k, s_e_k, factor, w) - x) * ca[m, i]
        leak = _at(g_l, s_g_l, factor, w) * (_at(v_l, s_v_l, factor, w) - x)
        y = x + _at(h_over_c, s_h_over_c, factor, w) * (leak + current)
        y = reset if left > 0 else y
        threshold = _at(v_th, s_v_th, factor, w)
        fires = y >= threshold
        shown = threshold if fires else y
        v[m, i] = shown
        refractory[m, i] = np.uint16(_at(pause, s_pause, factor, w)) if fires else left
        flag[k] |= np.uint8(fires)
        if calcium is not None:
            h = h_t[m, i]
            fallen = h * _at(h_decay, s_h_decay, factor, w)
            risen = h + _at(h_rate, s_h_rate, factor, w) * (real(1) - h)
            h_t[m, i] = fallen if shown >= _at(v_h, s_v_h, factor, w) else risen
        if adaptation is not None:
            kick_ca = _at(ca_kick, s_ca_kick, factor, w) if fires else real(0)
            ca[m, i] = ca[m, i] * _at(ca_decay, s_ca_decay, factor, w) + kick_ca
