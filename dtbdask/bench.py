"""First figures of this machine: how fast a network is wired and simulated, beside its memory."""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numba import njit
from numpy.typing import NDArray

from dtbdask import progress
from dtbdask.errors import whole_number
from dtbdask.graph.build import build
from dtbdask.graph.network import Network
from dtbdask.graph.synapses import Stored
from dtbdask.kernels import Features
from dtbdask.sim.block import Block
from dtbdask.sim.edges import collect
from dtbdask.sim.spec import BlockSpec

WARM_UP_STEPS, STEPS = 200, 1000
STORED_NEURONS, STORED_SYNAPSES = 20, 200_000_000
"""Times the neurons, and most synapses, of the network that is timed while it is stored: large
enough that what it costs to begin a store does not count."""
BYTES_PER_NEURON_STEP = 44
"""State read and written by a sub-step of the default model: V, background and two traces (8 each),
refractory counter (4), two kicks (8)."""


KICKS_IN_CACHE, KICKS_IN_MEMORY, EVENTS = 1 << 15, 1 << 27, 1 << 20
"""16-bit kicks that are added to at random, 64 KiB and 256 MiB of them, and how often."""


class TimedBlock(Block):
    """A block of one thread that keeps the time of its two halves."""

    deliver_s = 0.0
    integrate_s = 0.0

    def _deliver(self, part: int) -> None:
        start = time.perf_counter()
        super()._deliver(part)
        self.deliver_s += time.perf_counter() - start

    def _integrate(self, part: int, t_steps: int) -> None:
        start = time.perf_counter()
        super()._integrate(part, t_steps)
        self.integrate_s += time.perf_counter() - start


