"""The worker half of a session: live gangs at home on Dask workers.

A gang lives between tasks in a worker plugin, under the run id of its session. Tasks find it by
that id: one that was moved to another worker, or repeated for a session that is over, finds nothing
and says so instead of waiting for peers that do not know it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from distributed import Worker, WorkerPlugin, get_worker
from numpy.typing import NDArray

from dtbdask.errors import SessionError
from dtbdask.sim.block import BlockSpec
from dtbdask.sim.exchange import Tcp
from dtbdask.sim.gang import Gang


class Home(WorkerPlugin):
    """Live gangs and connections of one worker, by run id."""

    name = "dtbdask"
    idempotent = True

    def __init__(self) -> None:
        self.gangs: dict[str, Gang] = {}
        self.exchanges: dict[str, Tcp] = {}

    def setup(self, worker: Worker) -> None:
        """Begin empty: what another worker holds does not travel."""
        self.gangs, self.exchanges = {}, {}

    def teardown(self, worker: Worker) -> None:
        """Close everything with the worker."""
        for run_id in list(self.exchanges):
            self.leave(run_id)

    def leave(self, run_id: str) -> None:
        """Shut the connections of a session; its task, if it waits, ends with an error."""
        exchange = self.exchanges.pop(run_id, None)
        if exchange is not None:
            exchange.close()


def listen(
    run_id: str, rank: int, size: int, token: bytes, timeout: float, dask_worker: Worker
) -> tuple[str, int]:
    """Open this worker's end of the exchange; runs on the worker's event loop."""
    home = _home(dask_worker)
    home.exchanges[run_id] = Tcp(rank, size, token, dask_worker.ip, timeout)
    return home.exchanges[run_id].address


def leave(run_id: str, dask_worker: Worker) -> None:
    """Shut a session's connections; runs on the worker's event loop."""
    _home(dask_worker).leave(run_id)


def gather(
    run_id: str, spec: BlockSpec, addresses: list[tuple[str, int]], bounds: NDArray[np.int64]
) -> None:
    """Make the block of this worker live and meet the others."""
    home = _home(get_worker())
    exchange = _mine(home.exchanges, run_id)
    gang = Gang([spec], [exchange], bounds)
    if bounds.size > 2:
        exchange.connect(addresses)
    gang.introduce()
    home.gangs[run_id] = gang


def call(run_id: str, method: str, *arguments: Any) -> Any:
    """Call a method of this worker's gang."""
    home = _home(get_worker())
    return getattr(_mine(home.gangs, run_id), method)(*arguments)


def disband(run_id: str) -> None:
    """Close this worker's gang."""
    home = _home(get_worker())
    gang = home.gangs.pop(run_id, None)
    if gang is not None:
        gang.close()
    home.leave(run_id)


def _home(worker: Worker) -> Home:
    home = worker.plugins[Home.name]
    assert isinstance(home, Home)
    return home


def _mine(held: dict[str, Any], run_id: str) -> Any:
    try:
        return held[run_id]
    except KeyError:
        where = get_worker().address
        raise SessionError(
            f"worker {where} holds no block of session {run_id}: it was lost"
        ) from None
