"""What a cluster of this machine and the sessions on it might leave: processes, sockets, memory."""

import os
from contextlib import suppress
from pathlib import Path

import psutil

BEFORE = psutil.CONN_LISTEN, psutil.CONN_ESTABLISHED


def processes():
    """This process and all it started, but for Python's own keeper of semaphores."""
    me = psutil.Process()
    children = me.children(recursive=True)
    return {me, *(c for c in children if "resource_tracker" not in " ".join(c.cmdline()))}


def sockets(*kinds):
    """Local ends (pid, host, port) of the sockets of all these processes."""
    return {
        (process.pid, *connection.laddr)
        for process in processes()
        for connection in process.net_connections("inet")
        if connection.status in kinds
    }


def left_behind(client):
    """What is there beside two workers that do nothing: told one by one, none if all is well.

    Parameters
    ----------
    client : distributed.Client
        Of worker processes that this one started, in which no session is.
    """
    workers = {pid: port(where) for where, pid in client.run(os.getpid).items()}
    found = [f"{entry} in /dev/shm" for entry in os.listdir("/dev/shm") if "dtbdask" in entry]
    with suppress(psutil.NoSuchProcess, FileNotFoundError):  # it ends just now
        for process in processes():
            if process.pid not in (*workers, os.getpid()):
                found.append(f"process {process.pid}: {process.cmdline()}")
            if "dtbdask-" in (Path("/proc") / str(process.pid) / "maps").read_text():
                found.append(f"process {process.pid} has memory of a session")
    dask = {*workers.values(), port(client.scheduler.address)}
    held = [c for pid in workers for c in psutil.Process(pid).net_connections("inet")]
    ends = {connection.laddr.port for connection in held}
    for connection in held:
        if connection.status == psutil.CONN_ESTABLISHED:
            ports = {connection.laddr.port, connection.raddr.port}
            if not ports & dask and ports <= ends:
                found.append(f"a connection between workers: {sorted(ports)}")
    listening = sum(connection.status == psutil.CONN_LISTEN for connection in held)
    if listening > LISTENS * len(workers):
        found.append(f"{listening} ports on which {len(workers)} workers listen")
    return found


LISTENS = 2
"""Ports of a worker of Dask: its own, and that of its dashboard."""


def port(address):
    return int(address.rsplit(":", 1)[1])
