"""Which exchange joins the blocks of a session."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from dtbdask.errors import InputError
from dtbdask.sim.exchange import Loopback, Meeting, Tcp

logger = logging.getLogger(__name__)

EXCHANGES = ("auto", "shm", "tcp", "tls", "ucx")


def known(exchange: str) -> str:
    """The name of an exchange that can be asked for, or an `InputError` with those that can.

    Parameters
    ----------
    exchange : str
    """
    if exchange not in EXCHANGES:
        raise InputError(f"exchange is {exchange!r}; use one of {', '.join(map(repr, EXCHANGES))}")
    return exchange


def chosen(
    exchange: str, n_blocks: int, workers: Sequence[str], hosts: Callable[[], list[str]]
) -> str:
    """The exchange that a session takes.

    Parameters
    ----------
    exchange : {"auto", "shm", "tcp", "tls", "ucx"}
        With "auto" shared memory where all workers are on one host, else TCP. TCP is TLS where
        workers show each other certificates.
    n_blocks : int
        Blocks that the neurons are divided into.
    workers : sequence of str
        Addresses of those that have a block; none where all blocks are in one process.
    hosts : callable
        What `host` returns on each of them.

    Returns
    -------
    {"loopback", "shm", "tcp", "tls", "ucx"}
        "loopback" where no block is on another worker.

    Raises
    ------
    InputError
        What is asked for cannot be had.
    """
    if not workers or n_blocks == 1:
        if exchange != "auto":
            why = "there is one block" if workers else "all blocks are in one process"
            raise InputError(f"exchange is {exchange!r}, but {why}; use exchange='auto'")
        return "loopback"
    why = "asked for"
    secret = any(address.startswith("tls://") for address in workers)
    if exchange in ("auto", "shm"):
        apart = _apart(hosts())
        if exchange == "shm" and apart:
            raise InputError(f"exchange is 'shm', but {apart}; use 'tcp' or 'auto'")
        exchange, why = "tcp" if apart else "shm", apart or "all workers are on one host"
    if exchange == "tcp" and secret:
        exchange = "tls"
    if exchange == "tls" and not secret:
        raise InputError(
            "exchange is 'tls', but the workers have no certificates; start the cluster with "
            "protocol='tls', or use 'auto'"
        )
    if exchange == "ucx" and secret:
        logger.warning("blocks exchange spikes by ucx, which does not encrypt, although Dask does")
    logger.info("blocks exchange spikes by %s: %s", exchange, why)
    return exchange


def host() -> str:
    """What is the same in two processes if and only if they can share memory, "" if none can."""
    if not hasattr(os, "memfd_create"):
        return ""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    return f"{boot} {os.stat('/proc/self/ns/pid').st_ino} {os.getuid()}"


def _apart(hosts: list[str]) -> str:
    """Why workers cannot share memory, or "" if they can."""
    if "" in hosts:
        return "a worker is on a system without memfd_create"
    n = len(set(hosts))
    return f"the workers are on {n} hosts, or of as many containers or users" if n > 1 else ""


def opened(
    exchange: str, rank: int, size: int, token: bytes, timeout: float, interface: str,
    security: Any = None,
) -> Meeting:  # fmt: skip
    """An end of an exchange, which has not met the others yet.

    Parameters
    ----------
    exchange : {"loopback", "shm", "tcp", "tls", "ucx"}
    rank, size : int
    token : bytes
        32 bytes that every end of this session knows.
    timeout : float
        Seconds that any one wait may take.
    interface : str
        To listen on.
    security : distributed.security.Security, optional
        Of the worker, for "tls".
    """
    if exchange == "loopback":
        return Loopback(rank, size, {})
    if exchange == "shm":
        from dtbdask.sim.exchange_shm import Shm

        return Shm(rank, size, token, timeout)
    if exchange == "ucx":
        from dtbdask.sim.exchange_ucx import Ucx

        return Ucx(rank, size, token, timeout)
    if exchange == "tls":
        from dtbdask.sim.exchange_tls import Tls

        return Tls(rank, size, token, interface, timeout, security)
    return Tcp(rank, size, token, interface, timeout)
