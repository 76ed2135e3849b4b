"""Which exchange joins the blocks of a session."""

from __future__ import annotations

import logging
import os
from typing import Any

from dtbdask.errors import InputError
from dtbdask.sim.exchange import Loopback, Meeting, Tcp

logger = logging.getLogger(__name__)

EXCHANGES = ("auto", "shm", "tcp", "ucx")


def known(exchange: str) -> str:
    """The name of an exchange that can be asked for, or an `InputError` with those that can.

    Parameters
    ----------
    exchange : str
    """
    if exchange not in EXCHANGES:
        raise InputError(f"exchange is {exchange!r}; use one of {', '.join(map(repr, EXCHANGES))}")
    return exchange


def chosen(exchange: str, n_blocks: int, client: Any, workers: list[str]) -> str:
    """The exchange that a session takes.

    Parameters
    ----------
    exchange : {"auto", "shm", "tcp", "ucx"}
        With "auto" shared memory where all workers are on one host, else TCP.
    n_blocks : int
        Blocks that the neurons are divided into.
    client : distributed.Client or None
    workers : list of str
        Addresses of those that have a block.

    Returns
    -------
    {"loopback", "shm", "tcp", "ucx"}
        "loopback" where no block is on another worker.

    Raises
    ------
    InputError
        What is asked for cannot be had.
    """
    if client is None or n_blocks == 1:
        if exchange != "auto":
            why = "all blocks are in one process" if client is None else "there is one block"
            raise InputError(f"exchange is {exchange!r}, but {why}; use exchange='auto'")
        return "loopback"
    if exchange in ("auto", "shm"):
        apart = _apart(list(client.run(host, workers=workers).values()))
        if exchange == "shm" and apart:
            raise InputError(f"exchange is 'shm', but {apart}; use 'tcp' or 'auto'")
        exchange = "tcp" if apart else "shm"
        logger.info(
            "blocks exchange spikes by %s: %s", exchange, apart or "all workers are on one host"
        )
    else:
        logger.info("blocks exchange spikes by %s", exchange)
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
    exchange: str, rank: int, size: int, token: bytes, timeout: float, interface: str
) -> Meeting:
    """An end of an exchange, which has not met the others yet.

    Parameters
    ----------
    exchange : {"loopback", "shm", "tcp", "ucx"}
    rank, size : int
    token : bytes
        32 bytes that every end of this session knows.
    timeout : float
        Seconds that any one wait may take.
    interface : str
        To listen on.
    """
    if exchange == "loopback":
        return Loopback(rank, size, {})
    if exchange == "shm":
        from dtbdask.sim.exchange_shm import Shm

        return Shm(rank, size, token, timeout)
    if exchange == "ucx":
        from dtbdask.sim.exchange_ucx import Ucx

        return Ucx(rank, size, token, timeout)
    return Tcp(rank, size, token, interface, timeout)
