"""Telling how far long work has come: bars in a terminal or notebook, plain lines in a log.

The library says `with track("Wiring", total) as step: step(1)` and knows nothing of displays. What
is shown follows the configuration value `dtbdask.progress`: `"auto"` (a bar where somebody is
looking, log lines elsewhere), `"bar"`, `"log"` or `"off"`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dtbdask import config
from dtbdask.errors import InputError

logger = logging.getLogger(__name__)

LOG_EVERY_S = 5.0
"""Seconds between two log lines of the same task."""

Step = Callable[[float], None]


@contextmanager
def track(title: str, total: float, unit: str = "") -> Iterator[Step]:
    """Show the progress of one task.

    Parameters
    ----------
    title : str
        What is being done.
    total : float
        Amount of work, in `unit`.
    unit : str
        Unit of the amount, shown beside it.

    Yields
    ------
    step : callable
        `step(amount)` adds to the work done.
    """
    style = config.get("progress")
    if style == "auto":
        style = "bar" if sys.stderr.isatty() or _in_notebook() else "log"
    match style:
        case "bar":
            shown = _bar(title, total, unit)
        case "log":
            shown = _log(title, total, unit)
        case "off":
            shown = _off()
        case _:
            raise InputError(f"dtbdask.progress is {style!r}; use 'auto', 'bar', 'log' or 'off'")
    with shown as step:
        yield step


def _in_notebook() -> bool:
    kernel = sys.modules.get("ipykernel")
    return kernel is not None


@contextmanager
def _bar(title: str, total: float, unit: str) -> Iterator[Step]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    amount = TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + unit)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), amount)
    console = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bars:
        task = bars.add_task(title, total=total)
        yield lambda amount: bars.advance(task, amount)


@contextmanager
def _log(title: str, total: float, unit: str) -> Iterator[Step]:
    start = last = time.monotonic()
    done = 0.0

    def step(amount: float) -> None:
        nonlocal done, last
        done += amount
        now = time.monotonic()
        if now - last >= LOG_EVERY_S and done < total:
            last = now
            logger.info("%s: %s of %s %s", title, f"{done:,.0f}", f"{total:,.0f}", unit)

    yield step
    logger.info("%s: done, %.1f s", title, time.monotonic() - start)


@contextmanager
def _off() -> Iterator[Step]:
    yield lambda amount: None
