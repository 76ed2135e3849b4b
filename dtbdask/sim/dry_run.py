"""One block as if it were among many: what it holds, hears and would send, beside what is planned.

The block is wired and advanced for real. Its peers are not there: the foreign neurons that it hears
fire at random at a given rate. Who would hear its own neurons is found by wiring other blocks, one
after the other: all, or where there are many a sample of them.
"""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError, whole_number
from dtbdask.graph.network import Network
from dtbdask.graph.partition import Partition
from dtbdask.graph.planning.anatomy import Anatomy
from dtbdask.graph.planning.audience import audience, heard_of
from dtbdask.graph.planning.footprint import Run, footprint
from dtbdask.sim.block import Block
from dtbdask.sim.edges import collect
from dtbdask.sim.grid import Routes
from dtbdask.sim.spec import BlockSpec

ID_BYTES, HEADER_BYTES = 4, 12
"""Of a spike, and of the head of a message."""
MOST_PEERS = 64
"""Blocks wired to see whom they hear."""


@dataclass(frozen=True)
class Line:
    """A figure of a rank.

    Attributes
    ----------
    name : str
        With its unit.
    found : float
        Counted or measured.
    planned : float or None
        What `dtbdask.graph.planning` expects, if it tells.
    """

    name: str
    found: float
    planned: float | None

    @property
    def figures(self) -> tuple[float, float | None]:
        """Both."""
        return self.found, self.planned


def dry_run(
    network: Network, blocks: int, rank: int = 0, *, steps: int = 200, rate_hz: float = 10.0,
    threads: int = 1, row: int | None = None, seed: int = 0,
) -> list[Line]:  # fmt: skip
    """Make and advance one block of many.

    Parameters
    ----------
    network : Network
        A procedural one needs no disk, however large it is.
    blocks : int
        Of the session, contiguous ones.
    rank : int
        Which of them.
    steps : int
        To advance, of 1 ms.
    rate_hz : float
        At which foreign neurons fire, and at which own spikes are reckoned.
    threads : int
        Of the block.
    row : int, optional
        Blocks of a row of the grid; by default the root of their number.
    seed : int

    Returns
    -------
    list of Line

    Raises
    ------
    InputError
        A number is out of its range.
    """
    whole_number("blocks", blocks, 2)
    whole_number("rank", rank, 0, blocks - 1)
    whole_number("steps", steps, 1)
    if not 0 < rate_hz <= 1000:
        raise InputError(f"rate_hz is {rate_hz:g}; expected more than 0 and at most 1000")
    division = Partition.contiguous(network, blocks)
    tracemalloc.start()
    spec = BlockSpec(network, division.ranges[rank], seed, threads=threads)
    block = Block(spec)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    rate = rate_hz * spec.dt_ms / 1000
    sent = _hearers(network, division, rank, block, np.random.default_rng(seed)) * rate
    taken = _advanced(block, steps, rate, np.random.default_rng(seed))
    routes = Routes(blocks, row or isqrt(blocks - 1) + 1)
    near = len(routes.neighbours(rank))
    heard = audience(network.populations, blocks)
    memory = footprint(Anatomy.of_network(network), heard, blocks, Run(threads=threads))
    spikes = float(heard.sent[rank]) * rate
    return [
        Line("neurons", block.n_neurons, float(heard.neurons[rank])),
        Line("synapses", block.edges.target.size, float(heard.synapses[rank])),
        Line("foreign neurons heard", block.edges.heard.size, float(heard.foreign[rank])),
        Line("memory held, bytes", held, float(memory.held[rank])),
        Line("memory while loading, bytes", peak, float(memory.loading[rank])),
        Line("spikes sent a step", sent, spikes),
        Line("messages a step, to all", blocks - 1, None),
        Line("bytes a step, to all", *_bytes(blocks - 1, sent, spikes)),
        Line("messages a step, in a grid", near, None),
        Line("bytes a step, in a grid, at most", *_bytes(near, 2 * sent, 2 * spikes, 2 * blocks)),
        Line("ms a step, without waiting", taken * 1000, None),
    ]


def _bytes(messages: int, *spikes: float | int) -> tuple[float, float]:
    """Bytes of messages with so many spikes, found and planned, and lengths of lists."""
    found, planned, *lengths = spikes
    head = HEADER_BYTES * messages + ID_BYTES * sum(lengths)
    return head + ID_BYTES * found, head + ID_BYTES * planned


def _hearers(
    network: Network, division: Partition, rank: int, block: Block, draw: np.random.Generator
) -> float:
    """Own neurons, each counted once for every other block that hears it.

    Where there are many others, some are looked at, drawn as likely as they are expected to hear.
    """
    expected = heard_of(network.populations, division.n_blocks, rank)
    expected[rank] = 0.0
    peers = np.arange(division.n_blocks)[expected > 0]
    if peers.size <= MOST_PEERS:
        return float(sum(_heard_by(network, division, peer, rank, block) for peer in peers))
    chance = expected[peers] / expected.sum()
    looked = draw.choice(peers.size, MOST_PEERS, p=chance)
    counts = [_heard_by(network, division, peers[k], rank, block) for k in looked]
    return float(np.mean(np.array(counts) / chance[looked]))


def _heard_by(network: Network, division: Partition, peer: int, rank: int, block: Block) -> int:
    """Neurons of a block that another one hears."""
    ranges = division.ranges[peer]
    bounds = np.array([0, int((ranges[:, 1] - ranges[:, 0]).sum())])
    heard = collect(network, ranges, bounds, block.coefficients.features).heard
    return int(np.count_nonzero(division.owner(heard) == rank))


def _advanced(block: Block, steps: int, rate: float, draw: np.random.Generator) -> float:
    """Seconds of a step in which foreign neurons fire at random, the median."""
    block.settle()
    seconds = []
    for _ in range(steps):
        fired: NDArray[Any] = np.flatnonzero(draw.random(block.edges.heard.size) < rate)
        block.receive((block.n_neurons + fired).astype(np.uint32))
        begun = time.perf_counter()
        block.step()
        seconds.append(time.perf_counter() - begun)
    return float(np.median(seconds))
