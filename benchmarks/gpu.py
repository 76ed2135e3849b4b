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
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from networks import quiet

from dtbdask.brain.connectome import read_connectome
from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.graph.build import build
from dtbdask.kernels import cuda
from dtbdask.sim.cuda_block import CudaBlock
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec

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


WAIT = """
extern "C" __global__ void wait(long long cycles) {
    const long long begin = clock64();
    while (clock64() - begin < cycles) {}
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


def halves(block: CudaBlock, steps: int = 48) -> tuple[float, float, float]:
    """Median seconds of a delivery and of a neuron update as they follow each other, and events.

    The device is kept busy until all is enqueued, so that it never waits for the host.
    """
    import cupy as cp

    block._reserve(steps, logged=False)
    block._refresh(logged=False)
    block._begin_window(steps)
    events = [cp.cuda.Event() for _ in range(2 * steps + 1)]
    wait = cp.RawKernel(WAIT, "wait")
    wait((1,), (1,), (np.int64(60_000_000),))
    events[0].record()
    for j in range(steps):
        block._deliver_fired(j)
        events[2 * j + 1].record()
        block._integrate_at(j, block.spec.t_steps)
        events[2 * j + 2].record()
    events[-1].synchronize()
    ms = [cp.cuda.get_elapsed_time(x, y) for x, y in pairwise(events)]
    block._lists.end(steps, logged=False, summed=True)
    block.step_index += steps
    rows = block._lists.last()
    edges = sum(int((i[rows + 1] - i[rows]).sum(dtype=np.uint64)) for i in block.edges.indptr)
    delivered = edges / rows.size * float(block._lists._count[:steps, 0].mean())
    return statistics.median(ms[::2]) / 1e3, statistics.median(ms[1::2]) / 1e3, delivered


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
    block.advance(WARM_UP, logged=False)
    block.advance(STEPS, logged=False)
    runs, spikes = [], 0
    for _ in range(REPEATS):
        start = time.perf_counter()
        spikes = int(block.advance(STEPS, logged=False)[0].sum())
        runs.append(time.perf_counter() - start)
    state, edges = block.state, block.edges
    tiles, used = edges.indptr.shape[0], cp.get_default_memory_pool().used_bytes()
    fits = block.n_neurons * 4 * 49 < cp.cuda.runtime.memGetInfo()[0]
    deliver, update, events = halves(block) if fits else halves(block, 8)
    moved = 2 * sum(a.nbytes for a in (state.v, state.ou, *state.j, state.kick))
    moved += state.refractory.nbytes
    rate = atomic_rate(min(edges.tile_size, neurons))
    del state, edges
    wired = seconds_of_wiring(network, block)
    return {
        "recorded": recorded(network, folder, statistics.median(runs)),
        "network": name,
        "s_per_bio_s": statistics.median(runs),
        "spread": [round(run, 4) for run in runs],
        "rate_hz": spikes / neurons / (STEPS / 1000),
        "update_ms": update * 1e3,
        "update_bytes": moved,
        "of_copy": moved / update / bandwidth,
        "deliver_ms": deliver * 1e3,
        "events": events,
        "events_per_s": events / deliver,
        "of_atomics": events / deliver / rate,
        "wired_per_s": network.n_synapses / wired,
        "made_s": made,
        "tiles": tiles,
        "used_gb": used / 1e9,
    }


def recorded(network: Any, folder: Path, s_per_bio_s: float) -> float:
    """Wall clock of a biological second of a session that records rates, the end included."""
    seconds = round(max(1.0, min(100.0, 4 / s_per_bio_s)))
    with Session(network, seed=1, device="cuda") as session:
        session.run(1.0)
        start = time.perf_counter()
        session.run(seconds, record=["rate"], to=folder / "rates.zarr", overwrite=True)
        return (time.perf_counter() - start) / seconds


def seconds_of_wiring(network: Any, block: CudaBlock) -> float:
    """Time to wire and transpose on the device, in the room that the block leaves."""
    import cupy as cp

    from dtbdask.sim import cuda_edges

    features = block.coefficients.features
    block._graphs.clear()
    block.edges = block._edges = block.state = block._state = None
    times = []
    for _ in range(2):
        cp.get_default_memory_pool().free_all_blocks()
        start = time.perf_counter()
        cuda_edges.collect(network, block.spec.ranges, features)
        cp.cuda.Device().synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def contraction(brain: Any, folder: Path) -> None:
    """What exactness costs: the neuron update with multiplications and additions contracted."""
    network = build(
        brain, folder / "exact.zarr", neurons=10_000_000, degree=1, seed=1, synapses="procedural",
        overwrite=True,
    )  # fmt: skip
    found = []
    for flag in ("--fmad=false", "--fmad=true"):
        cuda._module.cache_clear()
        cuda.OPTIONS = (*cuda.OPTIONS[:-1], flag)
        found.append(halves(CudaBlock(BlockSpec.whole(network, 1, device="cuda")))[1])
    cuda._module.cache_clear()
    cuda.OPTIONS = (*cuda.OPTIONS[:-1], "--fmad=false")
    exact, fast = found
    print(f"update of 1e7 neurons: exact {exact * 1e3:.4f} ms, contracted {fast * 1e3:.4f} ms")


def beside(folder: str, neurons: int) -> None:
    """Run the scripts of other simulators on the same network, on this device, and print them."""
    for script in sorted(Path(folder).glob("bench_*_gpu.py")):
        command = [sys.executable, script.name, str(neurons)]
        try:
            ran = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=100, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"{script.name} {neurons:,}: took more than 100 s")
            continue
        lines = (ran.stdout or ran.stderr).strip().splitlines()
        print(lines[-1] if lines else f"{script.name}: no output")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="connectome; else a synthetic one of 90 regions")
    parser.add_argument("--folder", default="/tmp/dtbdask-gpu", help="of the networks")
    parser.add_argument("--large", action="store_true", help="also what needs 80 GB")
    parser.add_argument("--only", nargs="*", help="names of networks")
    parser.add_argument("--no-tests", action="store_true")
    parser.add_argument("--peers", help="folder of scripts bench_*_gpu.py, run at 1e5 and 1e6")
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
    heads = "network", "s/bio-s", "recorded", "Hz", "update ms", "of copy", "deliver ms", "events/s"
    heads += "of atomics", "wired/s", "made s", "tiles", "GB"
    widths = 14, 8, 8, 6, 9, 7, 10, 9, 10, 8, 7, 5, 6
    print(*(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)))
    found = []
    for name in given.only or (SIZES | LARGE if given.large else SIZES):
        f = figures(brain, folder, name, bandwidth)
        found.append(f)
        print(
            f"{name:>14} {f['s_per_bio_s']:8.4f} {f['recorded']:8.4f} {f['rate_hz']:6.2f} "
            f"{f['update_ms']:9.4f} "
            f"{f['of_copy']:7.0%} {f['deliver_ms']:10.4f} {f['events_per_s']:9.2e} "
            f"{f['of_atomics']:10.0%} {f['wired_per_s']:8.1e} {f['made_s']:7.2f} "
            f"{f['tiles']:5d} {f['used_gb']:6.1f}",
            flush=True,
        )
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1))
    contraction(brain, folder)
    for neurons in (100_000, 1_000_000) if given.peers else ():
        beside(given.peers, neurons)


if __name__ == "__main__":
    main()