def measure(
    brain: xr.Dataset, *, neurons: int, degree: int, threads: int, repeats: int
) -> dict[str, float]:
    """Build and run the default network, and time it.

    Parameters
    ----------
    brain : xarray.Dataset
        From `read_connectome`.
    neurons, degree : int
    threads : int
        For the headline run; the times per neuron-step and per event are of one thread.
    repeats : int
        Runs, of which the median is taken.

    Returns
    -------
    dict of str to float
        `seconds_per_biological_second`, `ns_per_neuron_step`, `ns_per_synaptic_event`,
        `synapses_per_second`, `stored_synapses_per_second`,
        `stored_and_transposed_synapses_per_second`, `peak_memory_bytes`, `mean_rate_hz`, and for
        scale `copy_bandwidth_bytes_per_second`, `neuron_step_over_bandwidth_floor`,
        `ns_per_random_add_in_cache`, `ns_per_random_add_in_memory` and
        `synaptic_event_over_cached_add`.
    """
    repeats = whole_number("repeats", repeats, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.zarr"
        _warm_compiler(brain, Path(folder) / "small.zarr", degree)
        network = build(brain, path, neurons=neurons, degree=degree, seed=1)
        figures = _run(network, threads, repeats)
        figures |= _halves(network)
        figures["synapses_per_second"] = _wiring(network, threads, repeats)
        peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        figures |= _storing(brain, path, _stored(neurons, degree), degree, threads, repeats)
    figures["peak_memory_bytes"] = peak
    bandwidth = _copy_bandwidth()
    figures["copy_bandwidth_bytes_per_second"] = bandwidth
    floor_ns = BYTES_PER_NEURON_STEP / bandwidth * 1e9
    figures["neuron_step_over_bandwidth_floor"] = figures["ns_per_neuron_step"] / floor_ns
    cached = _random_add(KICKS_IN_CACHE)
    figures["ns_per_random_add_in_cache"] = cached
    figures["ns_per_random_add_in_memory"] = _random_add(KICKS_IN_MEMORY)
    figures["synaptic_event_over_cached_add"] = figures["ns_per_synaptic_event"] / cached
    return figures


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _warm_compiler(brain: xr.Dataset, path: Path, degree: int) -> None:
    """Have every kernel compiled before anything is timed."""
    small = build(brain, path, neurons=20_000, degree=min(degree, 20), seed=1)
    block = TimedBlock(BlockSpec.whole(small, seed=1))
    for _ in range(20):
        block.step()
    _go(block, 20)


def _run(network: Network, threads: int, repeats: int) -> dict[str, float]:
    times, spikes = [], 0
    with progress.track("Simulating", repeats * (WARM_UP_STEPS + STEPS), "steps") as done:
        for _ in range(repeats):
            block = Block(BlockSpec.whole(network, seed=1, threads=threads))
            _go(block, WARM_UP_STEPS)
            done(WARM_UP_STEPS)
            start = time.perf_counter()
            spikes = _go(block, STEPS)
            times.append((time.perf_counter() - start) / STEPS * 1000)
            done(STEPS)
            block.close()
    rate = spikes / network.n_neurons / (STEPS / 1000)
    return {"seconds_per_biological_second": statistics.median(times), "mean_rate_hz": rate}


def _go(block: Block, n_steps: int) -> int:
    """Make some steps; their spikes."""
    spikes = 0
    while n_steps:
        steps = min(n_steps, block.longest_stride)
        spikes += int(block.stride(steps, spikes=False).spike_count.sum())
        n_steps -= steps
    return spikes


def _halves(network: Network) -> dict[str, float]:
    block = TimedBlock(BlockSpec.whole(network, seed=1))
    for _ in range(WARM_UP_STEPS):
        block.step()
    block.deliver_s = block.integrate_s = 0.0
    spikes = 0
    for _ in range(STEPS):
        spikes += int(block.n_fired.sum())  # delivered in the step that follows
        block.step()
    events = spikes * network.n_synapses / network.n_neurons
    return {
        "ns_per_neuron_step": block.integrate_s / STEPS / network.n_neurons * 1e9,
        "ns_per_synaptic_event": block.deliver_s / events * 1e9,
    }


def _wiring(network: Network, threads: int, repeats: int) -> float:
    """Synapses sampled in a second, nothing written."""
    assert isinstance(network.wiring, Stored)
    recipe = network.wiring.recipe
    cuts = np.linspace(0, network.n_neurons, 8 * threads + 1).astype(int)
    rates = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            list(pool.map(recipe.wire, cuts[:-1].tolist(), cuts[1:].tolist()))
            rates.append(network.n_synapses / (time.perf_counter() - start))
    return statistics.median(rates)


def _stored(neurons: int, degree: int) -> int:
    """Neurons of the network that is timed while it is stored."""
    return min(STORED_NEURONS * neurons, max(neurons, STORED_SYNAPSES // degree))


def _storing(
    brain: xr.Dataset, path: Path, neurons: int, degree: int, threads: int, repeats: int
) -> dict[str, float]:
    """Synapses wired and stored in a second, and also read again and put in order of source."""
    features = Features((True, False, True, False), True, False, ())
    stored, transposed = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        network = build(brain, path, neurons=neurons, degree=degree, seed=1, overwrite=True)
        stored.append(network.n_synapses / (time.perf_counter() - start))
        bounds = np.linspace(0, network.n_neurons, threads + 1).astype(np.int64)
        collect(network, np.array([[0, network.n_neurons]]), bounds, features)
        transposed.append(network.n_synapses / (time.perf_counter() - start))
    return {
        "stored_synapses_per_second": statistics.median(stored),
        "stored_and_transposed_synapses_per_second": statistics.median(transposed),
    }


def _copy_bandwidth() -> float:
    """Bytes read and written a second by one thread that copies a large array."""
    source = np.ones(1 << 24)
    target = np.empty_like(source)
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
    return 2 * source.nbytes / best


def _random_add(n_kicks: int) -> float:
    """Nanoseconds in which one thread reads a target and adds to its kick: the least of an event.

    Parameters
    ----------
    n_kicks : int
        A power of two.

    Returns
    -------
    float, ns
    """
    target = np.random.default_rng(1).integers(0, n_kicks, EVENTS, np.uint32)
    kick = np.ones(n_kicks, np.uint16)
    _add(kick, target[:1])  # compiles
    best = np.inf
    for _ in range(20):
        start = time.perf_counter()
        _add(kick, target)
        best = min(best, time.perf_counter() - start)
    return best / EVENTS * 1e9


def _each_adds(kick: NDArray[np.uint16], target: NDArray[np.uint32]) -> None:
    for index in target:
        kick[index] += np.uint16(1)


_add: Any = njit(nogil=True, cache=True)(_each_adds)
