"""What a session checks before it begins: the network, its division into blocks, and the room."""

from __future__ import annotations

from typing import Any

from dtbdask.errors import InputError
from dtbdask.graph.delays import longest_delay
from dtbdask.graph.network import Network
from dtbdask.graph.partition import Partition
from dtbdask.graph.partition import partition as divide
from dtbdask.graph.planning.capacity import check_session, memory_room
from dtbdask.rng import TILE
from dtbdask.sim.delays import check_delays
from dtbdask.sim.losses import listed

LEAST_EDGE_BYTES, LEAST_KICK_BYTES = 4, 4
SAFE = 4
"""A block needs less than this many times its edges and state: see `dtbdask.graph.planning`."""


def divided(
    network: Network, blocks: int | None, wanted: str | Partition, n_workers: int
) -> Partition:
    """The partition that was given, or one that is found."""
    if isinstance(wanted, Partition):
        wanted.check(network)
        if blocks not in (None, wanted.n_blocks):
            raise InputError(f"blocks is {blocks}, but the partition has {wanted.n_blocks} blocks")
        return wanted
    if blocks is None:
        blocks = min(n_workers, -(-network.n_neurons // TILE))
    return divide(network, blocks, wanted)


def divided_again(
    before: Partition, network: Network, blocks: int | None, wanted: str | Partition, n_workers: int
) -> Partition:
    """The partition there was, if it suits the workers there are now, or another one."""
    if isinstance(wanted, Partition):
        blocks, wanted = wanted.n_blocks, "auto"
    n_blocks = min(n_workers, blocks or -(-network.n_neurons // TILE))
    return before if before.n_blocks == n_blocks else divide(network, n_blocks, wanted)


def undivided(network: Network, blocks: int | None, wanted: str | Partition) -> Partition:
    """One block: that of an ensemble, which is divided by members instead."""
    if blocks not in (None, 1):
        raise InputError(f"blocks is {blocks}; an ensemble is divided by members instead")
    if isinstance(wanted, Partition) and wanted.n_blocks > 1:
        raise InputError(
            f"partition has {wanted.n_blocks} blocks; an ensemble is divided by members instead"
        )
    return divided(network, 1, wanted, 1)


def check_network(network: Network, dt_ms: float) -> None:
    """Refuse what a network has and this version does not simulate."""
    check_delays(network, dt_ms)
    if network.attributes.get("scripted_population") and not network.path:
        raise InputError(
            "network has neurons with scripted spikes, which only its store holds; open that"
        )


def check_room(
    network: Network, client: Any, blocks: int, threads: int, members: int, dtype: str
) -> None:
    """Refuse blocks that cannot fit; only what may come near is reckoned out."""
    if client is None:
        memory, blocks = memory_room(), 1
    else:
        told = listed(client).values()
        memory = min((w["memory_limit"] or memory_room() for w in told), default=memory_room())
    state = 16 + LEAST_KICK_BYTES * longest_delay(network.populations)
    least = (network.n_synapses * LEAST_EDGE_BYTES + network.n_neurons * state * members) / blocks
    if least > memory / SAFE:
        check_session(network, blocks, memory, threads=threads, members=members, dtype=dtype)
