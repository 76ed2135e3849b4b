"""Resuming a recorded run that was cut short, from the last of its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dtbdask import schema
from dtbdask.errors import StoreError
from dtbdask.graph.network import Network, open_network
from dtbdask.graph.partition import Partition
from dtbdask.sim import checkpoint
from dtbdask.sim.moments import beside, writing
from dtbdask.sim.recording import Recording, open_recording
from dtbdask.sim.recovery import endure, taken_up
from dtbdask.sim.session import Session


def resume_run(
    path: str | Path, network: Network | None = None, client: Any = None, *,
    blocks: int | None = None, partition: str | Partition = "auto", threads: int = 1,
) -> Recording:  # fmt: skip
    """Finish a recording: it is cut back to the last checkpoint of its run, which then goes on.

    What comes out equals, array for array, the recording of an undisturbed run. One that is
    finished already is left as it is.

    Parameters
    ----------
    path : path
        The recording, of a run with checkpoints.
    network : Network, optional
        The network of the run; by default that at the path where it was.
    client, blocks, partition, threads
        As of `dtbdask.sim.session.Session`: they may differ from those of the run.

    Returns
    -------
    Recording

    Raises
    ------
    StoreError
        It is no recording, its run kept no checkpoints, none of them is complete, or somebody is
        writing it.
    InputError
        The network is another one.
    """
    root = _root(path)
    if root["status"] == "complete":
        return open_recording(path)
    _protocol(path, root)  # or it has no checkpoints to be held by
    with writing(path):
        return _resumed(path, network, client, blocks=blocks, partition=partition, threads=threads)


def _resumed(path: str | Path, network: Network | None, client: Any, **options: Any) -> Recording:
    """The recording, finished; perhaps by somebody else meanwhile."""
    root = _root(path)
    if root["status"] == "complete":
        return open_recording(path)
    protocol = _protocol(path, root)
    if network is None:
        network = _network(path, protocol["network"])
    store = checkpoint.newest(beside(path), protocol["run"])
    with Session.resume(store, network, client, **options) as session:
        made = endure(session, *taken_up(session, path, store))
    assert made is not None
    return made


def _root(path: str | Path) -> dict[str, Any]:
    return schema.root_of(schema.open_store(path, "recording", status="any"))


def _protocol(path: str | Path, root: dict[str, Any]) -> dict[str, Any]:
    if "protocol" not in root:
        raise StoreError(f"{path}: its run kept no checkpoints; run it again, with overwrite")
    found: dict[str, Any] = root["protocol"]
    return found


def _network(path: str | Path, where: str) -> Network:
    if not where:
        raise StoreError(f"{path}: its network was held in memory; give the network")
    return open_network(where)
