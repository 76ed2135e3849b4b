"""The worker half of a session: live gangs at home on Dask workers.

A gang lives between tasks in a worker plugin, under an id made of its session's run id and its
place in the session. Tasks find it by that id: one that was moved to another worker, or repeated
for a session that is over, finds nothing and says so instead of waiting for peers that do not know
it, or of advancing a gang that is not its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from dtbdask.errors import LostError
from dtbdask.graph.partition import Partition
from dtbdask.sim.exchange import Meeting
from dtbdask.sim.exchange_choice import opened
from dtbdask.sim.gang import Gang
from dtbdask.sim.grid import Grid, Routes
from dtbdask.sim.spec import BlockSpec


class Home(WorkerPlugin):
    """Live gangs and connections of one worker, by gang id."""

    name = "dtbdask"
    idempotent = True

    def __init__(self) -> None:
        self.gangs: dict[str, Gang] = {}
        self.exchanges: dict[str, Meeting] = {}
        self._busy: set[str] = set()
        self._left: set[str] = set()

    def setup(self, worker: Worker) -> None:
        """Begin empty: what another worker holds does not travel."""
        self.gangs, self.exchanges = {}, {}

    def teardown(self, worker: Worker) -> None:
        """Close everything with the worker."""
        for gang_id in list(self.exchanges):
            self.leave(gang_id)

    @contextmanager
    def at_work(self, gang_id: str) -> Iterator[None]:
        """Be in a task of a gang; one that is to leave meanwhile is closed at its end."""
        self._busy.add(gang_id)
        try:
            yield
        finally:
            self._busy.discard(gang_id)
            if gang_id in self._left:
                self._close(gang_id)

    def leave(self, gang_id: str) -> None:
        """Have a gang stop, from any thread, and close it when it is in no task."""
        self._left.add(gang_id)
        for held in (self.gangs, self.exchanges):
            if (one := held.get(gang_id)) is not None:
                one.leave()
        if gang_id not in self._busy:
            self._close(gang_id)

    def _close(self, gang_id: str) -> None:
        """Close a gang and its exchange, as far as they are here."""
        self._left.discard(gang_id)
        for held in (self.gangs, self.exchanges):
            if (one := held.pop(gang_id, None)) is not None:
                one.close()


def listen(
    gang_id: str, exchange: str, rank: int, size: int, token: bytes, timeout: float,
    dask_worker: Worker,
) -> tuple[Any, ...]:  # fmt: skip
    """Open this worker's end of the exchange; runs on the worker's event loop."""
    home = _home(dask_worker)
    home.exchanges[gang_id] = opened(
        exchange, rank, size, token, timeout, dask_worker.ip, dask_worker.security
    )
    return home.exchanges[gang_id].address


def leave(gang_id: str, dask_worker: Worker) -> None:
    """Have this worker's gang stop, and close it; runs on the worker's event loop."""
    _home(dask_worker).leave(gang_id)


def gather(
    gang_id: str, spec: BlockSpec, addresses: list[tuple[Any, ...]], partition: Partition, row: int
) -> None:
    """Make the block of this worker live and meet the others; with `row`, those of its grid."""
    home = _home(get_worker())
    with home.at_work(gang_id):
        exchange = _mine(home.exchanges, gang_id)
        gang = Gang([spec], [Grid(exchange, row) if row else exchange], partition)
        if partition.n_blocks > 1:
            met = Routes(exchange.size, row).neighbours(exchange.rank) if row else None
            exchange.connect(addresses, met)
        gang.introduce()
        home.gangs[gang_id] = gang


def call(gang_id: str, method: str, *arguments: Any) -> Any:
    """Call a method of this worker's gang."""
    home = _home(get_worker())
    with home.at_work(gang_id):
        return getattr(_mine(home.gangs, gang_id), method)(*arguments)


def _home(worker: Worker) -> Home:
    home = worker.plugins.setdefault(Home.name, Home())  # perhaps it has not come yet
    assert isinstance(home, Home)
    return home


def _mine(held: dict[str, Any], gang_id: str) -> Any:
    try:
        return held[gang_id]
    except KeyError:
        where = get_worker().address
        raise LostError(
            f"worker {where} has no gang {gang_id}: the worker that had it was lost"
        ) from None
