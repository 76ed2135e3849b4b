"""The driver's hold on the gangs: all in this process, or one on each worker of a cluster."""

from __future__ import annotations

import logging
import secrets
import uuid
from typing import Any, Protocol
from urllib.parse import urlsplit

from dask.utils import parse_timedelta

from dtbdask import config
from dtbdask.errors import InputError, SessionError, whole_number
from dtbdask.graph.partition import Partition
from dtbdask.sim.exchange_choice import chosen
from dtbdask.sim.gang import Gang
from dtbdask.sim.grid import best_row
from dtbdask.sim.spec import BlockSpec

logger = logging.getLogger(__name__)


class Crew(Protocol):
    """Something that can ask every gang the same thing; `exchange` is how its blocks are joined."""

    exchange: str

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every gang; results in the order of the blocks or members."""

    def close(self) -> None:
        """Let the gangs go."""


class Here:
    """All blocks in this process.

    Parameters
    ----------
    specs : list of BlockSpec
    partition : Partition
    exchange : {"auto"}
        What is asked for; blocks of one process need none.
    """

    def __init__(
        self, specs: list[BlockSpec], partition: Partition, exchange: str = "auto"
    ) -> None:
        self.exchange = chosen(exchange, partition.n_blocks, None, [])
        self._gang = Gang.local(specs, partition)

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of the one gang."""
        return [getattr(self._gang, method)(*arguments)]

    def close(self) -> None:
        """Free the blocks."""
        self._gang.close()


class Workers:
    """One gang of one block on each of some Dask workers.

    Parameters
    ----------
    specs : list of BlockSpec
        One for each worker.
    partition : Partition
        Its blocks are those of the specs, which exchange spikes; or it has one block, and each spec
        is a whole network with members of its own.
    client : distributed.Client
    exchange : {"auto", "shm", "tcp", "ucx"}
        What is asked for.

    Attributes
    ----------
    exchange : {"loopback", "shm", "tcp", "ucx"}
        What was taken.
    """

    def __init__(
        self, specs: list[BlockSpec], partition: Partition, client: Any, exchange: str = "auto"
    ) -> None:
        from dtbdask.sim import worker

        self._client = client
        run_id = uuid.uuid4().hex
        self._gangs = [f"{run_id}-{place}" for place in range(len(specs))]
        self._broken = ""
        self._workers = workers(client)[: len(specs)]
        if len(self._workers) < len(specs):
            raise InputError(
                f"blocks is {len(specs)}, but the cluster has {len(self._workers)} workers; "
                "use fewer blocks or add workers"
            )
        self.exchange = chosen(exchange, partition.n_blocks, client, self._workers)
        client.register_plugin(worker.Home())
        end = secrets.token_bytes(32), _timeout()
        size = partition.n_blocks
        try:
            addresses = [
                client.run(
                    worker.listen, gang, self.exchange, place % size, size, *end, workers=[where]
                )[where]
                for place, (gang, where) in enumerate(zip(self._gangs, self._workers, strict=True))
            ]
            row = _row(self.exchange, self._workers)
            self._submit(worker.gather, [(spec, addresses, partition, row) for spec in specs])
        except BaseException:
            self.close()
            raise

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of the gang of every worker."""
        from dtbdask.sim import worker

        return self._submit(worker.call, [(method, *arguments)] * len(self._workers))

    def _submit(self, function: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
        """One pinned task a worker; the first error shuts the gang down and is raised.

        A task may fall on another worker when its own is gone: it then finds no gang there and says
        so, instead of waiting for ever for a worker that does not come back.
        """
        from distributed import as_completed, wait

        if self._broken:
            raise SessionError(f"the session was lost ({self._broken}); make a new one")
        futures = [
            self._client.submit(function, gang, *given, workers=[where], pure=False,
                                allow_other_workers=True, retries=0)
            for gang, where, given in zip(self._gangs, self._workers, arguments, strict=True)
        ]  # fmt: skip
        try:
            for future in as_completed(futures):
                if future.status != "finished":
                    future.result()
            return list(self._client.gather(futures))
        except InputError:  # refused by all of them alike, before anything was changed
            wait(futures)
            raise
        except BaseException as error:
            self._broken = f"{type(error).__name__}: {error}"
            self._abort()
            wait(futures)
            raise

    def _abort(self) -> None:
        """Wake the blocks that wait for the one that failed."""
        from dtbdask.sim import worker

        alive = set(workers(self._client))
        for gang, where in zip(self._gangs, self._workers, strict=True):
            if where in alive:
                self._client.run(worker.leave, gang, workers=[where])

    def close(self) -> None:
        """Disband the gangs; the cluster stays usable."""
        from dtbdask.sim import worker

        alive = set(workers(self._client))
        futures = [
            self._client.submit(worker.disband, gang, workers=[where], pure=False)
            for gang, where in zip(self._gangs, self._workers, strict=True)
            if where in alive
        ]
        self._client.gather(futures)


def workers(client: Any) -> list[str]:
    """Addresses of the workers of a cluster, sorted."""
    return sorted(client.scheduler_info(n_workers=-1)["workers"])


def _row(exchange: str, workers: list[str]) -> int:
    """Blocks of a row of the grid over which spikes travel; 0 where each block meets all others.

    Memory that is shared has no connections to save.
    """
    least = whole_number("dtbdask.session.grid-from", config.get("session.grid-from"), 2)
    if exchange in ("loopback", "shm") or len(workers) < least:
        return 0
    return best_row([str(urlsplit(address).hostname) for address in workers])


def _timeout() -> float:
    seconds = parse_timedelta(config.get("session.timeout"))
    if seconds is None or seconds <= 0:
        raise SessionError("dtbdask.session.timeout must be a positive time, such as '60 s'")
    return float(seconds)
