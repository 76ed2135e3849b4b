"""Getting a cluster: the one line of a script that changes between a laptop and a machine room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask

from dtbdask.errors import InputError, InputFileError, SessionError

CONFIGURATION = {
    "distributed.deploy.lost-worker-timeout": "10m",  # a worker that restarts keeps its place
    "distributed.scheduler.no-workers-timeout": "60s",  # a task whose worker is gone must end
    "distributed.worker.daemon": True,
}


@contextmanager
def connect(
    where: str = "local", *, workers: int = 2, threads: int = 1, processes: bool = True
) -> Iterator[Any]:
    """Start a cluster on this machine, or connect to one.

    Parameters
    ----------
    where : str
        `"local"` starts worker processes on this machine; anything with `://` is the address of a
        scheduler, and a path that ends in `.json` its scheduler file.
    workers : int
        Worker processes of a local cluster; a session puts one block on each.
    threads : int
        Threads of each of them, for builds; a session's blocks have threads of their own.
    processes : bool
        False keeps the workers of a local cluster in this process.

    Yields
    ------
    distributed.Client
        Everything started here listens on the loopback interface only and ends with the context.

    Raises
    ------
    InputError
        `where` is nothing known, or a number is below one.
    """
    from distributed import Client, LocalCluster

    if where == "local":
        for name, value in (("workers", workers), ("threads", threads)):
            if value < 1:
                raise InputError(f"{name} is {value}; expected at least 1")
        with (
            dask.config.set(CONFIGURATION),
            LocalCluster(
                n_workers=workers, threads_per_worker=threads, processes=processes,
                host="127.0.0.1",
                protocol="tcp", dashboard_address="127.0.0.1:0", silence_logs=40,
            ) as cluster,
            Client(cluster) as client,
        ):  # fmt: skip
            yield client
    elif "://" in where:
        with _reach(address=where) as client:
            yield client
    elif where.endswith(".json"):
        if not Path(where).is_file():
            raise InputFileError(f"{where}: no such scheduler file")
        with _reach(scheduler_file=where) as client:
            yield client
    else:
        raise InputError(
            f"connect to {where!r}: expected 'local', a scheduler address such as "
            "tcp://host:8786, or a scheduler file that ends in .json"
        )


def _reach(**where: str) -> Any:
    from distributed import Client

    try:
        return Client(**where)
    except OSError as error:
        raise SessionError(
            f"no scheduler answers at {next(iter(where.values()))}: {error}"
        ) from error
