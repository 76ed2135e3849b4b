"""Two-level routing: blocks in rows, one row a host; lists travel merged, over at most two hops.

A list to a block of another row goes first to the block of that row in the own column, together
with all others for that row, and from there on to its block. So of `size` blocks in rows of `row`
each talks to about `size / row + row` others, not to all, and the results are those of any other
exchange. Where the last row is shorter than a column is far, its blocks are relays for several
columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isqrt

import numpy as np
from numpy.typing import NDArray

from dtbdask.sim.exchange import NOTHING, Exchange, Ids

ABSENT = 2**32 - 1
"""Length of a list that was not sent."""


@dataclass(frozen=True)
class Routes:
    """Which block hands on the lists of which.

    Attributes
    ----------
    size : int
        Number of blocks.
    row : int
        Blocks of a row; the last row may have fewer.
    """

    size: int
    row: int

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return ceil(self.size / self.row)

    def of_row(self, r: int) -> range:
        """Blocks of a row."""
        return range(r * self.row, min((r + 1) * self.row, self.size))

    def relay(self, source: int, r: int) -> int:
        """Block of row `r`, another than its own, that takes the lists of `source`."""
        there = self.of_row(r)
        return there[source % self.row % len(there)]

    def sources(self, relay: int) -> list[int]:
        """Blocks of other rows whose lists a block takes for its row, ascending."""
        own = relay // self.row
        width = len(self.of_row(own))
        columns = range(relay % self.row, self.row, width)
        return [
            blocks[column]
            for r in range(self.n_rows)
            if r != own
            for blocks in (self.of_row(r),)
            for column in columns
            if column < len(blocks)
        ]

    def neighbours(self, rank: int) -> set[int]:
        """Blocks that a block talks to."""
        own = rank // self.row
        relays = {self.relay(rank, r) for r in range(self.n_rows) if r != own}
        return (relays | set(self.sources(rank)) | set(self.of_row(own))) - {rank}


class Grid:
    """Exchange over the neighbours of a grid, by another exchange that joins these.

    Parameters
    ----------
    inner : Exchange
        Connected to `routes.neighbours(inner.rank)` at least; its `wait` may block.
    row : int
        Blocks of a row.
    """

    def __init__(self, inner: Exchange, row: int) -> None:
        self.rank, self.size, self.far = inner.rank, inner.size, inner.far
        self._inner, self._routes = inner, Routes(inner.size, row)
        self._own = self._routes.of_row(self.rank // row)
        self._relays = {
            r: self._routes.relay(self.rank, r)
            for r in range(self._routes.n_rows)
            if r != self.rank // row
        }
        self._sources = {relay: self._routes.sources(relay) for relay in self._own}
        self._kept: list[Ids | None] = []

    def post(self, step: int, outgoing: list[Ids | None]) -> None:
        """Send each row its lists, to the relay there; those of the own row wait for the others."""
        messages: list[Ids | None] = [None] * self.size
        for r, relay in self._relays.items():
            messages[relay] = joined([outgoing[peer] for peer in self._routes.of_row(r)])
        self._kept = [outgoing[peer] for peer in self._own]
        for source in self._sources[self.rank]:  # they send, so they are sent something
            messages[source] = NOTHING if messages[source] is None else messages[source]
        self._inner.post(step, messages)

    def wait(self, step: int) -> list[Ids]:
        """Hand on what came for the own row, and take what the others handed on."""
        came = self._inner.wait(step)
        passing = [parted(came[s], len(self._own)) for s in self._sources[self.rank]]
        passing.append(self._kept)
        messages: list[Ids | None] = [None] * self.size
        for place, peer in enumerate(self._own):
            messages[peer] = joined([lists[place] for lists in passing])
        kept = messages[self.rank]
        self._inner.post(step, messages)
        handed = self._inner.wait(step)
        received: list[Ids] = [NOTHING] * self.size
        for relay, sources in self._sources.items():
            message = kept if relay == self.rank else handed[relay]
            assert message is not None
            for source, ids in zip(
                (*sources, relay), parted(message, len(sources) + 1), strict=True
            ):
                received[source] = NOTHING if ids is None or source == self.rank else ids
        return received

    def leave(self) -> None:
        """Leave the exchange of the neighbours."""
        self._inner.leave()

    def close(self) -> None:
        """Close the exchange of the neighbours."""
        self._inner.close()


def joined(lists: list[Ids | None]) -> Ids:
    """One message of several lists: their lengths, then what they hold."""
    length = np.array([ABSENT if ids is None else ids.size for ids in lists], np.uint32)
    return np.concatenate([length, *(ids for ids in lists if ids is not None)])


def parted(message: Ids, n: int) -> list[Ids | None]:
    """The `n` lists of a message."""
    length = message[:n]
    size: NDArray[np.int64] = np.where(length == ABSENT, 0, length).astype(np.int64)
    stop = n + np.cumsum(size)
    return [
        None if told == ABSENT else message[end - of : end]
        for told, of, end in zip(length.tolist(), size.tolist(), stop.tolist(), strict=True)
    ]


def best_row(hosts: list[str]) -> int:
    """Blocks of a row: those of a host, or the square root of all where hosts tell nothing.

    Parameters
    ----------
    hosts : list of str
        Of each block; those of one host follow each other.
    """
    most = max(hosts.count(host) for host in set(hosts))
    return most if 1 < most < len(hosts) else max(1, isqrt(len(hosts) - 1) + 1)
