"""What counts as the loss of a worker, which workers answer, and waiting for those that may not.

A worker that died is gone from the scheduler's list within milliseconds. One that hangs stays on
it, and whoever waits for its answer waits for ever; so nothing here waits without looking up. Nor
for ever for the scheduler, which may hang itself: the gangs need it only between two windows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future as Going
from queue import Empty, SimpleQueue
from typing import Any

from dask.utils import parse_timedelta

from dtbdask import config
from dtbdask.errors import ExchangeError, LostError, SchedulerError, SessionError

logger = logging.getLogger(__name__)

BEAT_S = 0.2
"""Seconds between two looks at what may have happened meanwhile."""
ANSWER_S = 2.0
"""Seconds that a worker may take to answer while a run waits for it to be told lost."""


def is_loss(error: BaseException) -> bool:
    """Whether an error is the loss of a worker or of a peer, which others can make good."""
    from distributed import CancelledError
    from distributed.comm.core import CommClosedError
    from distributed.scheduler import KilledWorker, NoValidWorkerError

    kinds = (ExchangeError, LostError, CancelledError, CommClosedError, KilledWorker,
             NoValidWorkerError)  # fmt: skip
    return isinstance(error, kinds)


def timeout() -> float:
    """Seconds that any one wait may take: `dtbdask.session.timeout`."""
    seconds = parse_timedelta(config.get("session.timeout"))
    if seconds is None or seconds <= 0:
        raise SessionError("dtbdask.session.timeout must be a positive time, such as '60 s'")
    return float(seconds)


def check_scheduler(client: Any) -> None:
    """Refuse to wait for a scheduler that is gone."""
    if client.status != "running":
        raise SchedulerError("the scheduler of the cluster was lost")


def silent(seconds: float) -> SchedulerError:
    """What is raised for a scheduler that hangs."""
    return SchedulerError(f"the scheduler of the cluster does not answer, for {seconds:g} s")


def answered(client: Any, made: Coroutine[Any, Any, Any], patience: float | None = None) -> Any:
    """What the scheduler answers to a coroutine on the client's event loop, in time.

    Parameters
    ----------
    client : distributed.Client
    made : coroutine
    patience : float, optional
        Seconds that it may take; by default `dtbdask.session.timeout`.
    """
    seconds, begun = patience or timeout(), time.monotonic()

    def check() -> None:
        check_scheduler(client)
        if time.monotonic() - begun > seconds:
            raise silent(seconds)

    return patiently(client, made, check)


def patiently(client: Any, made: Coroutine[Any, Any, Any], check: Callable[[], None]) -> Any:
    """Result of a coroutine on the client's event loop; `check` may end the wait by an error."""
    going = _begin(client, made)
    try:
        while True:
            try:
                return going.result(BEAT_S)
            except TimeoutError:
                if going.done():
                    raise
                check()
    finally:
        going.cancel()


def as_ended(futures: Sequence[Any], check: Callable[[], None]) -> Iterator[Any]:
    """Futures as they end, in whatever way; `check` may end the wait by an error."""
    ended: SimpleQueue[Any] = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    left = len(futures)
    while left:
        try:
            future = ended.get(timeout=BEAT_S)
        except Empty:
            check()
            continue
        left -= 1
        yield future


def ask(
    client: Any, function: Callable[..., Any], given: Mapping[str, tuple[Any, ...]],
    patience: float,
) -> dict[str, Any]:  # fmt: skip
    """What a function returns on the event loops of some workers, by those that answer in time.

    Parameters
    ----------
    client : distributed.Client
    function : callable
    given : mapping of address to arguments
    patience : float
        Seconds that a worker may take.
    """
    made = _asking(client, function, given, patience)
    answers: dict[str, Any] = patiently(client, made, lambda: check_scheduler(client))
    return answers


def tell(client: Any, function: Callable[..., Any], given: Mapping[str, tuple[Any, ...]]) -> None:
    """Have a function called on the event loops of some workers, as `ask`; wait for no answer.

    A scheduler that does not answer passes it on when it does again.
    """

    async def told() -> None:
        await asyncio.gather(*(
            client.run(function, *arguments, workers=[where], asynchronous=True)
            for where, arguments in given.items()
        ), return_exceptions=True)  # fmt: skip

    _begin(client, told())


def listed(client: Any) -> dict[str, Any]:
    """What the scheduler knows of the workers, be they hanging, by their addresses."""
    check_scheduler(client)
    told: dict[str, Any] = answered(client, client.scheduler.identity(n_workers=-1))["workers"]
    return told


def answering(client: Any, patience: float | None = None) -> list[str]:
    """Addresses of the workers of a cluster that answer, sorted; others are told.

    Parameters
    ----------
    client : distributed.Client
    patience : float, optional
        Seconds that one may take; by default `dtbdask.session.timeout`.
    """
    known = listed(client)
    there = ask(client, os.getpid, dict.fromkeys(known, ()), patience or timeout())
    for missing in sorted(set(known) - set(there)):
        logger.warning("worker %s does not answer; it is left out", missing)
    return sorted(there)


class Lookout:
    """Looks up while tasks run: the scheduler may go, and workers may hang.

    Parameters
    ----------
    client : distributed.Client
    where : list of str
        Addresses of the workers.
    """

    def __init__(self, client: Any, where: list[str]) -> None:
        self._client, self._where = client, where
        self._patience, self._last = timeout(), time.monotonic()
        self._asked: Going[tuple[dict[str, Any], bool]] | None = None

    def __call__(self) -> None:
        """Ask all workers for an answer, once in `dtbdask.session.timeout`, and wait for none."""
        check_scheduler(self._client)
        if self._asked is None:
            if time.monotonic() - self._last > self._patience:
                made = _looking(self._client, self._where, self._patience)
                self._asked = _begin(self._client, made)
        elif self._asked.done():
            answers, scheduler_answers = self._asked.result()
            if not answers and not scheduler_answers:
                raise silent(self._patience)
            if missing := sorted(set(self._where) - set(answers)):
                raise LostError(f"worker {', '.join(missing)} was lost: it does not answer")
            self._asked, self._last = None, time.monotonic()


def _begin(client: Any, made: Coroutine[Any, Any, Any]) -> Going[Any]:
    return asyncio.run_coroutine_threadsafe(made, client.loop.asyncio_loop)


async def _looking(client: Any, where: list[str], patience: float) -> tuple[dict[str, Any], bool]:
    """Which workers answer, and whether the scheduler does, by which they are asked."""

    async def scheduler() -> bool:
        try:
            await asyncio.wait_for(client.scheduler.identity(n_workers=0), patience)
        except OSError as error:  # a timeout is one
            logger.debug("the scheduler does not answer: %r", error)
            return False
        return True

    asked = _asking(client, os.getpid, dict.fromkeys(where, ()), patience)
    answers, there = await asyncio.gather(asked, scheduler())
    return answers, there


async def _asking(
    client: Any, function: Callable[..., Any], given: Mapping[str, tuple[Any, ...]],
    patience: float,
) -> dict[str, Any]:  # fmt: skip
    answers: dict[str, Any] = {}

    async def one(where: str, arguments: tuple[Any, ...]) -> None:
        run = client.run(function, *arguments, workers=[where], asynchronous=True)
        try:
            answers[where] = (await asyncio.wait_for(run, patience))[where]
        except OSError as error:  # a timeout is one
            logger.debug("worker %s does not answer: %r", where, error)

    await asyncio.gather(*(one(*of) for of in given.items()))
    return answers
