"""One swap of spikes among processes of this machine: median and 99th percentile.

Of the quietest of some repeats: a machine that others share has loud ones. "march" is shared memory
as blocks use it that march: all swaps are made in one call of a kernel.

python -m benchmarks.bench_exchange
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import secrets
import time
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask.kernels import cpu_mailbox as mailbox
from dtbdask.kernels.cpu_machine import now
from dtbdask.sim.exchange_choice import opened

EXCHANGES, PROCESSES, IDS = ("march", "shm", "tcp", "ucx"), (2, 4), (16, 1000)
WARM_UP, STEPS, REPEATS, TIMEOUT = 500, 1000, 10, 60.0


def latencies(exchange: str, processes: int, n_ids: int) -> NDArray[np.float64]:
    """Time of each swap of the quietest repeat at rank 0, us: (step,) float64."""
    spawn = multiprocessing.get_context("spawn")
    token, pipes = secrets.token_bytes(32), [spawn.Pipe() for _ in range(processes)]
    ranks = [
        spawn.Process(target=_swap, args=(exchange, rank, processes, token, far, n_ids))
        for rank, (_, far) in enumerate(pipes)
    ]
    for process in ranks:
        process.start()
    for _, far in pipes:
        far.close()  # so that a process that ends is heard
    addresses = [near.recv() for near, _ in pipes]
    for near, _ in pipes:
        near.send(addresses)
    found = [near.recv() for near, _ in pipes]
    for process in ranks:
        process.join()
    repeats = found[0][WARM_UP:].reshape(REPEATS, STEPS)
    return repeats[np.argmin(np.median(repeats, axis=1))]


def _swap(exchange: str, rank: int, size: int, token: bytes, pipe: Any, n_ids: int) -> None:
    march = exchange == "march"
    end: Any = opened("shm" if march else exchange, rank, size, token, TIMEOUT, "127.0.0.1")
    pipe.send(end.address)
    end.connect(pipe.recv())
    ids = [np.arange(n_ids, dtype=np.uint32) for _ in range(size)]
    took = np.empty(WARM_UP + REPEATS * STEPS)
    if march:
        box = end.reserve(np.full(size, n_ids))._replace(outgoing=ids[0])
        for n, of in ((0, took[:0]), (n_ids, took)):  # the first compiles
            _march(of, n, *box)
    for step in range(0 if march else took.size):
        start = time.perf_counter()
        end.post(step, ids)
        end.wait(step)
        took[step] = time.perf_counter() - start
    pipe.send(took * 1e6)
    end.close()


@njit
def _march(
    took: Any, n_ids: int, board: Any, rings: Any, outgoing: Any, inbox: Any, me: int, mask: int
) -> None:
    """Time swaps of `n_ids` with each peer, s."""
    for step in range(took.size):
        start = now()
        for peer in range(rings.shape[1]):
            rings[0, peer, mailbox.PLACE] = 0
            rings[0, peer, mailbox.N_IDS] = n_ids if peer != me else -1
        mailbox.begin(board, rings, outgoing, inbox, me, step, mask)
        mailbox.wait(board, rings, outgoing, inbox, me, step, mask, 10**12)
        took[step] = (now() - start) * 1e-9


def _there(exchange: str) -> bool:
    return exchange != "ucx" or importlib.util.find_spec("ucxx") is not None


class Swap:
    """All blocks post and wait, with nothing between."""

    params = (EXCHANGES, PROCESSES, IDS)
    param_names = ("exchange", "processes", "ids")
    timeout = 120

    def setup(self, exchange: str, processes: int, n_ids: int) -> None:
        if not _there(exchange):
            raise NotImplementedError  # asv leaves it out

    def track_median(self, exchange: str, processes: int, n_ids: int) -> float:
        return float(np.median(latencies(exchange, processes, n_ids)))

    def track_99th_percentile(self, exchange: str, processes: int, n_ids: int) -> float:
        return float(np.percentile(latencies(exchange, processes, n_ids), 99))

    track_median.unit = track_99th_percentile.unit = "us"


def main() -> None:
    """Print a table."""
    print("| exchange | processes | ids | median, us | 99 %, us |\n|---|---|---|---|---|")
    for exchange in filter(_there, EXCHANGES):
        for processes in PROCESSES:
            for n_ids in IDS:
                took = latencies(exchange, processes, n_ids)
                cells = f"{np.median(took):.1f} | {np.percentile(took, 99):.0f}"
                print(f"| {exchange} | {processes} | {n_ids} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
