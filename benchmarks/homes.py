"""Where a block lives: in a thread of a Dask worker, or in a process of its own beside it.

The swaps of two blocks, again and again in turn: by two threads of tasks in two Dask workers, whose
event loops and heartbeats go on meanwhile, and by two processes beside these workers, which have
nothing to do then. The tail decides: who waits for the slowest of many waits for it.

python -m benchmarks.homes
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from distributed import get_worker
from numpy.typing import NDArray

from benchmarks.bench_exchange import certificates, end_of, swaps, timed
from dtbdask.cluster import connect

HOMES, ROUNDS, N_IDS = ("worker", "process"), 12, 100
SWAPS = {"march": 100_000, "shm": 20_000, "tcp": 20_000, "tls": 20_000}
"""How many of each kind in a round: a second or so."""
AT = 50, 99, 99.9
"""Percentiles."""


def in_workers(client: Any, exchange: str) -> NDArray[np.float64]:
    """Time of each swap between two workers, at rank 0, us: (step,) float64."""
    where = sorted(client.scheduler_info(n_workers=-1)["workers"])[:2]
    given = exchange, 2, secrets.token_bytes(32), certificates(exchange)

    def each(function: Any, *arguments: Any) -> Any:
        return client.gather([
            client.submit(function, rank, *arguments, workers=[at], pure=False)
            for rank, at in enumerate(where)
        ])  # fmt: skip

    addresses = each(_open, *given)
    return each(_swap, exchange, addresses, SWAPS[exchange])[0]


def _open(rank: int, *given: Any) -> Any:
    vars(get_worker())["end"] = end = end_of(rank, *given)
    return end.address


def _swap(rank: int, exchange: str, addresses: list[Any], n_steps: int) -> Any:
    return timed(vars(get_worker()).pop("end"), exchange, addresses, N_IDS, n_steps)


def main() -> None:
    """Print a table."""
    found: dict[tuple[str, str], list[Any]] = {}
    with connect("local", workers=2) as client:
        for _ in range(ROUNDS):
            for exchange in SWAPS:
                for home in HOMES:
                    took = (
                        in_workers(client, exchange)
                        if home == "worker"
                        else swaps(exchange, 2, N_IDS, SWAPS[exchange])
                    )
                    found.setdefault((exchange, home), []).append(np.percentile(took, AT))
    print("| exchange | home | median, us | 99 %, us | 99.9 %, us |\n|---|---|---|---|---|")
    for (exchange, home), rounds in found.items():
        cells = " | ".join(f"{value:.1f}" for value in np.median(rounds, axis=0))
        print(f"| {exchange} | {home} | {cells} |")


if __name__ == "__main__":
    main()
