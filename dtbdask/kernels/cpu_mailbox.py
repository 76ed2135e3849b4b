"""Mailboxes in memory that processes share: rings of words with a writer and a reader each.

The writer alone moves a ring's head and the reader alone its tail, both numbers of words since the
beginning, so nothing is locked. A message is its step in two words, its number of ids, and the ids;
one that is longer than its ring goes through it in pieces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from dtbdask.kernels.cpu_machine import LINE, acquire, give_way, now, release

HEADER = 3
"""Words before the ids of a message."""
AT, DATA, MOVED, LENGTH, DONE, PLACE, ROOM, FOUND = range(8)
N_IDS = ROOM
"""What an end knows of a ring: where its head and its words lie, words moved since the beginning,
words of the message and how many of them were moved, where its ids lie at this end and how many
have room there (or, of a ring to a peer, are to be sent), and the step that was found. The tail
lies a line behind the head."""
RING = 8
ACROSS, WAITING, OTHER_STEP, NO_ROOM, GONE, LEFT, NO_MESSAGE = range(7)
"""How a call ends, and with which peer: everything is across; something is not, yet; the peer is at
another step; its list has no room; the peer left; this end left; what the peer sent is no message
of spikes that are heard here."""
_UNKNOWN = -1
_LOOKS = 200
"""Looks at all rings before the core is offered to others."""


@njit(nogil=True, cache=True)
def mark(board: Any, index: int, value: int) -> None:
    """Write a number for the other processes; who sees it sees all that was written before.

    Parameters
    ----------
    board : (number,) int64
    index, value : int
    """
    release(board, index, value)


@njit(nogil=True, cache=True)
def look(board: Any, index: int) -> int:
    """A number that another process may have marked.

    Parameters
    ----------
    board : (number,) int64
    index : int
    """
    return acquire(board, index)


def left_at(rank: int) -> int:
    """Where on the board a rank marks that it left: a line for each, after the first.

    Parameters
    ----------
    rank : int
    """
    return LINE * (1 + rank)


_left_at: Any = njit(left_at)


@njit
def _copied(target: Any, to: int, source: Any, at: int, n: int) -> None:
    begin, origin = np.uint64(to), np.uint64(at)
    for k in range(np.uint64(n)):
        target[begin + k] = source[origin + k]


@njit
def _send(board: Any, words: Any, ring: Any, outgoing: Any, step: int, mask: int) -> bool:
    """Put what there is room for of a message into its ring; whether all of it is there."""
    if ring[DONE] == ring[LENGTH]:
        return True
    moved, data = ring[MOVED], ring[DATA]
    free = mask + 1 - (moved - acquire(board, ring[AT] + LINE))
    if ring[DONE] == 0:
        if free < HEADER:
            return False
        words[data + (moved & mask)] = np.uint32(step & 0xFFFFFFFF)
        words[data + ((moved + 1) & mask)] = np.uint32((step >> 32) & 0xFFFFFFFF)
        words[data + ((moved + 2) & mask)] = np.uint32(ring[LENGTH] - HEADER)
        moved, free, ring[DONE] = moved + HEADER, free - HEADER, HEADER
    n = min(free, ring[LENGTH] - ring[DONE])
    at = ring[PLACE] + ring[DONE] - HEADER
    first = min(n, mask + 1 - (moved & mask))
    _copied(words, data + (moved & mask), outgoing, at, first)
    _copied(words, data, outgoing, at + first, n - first)
    ring[DONE] += n
    ring[MOVED] = moved + n
    release(board, ring[AT], ring[MOVED])
    return ring[DONE] == ring[LENGTH]


@njit
def _receive(board: Any, words: Any, ring: Any, inbox: Any, step: int, mask: int) -> int:
    """Take what there is of a message from its ring."""
    if ring[DONE] == ring[LENGTH]:
        return ACROSS
    moved, data = ring[MOVED], ring[DATA]
    there = acquire(board, ring[AT]) - moved
    if ring[LENGTH] == _UNKNOWN:
        if there < HEADER:
            return WAITING
        low, high = words[data + (moved & mask)], words[data + ((moved + 1) & mask)]
        ring[FOUND] = (np.int64(np.int32(high)) << 32) | np.int64(low)
        if ring[FOUND] != step:
            return OTHER_STEP
        ring[LENGTH] = HEADER + np.int64(words[data + ((moved + 2) & mask)])
        moved, there, ring[DONE] = moved + HEADER, there - HEADER, HEADER
        ring[MOVED] = moved
    if ring[LENGTH] - HEADER > ring[ROOM]:
        return NO_ROOM
    n = min(there, ring[LENGTH] - ring[DONE])
    at = ring[PLACE] + ring[DONE] - HEADER
    first = min(n, mask + 1 - (moved & mask))
    _copied(inbox, at, words, data + (moved & mask), first)
    _copied(inbox, at + first, words, data, n - first)
    ring[DONE] += n
    ring[MOVED] = moved + n
    release(board, ring[AT] + LINE, ring[MOVED])
    return ACROSS if ring[DONE] == ring[LENGTH] else WAITING


@njit
def _pass(board: Any, rings: Any, outgoing: Any, inbox: Any, me: int, step: int, mask: int) -> Any:
    """Move what can be moved now: how that ended, and with whom."""
    size, waits = rings.shape[1], -1
    to, of, words = rings[0], rings[1], board.view(np.uint32)
    for peer in range(size):
        if peer == me:
            continue
        gone = acquire(board, _left_at(peer)) != 0  # before the last look at what it sent
        sent = _send(board, words, to[peer], outgoing, step, mask)
        code = _receive(board, words, of[peer], inbox, step, mask)
        if code in (OTHER_STEP, NO_ROOM):
            return code, peer
        if not sent or code == WAITING:
            if gone:
                return GONE, peer
            waits = peer if waits < 0 else waits
    return (ACROSS, me) if waits < 0 else (WAITING, waits)


@njit(nogil=True, cache=True)
def post(board: Any, rings: Any, outgoing: Any, inbox: Any, me: int, step: int, mask: int) -> None:
    """Begin a step, and put what there is room for into the rings.

    Parameters
    ----------
    board : (number,) int64
        The memory that is shared.
    rings : (2, rank, 8) int64
        What this end knows of its rings to and of each rank; of those to it `N_IDS` is new, -1
        where nothing is sent and nothing expected.
    outgoing : (id,) uint32
        Lists for all ranks, one after the other.
    inbox : (id,) uint32
        Where the lists of all ranks have room.
    me, step : int
    mask : int
        Words of a ring, a power of two, less one.
    """
    place, to = 0, rings[0]
    for peer in range(rings.shape[1]):
        to[peer, PLACE] = place
        place += max(to[peer, N_IDS], 0)
    begin(board, rings, outgoing, inbox, me, step, mask)


@njit(nogil=True, cache=True)
def begin(board: Any, rings: Any, outgoing: Any, inbox: Any, me: int, step: int, mask: int) -> None:
    """Do as `post`, with lists that lie anywhere in `outgoing`: their `PLACE` is given, too."""
    to, of = rings[0], rings[1]
    for peer in range(rings.shape[1]):
        n = to[peer, N_IDS]
        to[peer, DONE] = of[peer, DONE] = 0
        to[peer, LENGTH] = HEADER + n if n >= 0 else 0
        of[peer, LENGTH] = _UNKNOWN if n >= 0 else 0
    _pass(board, rings, outgoing, inbox, me, step, mask)


@njit(nogil=True, cache=True)
def wait(
    board: Any, rings: Any, outgoing: Any, inbox: Any, me: int, step: int, mask: int, patience: int
) -> Any:
    """Move all lists of a step, until they are across or the patience is spent.

    Parameters
    ----------
    board, rings, outgoing, inbox, me, step, mask
        As in `post`.
    patience : int
        ns.

    Returns
    -------
    code, rank : int
    """
    until, looks = np.int64(0), 0
    while True:
        code, peer = _pass(board, rings, outgoing, inbox, me, step, mask)
        if code != WAITING:
            return code, peer
        if acquire(board, _left_at(me)) != 0:
            return LEFT, me
        looks += 1
        if looks % _LOOKS == 0:
            moment = now()
            if until == 0:
                until = moment + patience
            if moment >= until:
                return WAITING, peer
            give_way()
