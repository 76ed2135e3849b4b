"""A network larger than memory: built under a cap, killed half-way, resumed, and still the same.

    python benchmarks/out_of_core.py                  # 2e9 synapses, some 11 GB of disk
    python benchmarks/out_of_core.py --neurons 2e5    # 2e7, as in CI

A build of its own process is killed when half of the chunks are there, and the same command is run
again. The memory of the whole process tree is polled all the while. Then the content hash is
compared with that of a build in other chunks that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

POLL_S = 0.02


def build(path: Path, neurons: float, degree: int, chunk: int) -> None:
    """The build that is watched; runs in a process of its own."""
    from dtbdask.brain.synthetic import synthetic_connectome
    from dtbdask.graph.build import build as build_network

    build_network(synthetic_connectome(), path, neurons=neurons, degree=degree, seed=1, chunk=chunk)


def tree_memory(process: psutil.Process) -> int:
    """Resident bytes of a process and all below it."""
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def watched(path: Path, arguments: list[str], *, kill_at: int | None = None) -> tuple[float, int]:
    """Run a build, kill it when so many chunks are there; seconds and peak bytes of the tree."""
    start, peak = time.perf_counter(), 0
    command = [sys.executable, __file__, "--build", str(path), *arguments]
    with subprocess.Popen(command) as child:
        process = psutil.Process(child.pid)
        folder = path / "synapse" / "source" / "c"
        while child.poll() is None:
            try:
                peak = max(peak, tree_memory(process))
            except psutil.NoSuchProcess:
                break
            if kill_at and folder.exists() and sum(1 for _ in folder.iterdir()) >= kill_at:
                child.send_signal(signal.SIGKILL)
            time.sleep(POLL_S)
    if child.returncode != (-signal.SIGKILL if kill_at else 0):
        raise SystemExit(f"the build ended with {child.returncode}")
    return time.perf_counter() - start, peak


def prove(folder: Path, neurons: float, degree: int, chunk: int, other: int) -> dict[str, float]:
    """Figures of the interrupted build, beside those of the undisturbed one in other chunks."""
    from dtbdask.graph.checking.digest import digest
    from dtbdask.graph.network import open_network

    size = ["--neurons", str(neurons), "--degree", str(degree)]
    n_chunks = -(-int(neurons * degree) // chunk)
    broken = folder / "broken.zarr"
    first, peak_first = watched(broken, [*size, "--chunk", str(chunk)], kill_at=n_chunks // 2)
    there = len(list((broken / "synapse" / "source" / "c").iterdir()))
    second, peak_second = watched(broken, [*size, "--chunk", str(chunk)])
    network = open_network(broken)
    figures = {
        "neurons": network.n_neurons, "synapses": network.n_synapses,
        "chunks": n_chunks, "chunks_when_killed": there,
        "seconds": first + second, "synapses_per_second": network.n_synapses / (first + second),
        "peak_memory_bytes": max(peak_first, peak_second),
        "bytes_on_disk": sum(f.stat().st_size for f in broken.rglob("*") if f.is_file()),
    }  # fmt: skip
    hashed = digest(network)
    shutil.rmtree(broken)
    whole = folder / "whole.zarr"
    seconds, peak = watched(whole, [*size, "--chunk", str(other)])
    figures |= {"seconds_undisturbed": seconds, "peak_memory_undisturbed_bytes": peak}
    same = digest(open_network(whole)) == hashed
    if not same:
        raise SystemExit("the resumed network differs from the undisturbed one")
    return {**figures, "same_content": same}


def main() -> None:
    """Parse the command line and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=float, default=2e7)
    parser.add_argument("--degree", type=int, default=100)
    parser.add_argument("--chunk", type=int, default=2_796_202)
    parser.add_argument("--other-chunk", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="Where to write; removed again.")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.build:
        build(given.build, given.neurons, given.degree, given.chunk)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        print(json.dumps(prove(Path(folder), given.neurons, given.degree, given.chunk,
                               given.other_chunk), indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
