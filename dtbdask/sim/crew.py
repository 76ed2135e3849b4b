"""The driver's hold on the gangs: all in this process, or one on each worker of a cluster."""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

from dtbdask import config
from dtbdask.errors import InputError, LostError, SchedulerError, SessionError, whole_number
from dtbdask.graph.partition import Partition
from dtbdask.sim.exchange import LOADING
from dtbdask.sim.exchange_choice import chosen, host
from dtbdask.sim.gang import Gang
from dtbdask.sim.grid import best_row
from dtbdask.sim.losses import (
    ANSWER_S,
    Lookout,
    answered,
    as_ended,
    ask,
    check_scheduler,
    is_loss,
    listed,
    patiently,
    tell,
    timeout,
)
from dtbdask.sim.spec import BlockSpec


class Crew(Protocol):
    """Something that can ask every gang the same thing; `exchange` is how its blocks are joined."""

    exchange: str

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every gang; results in the order of the blocks or members."""

    def cancel(self) -> None:
        """Have a call that is going on, and those after it, end with an error; from any thread."""

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
        self.exchange = chosen(exchange, partition.n_blocks, [], list)
        self._gang = Gang.local(specs, partition)

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of the one gang."""
        return [getattr(self._gang, method)(*arguments)]

    def cancel(self) -> None:
        """Have the gang stop before its next step."""
        self._gang.leave()

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
    where : list of str
        Addresses of workers that answer, of which the first are taken.
    exchange : {"auto", "shm", "tcp", "tls", "ucx"}
        What is asked for.

    Attributes
    ----------
    exchange : {"loopback", "shm", "tcp", "tls", "ucx"}
        What was taken.
    """

    def __init__(
        self,
        specs: list[BlockSpec],
        partition: Partition,
        client: Any,
        where: list[str],
        exchange: str = "auto",
    ) -> None:
        from dtbdask.sim import worker

        self._client, self._cancelled = client, threading.Event()
        run_id = uuid.uuid4().hex
        self._gangs = [f"{run_id}-{place}" for place in range(len(specs))]
        self._broken, self._given_up = "", False
        self._workers = where[: len(specs)]
        if len(self._workers) < len(specs):
            raise InputError(
                f"blocks is {len(specs)}, but the cluster has {len(self._workers)} workers; "
                "use fewer blocks or add workers"
            )
        if len(where) == len(listed(client)):  # else it would wait for those that do not answer
            answered(client, _registered(client, worker.Home()), LOADING * timeout())
        self.exchange = chosen(exchange, partition.n_blocks, self._workers, self._hosts)
        end = secrets.token_bytes(32), timeout()
        size = partition.n_blocks
        try:
            addresses = [
                self._run(worker.listen, place, self.exchange, place % size, size, *end)
                for place in range(len(specs))
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

    @property
    def workers(self) -> list[str]:
        """Addresses of the workers, in the order of the blocks or members."""
        return list(self._workers)

    def cancel(self) -> None:
        """Have whoever waits for the gangs disband them."""
        self._cancelled.set()

    def _hosts(self) -> list[str]:
        """What is the same where two workers can share memory."""
        return self._ask(host, dict.fromkeys(self._workers, ()))

    def _run(self, function: Callable[..., Any], place: int, *arguments: Any) -> Any:
        """What a function returns on the event loop of the worker of a gang."""
        (answer,) = self._ask(function, {self._workers[place]: (self._gangs[place], *arguments)})
        return answer

    def _ask(self, function: Callable[..., Any], given: dict[str, tuple[Any, ...]]) -> list[Any]:
        """What a function returns on the event loops of some workers."""
        answers = ask(self._client, function, given, timeout())
        for where in given:
            if where not in answers:
                raise LostError(f"worker {where} was lost: it does not answer")
        return [answers[where] for where in given]

    def _submit(self, function: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
        """One pinned task a worker; the first error shuts the gang down and is raised.

        A task may fall on another worker when its own is gone: it then finds no gang there and says
        so, instead of waiting for ever for a worker that does not come back.
        """
        if self._broken:
            raise SessionError(f"the session was lost ({self._broken}); make a new one")
        futures = [
            self._client.submit(function, gang, *given, workers=[where], pure=False,
                                allow_other_workers=True, retries=0)
            for gang, where, given in zip(self._gangs, self._workers, arguments, strict=True)
        ]  # fmt: skip
        look = self._lookout()
        try:
            for future in as_ended(futures, look):
                if future.status == "error":
                    future.result()
                if future.status == "cancelled":
                    check_scheduler(self._client)
                    raise LostError("a task of the session was cancelled")
            gathered = self._client.gather(futures, asynchronous=True)
            return list(patiently(self._client, gathered, look))
        except InputError:  # refused by all of them alike, before anything was changed
            for _ in as_ended(futures, look):
                pass
            raise
        except BaseException as error:
            self._broken = f"{type(error).__name__}: {error}"
            if isinstance(error, SchedulerError):
                self._give_up()
                raise
            graver = self._settle(futures)
            if graver is not None and is_loss(error):
                raise graver from error
            raise

    def _lookout(self) -> Callable[[], None]:
        lookout = Lookout(self._client, self._workers)

        def look() -> None:
            if self._cancelled.is_set():
                raise SessionError("cancelled")
            lookout()

        return look

    def _settle(self, futures: Sequence[Any]) -> BaseException | None:
        """Disband the gangs, and wait until their tasks have ended on all workers that answer.

        Returns an error that is no loss, if a task ended with one.
        """
        with suppress(SchedulerError):  # nothing is left to wait for
            while True:
                there = self._disband()
                held = zip(futures, self._workers, strict=True)
                left = [f for f, where in held if f.status == "pending" and where in there]
                if not left:
                    break
                _wait(left, ANSWER_S)
            self._client.cancel([future for future in futures if future.status == "pending"])
        errors = [future.exception() for future in futures if future.status == "error"]
        return next((error for error in errors if not is_loss(error)), None)

    def _disband(self) -> list[str]:
        """Have all gangs leave; a worker that does not answer hears of it when it does again."""
        from dtbdask.sim import worker

        held, known = zip(self._workers, self._gangs, strict=True), listed(self._client)
        given = {where: (gang,) for where, gang in held if where in known}
        return list(ask(self._client, worker.leave, given, ANSWER_S))

    def _give_up(self) -> None:
        """Have all gangs leave as soon as the scheduler answers again, and wait for none."""
        from dtbdask.sim import worker

        self._given_up = True
        if self._client.status == "running":
            given = {w: (gang,) for w, gang in zip(self._workers, self._gangs, strict=True)}
            tell(self._client, worker.leave, given)

    def close(self) -> None:
        """Disband the gangs; the cluster stays usable."""
        if self._client.status == "running" and not self._given_up:
            try:
                self._disband()
            except SchedulerError:
                self._give_up()


async def _registered(client: Any, plugin: Any) -> None:
    """Have every worker get a plugin."""
    await client.register_plugin(plugin)


def _wait(futures: Sequence[Any], seconds: float) -> None:
    """Until they have ended, or so long."""
    until = time.monotonic() + seconds

    def look() -> None:
        if time.monotonic() > until:
            raise TimeoutError

    with suppress(TimeoutError):
        for _ in as_ended(futures, look):
            pass


def _row(exchange: str, workers: list[str]) -> int:
    """Blocks of a row of the grid over which spikes travel; 0 where each block meets all others.

    Memory that is shared has no connections to save.
    """
    least = whole_number("dtbdask.session.grid-from", config.get("session.grid-from"), 2)
    if exchange in ("loopback", "shm") or len(workers) < least:
        return 0
    return best_row([str(urlsplit(address).hostname) for address in workers])
