"""Getting a cluster: the one line of a script that changes between a laptop and a machine room."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask

from dtbdask.errors import InputError, InputFileError, MissingDependencyError, SessionError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from distributed import Client
    from distributed.security import Security

CONFIGURATION = {
    "distributed.deploy.lost-worker-timeout": "10m",  # a worker that restarts keeps its place
    "distributed.scheduler.no-workers-timeout": "60s",  # a task whose worker is gone must end
    "distributed.worker.daemon": True,
}
PROTOCOLS = ("tcp", "tls", "ucxx")


@contextmanager
def connect(
    where: str | Client = "local", *, workers: int | None = None, threads: int = 1,
    processes: bool = True, protocol: str = "tcp", pool: float | str | None = 0.5,
    security: Security | None = None,
) -> Iterator[Client]:  # fmt: skip
    """Start a cluster, or connect to one.

    Parameters
    ----------
    where : str or distributed.Client
        - `"local"` starts worker processes on this machine;
        - `"cuda"` starts one for each CUDA device of this machine, with dask-cuda;
        - `"slurm"` makes a cluster of the tasks of a SLURM job: start the script with
          `srun -n 6 python script.py`, and the first task is the scheduler, the second goes on
          with the script, and the others are workers, with a device each where `--gpus-per-task=1`
          gives them one;
        - anything with `://` is the address of a scheduler, and a path that ends in `.json` its
          scheduler file;
        - a client is used as it is, and stays open.
    workers : int, optional
        Of `"local"`: processes, 2 if nothing is said; a session puts one block on each. Of
        `"cuda"`: devices, all if nothing is said.
    threads : int
        Threads of each worker, for builds; a session's blocks have threads of their own.
    processes : bool
        False keeps the workers of a local cluster in this process.
    protocol : {"tcp", "tls", "ucxx"}
        What Dask itself speaks on a cluster that is started here; spikes have an exchange of their
        own. UCX does not encrypt.
    pool : float or str, optional
        Memory that each worker of `"cuda"` sets aside at once, as a share of its device or as
        "40 GB"; it grows. None leaves it to CuPy.
    security : distributed.security.Security, optional
        Certificates, for `tls`. A cluster that is started here makes its own if none are given.

    Yields
    ------
    distributed.Client
        Everything started on this machine listens on the loopback interface only and ends with the
        context.

    Raises
    ------
    InputError
        `where` is nothing known, a number is below one, or `protocol` is not one of the three.
    MissingDependencyError
        What the cluster needs is not installed, or there is no device or no SLURM job.
    SessionError
        No scheduler answers.
    """
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}; expected at least 1")
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol is {protocol!r}; expected one of {', '.join(PROTOCOLS)}")
    import distributed  # noqa: F401  # has its defaults set before they are overridden for a while

    place: AbstractContextManager[Client]
    with dask.config.set(CONFIGURATION):
        if where == "local":
            place = _local(workers or 2, threads, protocol, security, processes=processes)
        elif where == "cuda":
            place = _cuda(workers, threads, protocol, pool, security)
        elif where == "slurm":
            place = _slurm(threads)
        else:
            place = _there(where, security)
        with place as client:
            yield client


@contextmanager
def _local(
    workers: int, threads: int, protocol: str, security: Security | None, *, processes: bool
) -> Iterator[Client]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=threads, processes=processes, silence_logs=40,
            **_here(protocol, security),
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


@contextmanager
def _cuda(
    workers: int | None, threads: int, protocol: str, pool: float | str | None,
    security: Security | None,
) -> Iterator[Client]:  # fmt: skip
    from distributed import Client

    from dtbdask.kernels import cuda

    cuda.load_cupy()
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError as error:
        raise MissingDependencyError(
            "connect('cuda') needs dask-cuda: pip install 'dtbdask[cuda]'"
        ) from error
    memory = {"rmm_pool_size": pool, "rmm_allocator_external_lib_list": ["cupy"]}
    with (
        LocalCUDACluster(
            n_workers=workers, threads_per_worker=threads, silence_logs=40,
            **(memory if pool else {}), **_here(protocol, security),
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


def _here(protocol: str, security: Security | None) -> dict[str, Any]:
    """What a cluster of this machine listens with."""
    how: dict[str, Any] = {
        "host": "127.0.0.1", "protocol": protocol, "dashboard_address": "127.0.0.1:0"
    }  # fmt: skip
    if protocol == "ucxx":
        try:
            import distributed_ucxx  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                "protocol is 'ucxx', which needs UCXX: pip install 'dtbdask[cuda]'"
            ) from error
    if protocol == "tls":
        try:
            import cryptography  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                "protocol is 'tls', which needs certificates: pip install cryptography"
            ) from error
        how["security"] = security or True
    return how


@contextmanager
def _slurm(threads: int) -> Iterator[Client]:
    """The tasks of this job; in all but one of them this ends the process when the work is done."""
    if "SLURM_PROCID" not in os.environ:
        raise MissingDependencyError(
            "connect('slurm') runs in the tasks of a SLURM job: srun -n 6 python script.py "
            "(a scheduler, the script, and 4 workers)"
        )
    tasks = int(os.environ.get("SLURM_NTASKS", "1"))
    if tasks < 3:
        raise InputError(f"the SLURM job has {tasks} tasks; expected at least 3: srun -n 3 ...")
    try:
        from dask_jobqueue.slurm import SLURMRunner
    except ImportError as error:
        raise MissingDependencyError(
            "connect('slurm') needs dask-jobqueue: pip install 'dtbdask[slurm]'"
        ) from error
    from distributed import Client

    with (
        SLURMRunner(
            scheduler_options={"dashboard_address": "127.0.0.1:0"},
            worker_options={"nthreads": threads},
        ) as runner,
        Client(runner) as client,
    ):
        client.wait_for_workers(runner.n_workers)
        yield client


def _there(where: str | Client, security: Security | None) -> AbstractContextManager[Client]:
    from distributed import Client

    if isinstance(where, Client):
        return nullcontext(where)
    if "://" in where:
        return _reach(where, security)
    if not where.endswith(".json"):
        raise InputError(
            f"connect to {where!r}: expected 'local', 'cuda', 'slurm', a client, a scheduler "
            "address such as tcp://host:8786, or a scheduler file that ends in .json"
        )
    if not Path(where).is_file():
        raise InputFileError(f"{where}: no such scheduler file")
    try:
        address = json.loads(Path(where).read_text())["address"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputFileError(f"{where}: no scheduler file, it tells no address") from error
    return _reach(address, security)


def _reach(address: str, security: Security | None) -> Client:
    from distributed import Client
    from distributed.security import Security

    if address.startswith("tls://"):  # a client that fails for want of them stays the default one
        shown = (security or Security()).get_connection_args("client")
        if shown.get("ssl_context") is None:
            raise SessionError(
                f"{address} asks for certificates; give connect(..., security=Security(...)) or "
                "set distributed.comm.tls in Dask's configuration"
            )
    try:
        return Client(address, security=security)
    except OSError as error:
        raise SessionError(f"no scheduler answers at {address}: {error}") from error
