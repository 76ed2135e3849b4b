"""Many steps of a block that exchanges, in Numba: peers swap spikes in the kernel, by mailboxes.

As `dtbdask.kernels.cpu_stride`, where a block is alone. The spikes of a step are posted when it has
been made; those of the block itself are delivered while the peers' are on their way. The thread of
part 0 posts and waits for all parts. It alone leaves the kernel when it has waited in vain for a
while, so that the interpreter can look after the peers, and comes back to where it was.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dtbdask.kernels import Features
from dtbdask.kernels import cpu_mailbox as mailbox
from dtbdask.kernels.cpu import deliver
from dtbdask.kernels.cpu_delays import deliver_delayed
from dtbdask.kernels.cpu_integrate import arguments_of
from dtbdask.kernels.cpu_machine import LINE, acquire, give_way, now, prefetch, release
from dtbdask.kernels.cpu_stride import COMPUTE, DELIVERY, SWAP, WAIT, deliver_own, go_on

Ids = NDArray[np.uint32]
Ints = NDArray[np.int64]

_LOOKS = 2000
"""Looks at another thread before the core is offered to others."""
_AHEAD = np.uint64(8)
"""Spikes by which a prefetch runs ahead of the lists."""
_left_at: Any = njit(mailbox.left_at)


class Box(NamedTuple):
    """A block's end of the mailboxes, as `cpu_mailbox.begin` and `cpu_mailbox.wait` take it.

    Attributes
    ----------
    board : (number,) int64
    rings : (2, rank, 8) int64
    outgoing, inbox : (id,) uint32
    rank : int
    mask : int
    """

    board: Ints
    rings: Ints
    outgoing: Ids
    inbox: Ids
    rank: int
    mask: int


class Said(NamedTuple):
    """What a block tells its peers, and when.

    Attributes
    ----------
    indptr : (neuron_edge,) int64
        Entries of each neuron in the two that follow.
    peer, place : (entry,) uint32
        Who hears it, and by what number: the row of its edges there.
    interval : (peer,) int64
        Steps between two swaps with each; 0 with itself.
    first : (peer,) int64
        Where the ids for each begin in `outgoing`, after room for as many numbers as a message
        has steps.
    cursor : (peer,) int64
        Where the next goes.
    held : (peer,) int64
        Steps that wait to be told.
    stop : (peer, step) int64
        Where those of each end.
    due : (peer,) int64
        Steps that the message on its way is of, there and back; 0 where there is none.
    """

    indptr: Ints
    peer: Ids
    place: Ids
    interval: Ints
    first: Ints
    cursor: Ints
    held: Ints
    stop: Ints
    due: Ints


def march(
    features: Features, part: int, arrived: Ints, seen: Any, wires: Any, delays: Any, lists: Any,
    state: Any, coefficients: Any, place: Any, clock: Any, script: Any, runs: Any, box: Box,
    said: Said, n_rows: int, at: Ints, last: bool, patience: int,
) -> Any:  # fmt: skip
    """Make some steps of one part; the other parts do so at the same time.

    Parameters
    ----------
    features, part, seen, wires, delays, lists, state, coefficients, place, clock, script, runs
        As in `cpu_stride.stride`; one member.
    arrived : (part + 1, 8) int64
        Where the threads meet; a mark in the last line tells that they will not.
    box : Box
    said : Said
    n_rows : int
        Rows of edges of the block.
    at : (4,) int64
        Where the part is, zeros at first: step, whether its own spikes are delivered, log, and the
        moment at which it left, ns.
    last : bool
        The last of these steps ends a window: all peers are told all.
    patience : int
        ns that part 0 waits for its peers before it returns.

    Returns
    -------
    code, rank : int
        As of `cpu_mailbox.wait`; `WAITING` where part 0 must be called again. After `ACROSS` the
        inbox has what the peers told of the last step, not yet delivered.
    """
    on, slots = arguments_of(features)
    kernel: Any = _march
    return kernel(part, arrived, seen, wires, delays, lists, state, coefficients, place, clock,
                  script, runs, tuple(box), tuple(said), n_rows, at, last, patience, on,
                  slots)  # fmt: skip


@njit(nogil=True, cache=True)
def _march(
    part, arrived, seen, wires, delays, lists, state, coefficients, place, clock, script, runs,
    box, said, n_rows, at, last, patience, on, slots,
):  # fmt: skip
    begin, n_steps, spent = clock[0], clock[1], seen[3]
    n_parts, me, moment = arrived.shape[0] - 1, box[4], now()
    if at[3] > 0:
        spent[WAIT] += moment - at[3]
    for k in range(at[0], n_steps + 1):
        if k < n_steps and at[1] == 0:
            deliver_own(k, wires, delays, lists, state, place, clock)
            moment = _spend(spent, DELIVERY, moment)
        at[0], at[1] = k, 1
        if k > 0:
            if part == 0:
                code, peer = _collect(box, said, n_rows, begin + k - 1, patience, spent)
                moment = at[3] = now()
                if code != mailbox.ACROSS:
                    return code, peer
            if not _met(arrived, part, 2 * k, n_parts):
                return mailbox.LEFT, me
            moment = _spend(spent, WAIT, moment)
            if k < n_steps:
                _deliver_foreign(k, box, said, wires, delays, state, clock)
                moment = _spend(spent, DELIVERY, moment)
        if k < n_steps:
            at[1] = 0
            at[2] = go_on(k, at[2], part, seen, lists, state, coefficients, place, clock, script,
                          runs, on, slots)  # fmt: skip
            moment = _spend(spent, COMPUTE, moment)
            if not _met(arrived, part, 2 * k + 1, n_parts):
                return mailbox.LEFT, me
            moment = _spend(spent, WAIT, moment)
            if part == 0:
                if acquire(box[0], _left_at(me)) != 0:
                    return mailbox.LEFT, me
                fired, n_fired = lists[:2][(k + 1) % 2], lists[2:][(k + 1) % 2]
                _tell(box, said, fired, n_fired, place[0], begin + k, last and k == n_steps - 1)
                moment = _spend(spent, SWAP, moment)
    return mailbox.ACROSS, me


@njit
def _spend(spent, on_what, since):
    """Put down the time since a moment; the moment that it is."""
    moment = now()
    spent[on_what] += moment - since
    return moment


@njit
def _met(arrived, part, moment, n_parts):
    """Wait for the threads of all parts; whether they came."""
    release(arrived, part * LINE, moment)
    for other in range(n_parts):
        looks = 0
        while acquire(arrived, other * LINE) < moment:
            looks += 1
            if looks % _LOOKS == 0:
                if acquire(arrived, n_parts * LINE) != 0:
                    return False
                give_way()
    return True


@njit
def _tell(box, said, fired, n_fired, bounds, step, last):
    """Add the spikes of a step to what each peer is told, and send it to those who are due."""
    board, rings, outgoing, inbox, me, mask = box
    indptr, peers, place, interval, first, cursor, held, stop, due = said
    one = np.uint64(1)
    for part in range(n_fired.shape[1]):
        high = np.uint64(bounds[part] + n_fired[0, part])
        for i in range(np.uint64(bounds[part]), high):
            if i + _AHEAD < high:
                entry = indptr[fired[0, i + _AHEAD]]
                prefetch(peers, entry)
                prefetch(place, entry)
            if i + _AHEAD + _AHEAD < high:
                prefetch(indptr, fired[0, i + _AHEAD + _AHEAD])
            neuron = np.uint64(fired[0, i])
            for e in range(np.uint64(indptr[neuron]), np.uint64(indptr[neuron + one])):
                hearer = np.uint64(peers[e])
                outgoing[np.uint64(cursor[hearer])] = place[e]
                cursor[hearer] += 1
    to = rings[0]
    for peer in range(interval.size):
        due[peer], to[peer, mailbox.N_IDS] = 0, -1
        if interval[peer] == 0:
            continue
        stop[peer, held[peer]] = cursor[peer]
        held[peer] += 1
        n = held[peer]
        if n < interval[peer] and not last:
            continue
        start = before = first[peer]
        if n > 1:
            start -= n
            for k in range(n):
                outgoing[start + k] = stop[peer, k] - before
                before = stop[peer, k]
        to[peer, mailbox.PLACE], to[peer, mailbox.N_IDS] = start, cursor[peer] - start
        due[peer], held[peer], cursor[peer] = n, 0, first[peer]
    mailbox.begin(board, rings, outgoing, inbox, me, step, mask)


@njit
def _collect(box, said, n_rows, step, patience, spent):
    """Wait for what the peers tell, and check it: a wrong row would be read from anywhere."""
    board, rings, outgoing, inbox, me, mask = box
    due, moment = said[8], now()
    code, peer = mailbox.wait(board, rings, outgoing, inbox, me, step, mask, patience)
    moment = _spend(spent, WAIT, moment)
    if code != mailbox.ACROSS:
        return code, peer
    for peer in range(due.size):
        begin, at, n_words = message(rings, due, peer)
        total = np.int64(0)
        for k in range(begin, at):
            total += inbox[k]
        if at > begin + n_words or (at > begin and total != begin + n_words - at):
            return mailbox.NO_MESSAGE, peer
        largest = np.uint32(0)
        for i in range(np.uint64(at), np.uint64(begin + n_words)):
            largest = max(largest, inbox[i])
        if largest >= n_rows:
            return mailbox.NO_MESSAGE, peer
    _spend(spent, SWAP, moment)
    return code, me


@njit
def message(rings: Any, due: Any, peer: int) -> Any:
    """Where what a peer told begins in the inbox, where its ids do, and its length in words.

    Parameters
    ----------
    rings : (2, rank, 8) int64
    due : (peer,) int64
        As in `Box` and `Said`.
    peer : int
    """
    begin, n = rings[1, peer, mailbox.PLACE], due[peer]
    if n == 0:
        return begin, begin, np.int64(0)
    return begin, begin + (n if n > 1 else 0), rings[1, peer, mailbox.LENGTH] - mailbox.HEADER


@njit
def _deliver_foreign(k, box, said, wires, delays, state, clock):
    """Deliver to a part what the peers told, before the `k`-th step."""
    rings, inbox, due, kick = box[1], box[3], said[8], state[0]
    rows, bounds, n_rows = inbox.reshape(1, -1), np.empty(1, np.int64), np.empty((1, 1), np.int64)
    for peer in range(due.size):
        begin, bounds[0], n_words = message(rings, due, peer)
        for told in range(due[peer]):
            n_rows[0, 0] = inbox[begin + told] if due[peer] > 1 else n_words
            if delays is None:
                deliver(kick[0], rows, n_rows, bounds, *wires)
            else:
                step = clock[0] + k - (due[peer] - 1 - told)
                deliver_delayed(kick, rows, n_rows, bounds, *wires, step, *delays)
            bounds[0] += n_rows[0, 0]
