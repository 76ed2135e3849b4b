"""An ensemble divided among two workers beside one on one worker, and beside what the machine can.

Three things run in turn, again and again: the whole ensemble on a worker, the same divided among
two, and two copies of the whole, each on a worker of its own, at the same time. Nothing is
exchanged in any. Two cores that others use, or that share a memory, do less than twice the work of
one: the copies tell how much, and members that scale perfectly take half of their time.

python -m benchmarks.ensembles
"""

from __future__ import annotations

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks.networks import DEGREE, VOXELS, quiet
from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.cluster import connect
from dtbdask.graph.build import build
from dtbdask.sim.session import Session

NEURONS, MEMBERS, STEPS, ROUNDS = 50_000, 4, 300, 15


def _stay(core: int) -> None:
    """Have a worker stay on a core, with all its threads."""
    cores = sorted(os.sched_getaffinity(0))
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {cores[core % len(cores)]})


def main() -> None:
    """Print a table."""
    quiet()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        brain = synthetic_connectome(VOXELS)
        network = build(brain, f"{folder}/net.zarr", neurons=NEURONS, degree=DEGREE, seed=1)

        def session(*cores: int) -> Any:
            client = stack.enter_context(connect("local", workers=len(cores)))
            workers = client.scheduler_info(n_workers=-1)["workers"]
            for core, where in zip(cores, workers, strict=True):
                client.run(_stay, core, workers=[where])
            return stack.enter_context(Session(network, client, seed=1, members=MEMBERS))

        alone, copy, divided = session(0), session(1), session(0, 1)
        ways = {"one worker": [alone], "two workers": [divided], "two copies": [alone, copy]}
        took: dict[str, list[float]] = {name: [] for name in ways}
        with ThreadPoolExecutor(2) as pool:
            for _ in range(ROUNDS + 1):
                for name, sessions in ways.items():
                    begun = time.perf_counter()
                    list(pool.map(lambda one: one.advance(STEPS), sessions))
                    took[name].append((time.perf_counter() - begun) / STEPS * 1000)
    rounds = np.array(list(took.values()))[:, 1:]  # the first warms up
    one, two, copies = np.median(rounds, axis=1)
    faster, can = np.median(rounds[0] / rounds[1]), np.median(2 * rounds[0] / rounds[2])
    print("| what runs | ms a step |\n|---|---|")
    print(f"| {MEMBERS} members on one worker | {one:.2f} |")
    print(f"| the same on two | {two:.2f} |")
    print(f"| two copies at once, a worker each | {copies:.2f} |")
    share = np.median(rounds[2] / rounds[1]) / 2
    print(f"\n{faster:.2f} times as fast, where the machine can {can:.2f}: {share:.2f} of perfect")


if __name__ == "__main__":
    main()
