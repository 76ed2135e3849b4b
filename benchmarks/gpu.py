"""Tests and figures of a GPU: `python benchmarks/gpu.py [--data FILE] [--large] [--no-tests]`.

Each figure stands beside its floor, measured in the same run: the bytes that the neuron update must
move over the bandwidth of a copy, and the events of a delivery over the rate at which this device
adds integers at random places of the same number of kicks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from networks import quiet

from dtbdask.brain.connectome import read_connectome
from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.graph.build import build
from dtbdask.kernels import cuda
from dtbdask.sim.block import BlockSpec
from dtbdask.sim.cuda_block import CudaBlock

WARM_UP, STEPS, REPEATS = 200, 1000, 3
SIZES = {
    "1e5 x 100": (100_000, 100, {}),
    "1e6 x 100": (1_000_000, 100, {}),
    "1e7 x 100": (10_000_000, 100, {}),
}
# conductances in proportion to the in-degree, and a background that gives about 7 Hz
CARD = {"g_ampa": 0.002 * 100 / 556, "g_gaba_a": 0.01 * 100 / 556, "ou_mean": 0.475}
LARGE = {
    "6.14e6 x 556": (6_140_000, 556, CARD),
    "1e8 x 100": (100_000_000, 100, {}),
}
ATOMICS = """
extern "C" __global__ void scatter(unsigned *to, unsigned n, unsigned rounds) {
    unsigned x = blockIdx.x * blockDim.x + threadIdx.x + 1;
    for (unsigned k = 0; k < rounds; ++k) {
        x ^= x << 13; x ^= x >> 17; x ^= x << 5;
        atomicAdd(to + (unsigned)((unsigned long long)x * n >> 32), 1u);
    }
}
"""


def seconds(work: Any, repeats: int = 20) -> float:
    """Median time of some work on the device."""
    import cupy as cp

    work()
    begin, end, times = cp.cuda.Event(), cp.cuda.Event(), []
    for _ in range(repeats):
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(cp.cuda.get_elapsed_time(begin, end) / 1e3)
    return statistics.median(times)


def copy_bandwidth() -> float:
    """Bytes read and written a second by a copy."""
    import cupy as cp

    source = cp.ones(1 << 28, np.float32)
    target = cp.empty_like(source)
    return 2 * source.nbytes / seconds(lambda: cp.copyto(target, source))


def atomic_rate(n: int) -> float:
    """Integers added a second at random places of `n` words."""
    import cupy as cp

    kernel, to, rounds = cp.RawKernel(ATOMICS, "scatter"), cp.zeros(n, np.uint32), 32
    blocks = 132 * 64
    arguments = (to, np.uint32(n), np.uint32(rounds))
    return blocks * 256 * rounds / seconds(lambda: kernel((blocks,), (256,), arguments))


def figures(brain: Any, folder: Path, name: str, bandwidth: float) -> dict[str, Any]:
    """Figures of one network."""
    import cupy as cp

    neurons, degree, parameters = (SIZES | LARGE)[name]
    network = build(
        brain, folder / f"{neurons}-{degree}.zarr", neurons=neurons, degree=degree, seed=1,
        synapses="procedural", overwrite=True, parameters=parameters,
    )  # fmt: skip
    cp.get_default_memory_pool().free_all_blocks()
    start = time.perf_counter()
    block = CudaBlock(BlockSpec.whole(network, 1, device="cuda"))
    cp.cuda.Device().synchronize()
    made = time.perf_counter() - start
    block.settle()
    block.advance(WARM_UP, logged=False)
    runs, spikes = [], 0
    for _ in range(REPEATS):
        start = time.perf_counter()
        spikes = int(block.advance(STEPS, logged=False).count.sum())
        runs.append(time.perf_counter() - start)
    edges, state = block.edges, block.state
    fired = int(block._n_fired[block._made, 0])
    rows = block._log[block._offset : block._offset + fired]
    events = int(sum((indptr[rows + 1] - indptr[rows]).sum() for indptr in edges.indptr))
    block._begin_window(1)
    deliver = seconds(lambda: block._deliver_fired(0))
    block.state.kick[:] = 0
    integrate = seconds(lambda: block._integrate_at(0, 1))
    moved = 2 * sum(a.nbytes for a in (state.v, state.ou, *state.j, state.kick))
    moved += state.refractory.nbytes
    rate = atomic_rate(min(edges.tile_size, neurons))
    wired = seconds_of_wiring(network, block)
    return {
        "network": name,
        "s_per_bio_s": statistics.median(runs),
        "spread": [round(run, 4) for run in runs],
        "rate_hz": spikes / neurons / (STEPS / 1000),
        "update_ms": integrate * 1e3,
        "update_bandwidth_share": moved / integrate / bandwidth,
        "deliver_ms": deliver * 1e3,
        "events": events,
        "events_per_s": events / deliver,
        "atomics_share": events / deliver / rate,
        "synapses_per_s": network.n_synapses / wired,
        "made_s": made,
        "tiles": edges.indptr.shape[0],
        "used_gb": cp.get_default_memory_pool().used_bytes() / 1e9,
    }


def seconds_of_wiring(network: Any, block: CudaBlock) -> float:
    """Time to wire and transpose on the device."""
    import cupy as cp

    from dtbdask.sim import cuda_edges

    features = block.coefficients.features
    block.edges = block._edges = None
    block._graphs.clear()
    cp.get_default_memory_pool().free_all_blocks()
    times = []
    for _ in range(2):
        start = time.perf_counter()
        cuda_edges.collect(network, block.spec.ranges, features)
        cp.cuda.Device().synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="connectome; else a synthetic one of 90 regions")
    parser.add_argument("--folder", default="/tmp/dtbdask-gpu", help="of the networks")
    parser.add_argument("--large", action="store_true", help="also what needs 80 GB")
    parser.add_argument("--only", nargs="*", help="names of networks")
    parser.add_argument("--no-tests", action="store_true")
    parser.add_argument("--json", help="write all figures there")
    given = parser.parse_args()
    quiet()
    cuda.load_cupy()
    if not given.no_tests:
        subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests"], check=True)
    brain = read_connectome(given.data) if given.data else synthetic_connectome(90)
    folder = Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    bandwidth = copy_bandwidth()
    print(f"{cuda.device_name()}, copy {bandwidth / 1e12:.2f} TB/s")
    print(
        f"{'network':>14} {'s/bio-s':>8} {'Hz':>6} {'update ms':>9} {'of copy':>7} "
        f"{'deliver ms':>10} {'events/s':>9} {'of atomics':>10} {'wired/s':>8} {'made s':>7} {'tiles':>5} {'GB':>6}"
    )
    found = []
    for name in given.only or (SIZES | LARGE if given.large else SIZES):
        f = figures(brain, folder, name, bandwidth)
        found.append(f)
        print(
            f"{name:>14} {f['s_per_bio_s']:8.4f} {f['rate_hz']:6.2f} {f['update_ms']:9.4f} "
            f"{f['update_bandwidth_share']:7.0%} {f['deliver_ms']:10.4f} {f['events_per_s']:9.2e} "
            f"{f['atomics_share']:10.0%} {f['synapses_per_s']:8.1e} {f['made_s']:7.2f} "
            f"{f['tiles']:5d} {f['used_gb']:6.1f}",
            flush=True,
        )
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
