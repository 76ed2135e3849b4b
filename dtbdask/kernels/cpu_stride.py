"""Many steps of one part of a block, in Numba: threads meet in the kernel, once a step.

A step of a small block takes less time than to call its kernels from Python and to have its threads
meet there. So a block that exchanges nothing goes many steps at once: each thread delivers to its
part and advances it, meets the others, and goes on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask.kernels import Features
from dtbdask.kernels.cpu import deliver
from dtbdask.kernels.cpu_delays import deliver_delayed
from dtbdask.kernels.cpu_integrate import advance, arguments_of
from dtbdask.kernels.cpu_machine import meet, now

DELIVERY, COMPUTE, SWAP, WAIT = range(4)
"""On what a part spends its time: its kicks; its neurons; what it tells peers and is told by them;
peers and other parts that are late."""


def stride(
    features: Features, part: int, arrived: NDArray[np.int64], seen: Any, wires: Any, delays: Any,
    lists: Any, state: Any, coefficients: Any, place: Any, clock: Any, script: Any, runs: Any,
) -> None:  # fmt: skip
    """Make some steps of one part; the other parts do so at the same time.

    Parameters
    ----------
    features : Features
    part : int
    arrived : (part, 8) int64
        Zeros at first; where the threads meet.
    seen : tuple of (step, part, member, population + 1) int32, (neuron,) uint32 and two int64
        Written: spikes of each population; and, unless the log is empty, the spikes of member 0 in
        this part, one step after the other, and how many a step has, (step,). Added to: ns spent
        on `DELIVERY`, `COMPUTE`, `SWAP` and `WAIT`, (4,).
    wires : tuple
        `indptr`, `target`, `weight` and `inhibitory`, as `cpu.deliver` takes them.
    delays : tuple or None
        `of`, `first`, `stop` and `delay`, as `cpu_delays.deliver_delayed` takes them.
    lists : tuple of two (member, neuron) uint32 and two (member, part) int64
        Neurons that fired, and how many: of the last step, and of the next; they change places.
    state : tuple
        `kick` (slot, 2, member, neuron), then v, ou, j, refractory, h_t and ca.
    coefficients : tuple
        `value`, `factor`, and the runs of neurons of one population, `stop` and `population`.
    place : tuple
        `bounds`, `tile`, `first_member` and `key`.
    clock : tuple of int
        First step, number of steps, sub-steps of each; and the weight of integer 1.
    script : tuple of (spike,) int64 and uint32
        Steps and neurons of scripted spikes.
    runs : tuple of two (run,) int64
        For which population the spikes of each run of neurons count.
    """
    on, slots = arguments_of(features)
    kernel: Any = _stride
    kernel(part, arrived, seen, wires, delays, lists, state, coefficients, place, clock, script,
            runs, on, slots)  # fmt: skip


@njit(nogil=True, cache=True)
def _stride(
    part, arrived, seen, wires, delays, lists, state, coefficients, place, clock, script, runs, on,
    slots,
):  # fmt: skip
    spent, logged = seen[3], 0
    for k in range(clock[1]):
        begun = now()
        deliver_own(k, wires, delays, lists, state, place, clock)
        delivered = now()
        logged = go_on(k, logged, part, seen, lists, state, coefficients, place, clock, script,
                       runs, on, slots)  # fmt: skip
        advanced = now()
        meet(arrived, part, k + 1)
        spent[DELIVERY] += delivered - begun
        spent[COMPUTE] += advanced - delivered
        spent[WAIT] += now() - advanced


@njit(nogil=True)
def deliver_own(
    k: int, wires: Any, delays: Any, lists: Any, state: Any, place: Any, clock: Any
) -> None:
    """Deliver to a part the spikes of its block in the step before the `k`-th.

    Parameters
    ----------
    k : int
    wires, delays, lists, state, place, clock
        As in `stride`.
    """
    fired, n_fired, bounds = lists[:2][k % 2], lists[2:][k % 2], place[0]
    if delays is None:
        deliver(state[0][0], fired, n_fired, bounds, *wires)
    else:
        deliver_delayed(state[0], fired, n_fired, bounds, *wires, clock[0] + k, *delays)


@njit(nogil=True)
def go_on(
    k: int, logged: int, part: int, seen: Any, lists: Any, state: Any, coefficients: Any,
    place: Any, clock: Any, script: Any, runs: Any, on: Any, slots: Any,
) -> int:  # fmt: skip
    """Advance a part by the `k`-th step, and write down its spikes; how many are in the log.

    Parameters
    ----------
    k : int
    logged : int
        How many were in the log before.
    part, seen, lists, state, coefficients, place, clock, script, runs
        As in `stride`.
    on, slots
        As `cpu_integrate.arguments_of` gives them.
    """
    count, log, n_log, _ = seen
    kick, v, ou, j, refractory, h_t, ca = state
    value, factor, stretch_stop, stretch_population = coefficients
    bounds, tile, first_member, key = place
    begin, _, t_steps, scale = clock
    script_step, script_neuron = script
    step = begin + k
    low = np.searchsorted(script_step, step)
    high = np.searchsorted(script_step, step + 1)
    fired, n_fired = lists[:2][(k + 1) % 2], lists[2:][(k + 1) % 2]
    advance(
        v, ou, j, refractory, kick[step % kick.shape[0]], value, factor, stretch_stop,
        stretch_population, part, bounds, tile, first_member, key, step, t_steps, scale,
        fired, n_fired, h_t, ca, script_neuron[low:high], *on, slots,
    )  # fmt: skip
    _count(count[k, part], fired, n_fired, part, bounds, *runs)
    if log.size:
        for i in range(bounds[part], bounds[part] + n_fired[0, part]):
            log[logged] = fired[0, i]
            logged += 1
        n_log[k] = n_fired[0, part]
    return logged


@njit
def _count(count, fired, n_fired, part, bounds, run_stop, run_population):
    """Count the spikes of one part for their populations."""
    for m in range(n_fired.shape[0]):
        run = np.searchsorted(run_stop, bounds[part], side="right")
        for i in range(bounds[part], bounds[part] + n_fired[m, part]):
            while run_stop[run] <= fired[m, i]:
                run += 1
            count[m, run_population[run]] += 1
