"""How blocks hand each other their spikes: one verb, `swap`, in two halves.

`post` hands over what this block sends to each peer in a step, `wait` returns what each peer sent
in the same step. Nothing waits without a deadline, and a lost peer is an `ExchangeError` that names
phase, block, peer and step.

`Loopback` joins the blocks of one process that are advanced in turn. `Tcp` joins blocks in
different workers by plain sockets of their own: no asyncio, no pickle, and Dask's scheduler sees
none of it. The sockets are authenticated by a session token but not encrypted. The other ends that
meet have files of their own: `dtbdask.sim.exchange_tls`, which encrypts,
`dtbdask.sim.exchange_shm` and `dtbdask.sim.exchange_ucx`.
"""

from __future__ import annotations

import hmac
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import ExchangeError

Ids = NDArray[np.uint32]
NOTHING = np.zeros(0, np.uint32)


class Exchange(Protocol):
    """One end of the exchange among `size` blocks; this one is number `rank`.

    `far` where what is sent leaves the memory that blocks share: fewer words are then worth some
    work.
    """

    rank: int
    size: int
    far: bool

    def post(self, step: int, outgoing: list[Ids | None]) -> None:
        """Send a list to each rank; the own entry is not sent.

        To a rank whose entry is None nothing is sent, and nothing is expected from it.
        """

    def wait(self, step: int) -> list[Ids]:
        """What each rank sent in this step; valid until the next `post`."""

    def leave(self) -> None:
        """Stop exchanging, from any thread: this end and the peers that wait get an error."""

    def close(self) -> None:
        """Leave and free what is held."""


class Meeting(Exchange, Protocol):
    """An end that has to find the others first."""

    @property
    def address(self) -> tuple[Any, ...]:
        """Where the others find it."""

    def connect(self, addresses: list[Any], peers: Collection[int] | None = None) -> None:
        """Meet the others, or those among them: the address of each rank."""


class Loopback:
    """Exchange among blocks of one process: all post before any waits.

    Parameters
    ----------
    rank, size : int
    board : dict
        Shared by the ends; see `Loopback.ring`.
    """

    far = False

    def __init__(self, rank: int, size: int, board: dict[tuple[int, int], tuple[int, Ids]]) -> None:
        self.rank, self.size, self._board = rank, size, board
        self.address = ()
        self._expected = set(range(size)) - {rank}

    @classmethod
    def ring(cls, size: int) -> list[Loopback]:
        """Connected ends."""
        board: dict[tuple[int, int], tuple[int, Ids]] = {}
        return [cls(rank, size, board) for rank in range(size)]

    def connect(self, addresses: list[Any], peers: Collection[int] | None = None) -> None:
        """Nobody is elsewhere."""

    def post(self, step: int, outgoing: list[Ids | None]) -> None:
        """Put the lists on the board."""
        self._expected = {
            peer for peer, ids in enumerate(outgoing) if ids is not None and peer != self.rank
        }
        for peer, ids in enumerate(outgoing):
            if ids is not None and peer != self.rank:
                self._board[self.rank, peer] = step, ids

    def wait(self, step: int) -> list[Ids]:
        """Take the lists from the board."""
        return [
            self._take(peer, step) if peer in self._expected else NOTHING
            for peer in range(self.size)
        ]

    def _take(self, peer: int, step: int) -> Ids:
        posted, ids = self._board.pop((peer, self.rank), (None, NOTHING))
        if posted != step:
            raise ExchangeError(
                f"swap: block {self.rank} waits for step {step} of block {peer}, found {posted}"
            )
        return ids

    def leave(self) -> None:
        """Nobody waits on a board."""

    def close(self) -> None:
        """Nothing is held."""


LOADING = 10
"""Times the timeout that blocks may take to load and to meet."""
HEADER = struct.Struct("<qI")
"""Step and number of ids that follow."""
HELLO = struct.Struct("<32sI")
"""Session token and rank of the block that connects."""
SLICE = 0.2
"""Seconds after which a wait looks whether this end was closed by another thread."""
HELLO_TIMEOUT = 5.0
"""Seconds that a new connection may take to say who it is."""
NOT_NOW = BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError
"""What a socket raises that would have to wait."""


class End:
    """What the ends in different workers have in common.

    Parameters
    ----------
    rank, size : int
    token : bytes
        32 bytes that every end of this session knows.
    timeout : float
        Seconds that any one wait may take.
    """

    far = True

    def __init__(self, rank: int, size: int, token: bytes, timeout: float) -> None:
        self.rank, self.size, self.timeout = rank, size, timeout
        self._token = token
        self._step = -1
        self._left = False

    def _patience(self) -> float:
        """Seconds to wait: longer before the first step, as blocks load at different speeds."""
        return self.timeout * (LOADING if self._step < 0 else 1)

    def _lost(self, phase: str, peer: int, why: object) -> ExchangeError:
        return ExchangeError(
            f"{phase}: block {self.rank} lost block {peer} at step {self._step}: {why}"
        )

    def _late(self, phase: str, peer: int) -> ExchangeError:
        return self._lost(phase, peer, f"no answer within {self._patience():g} s")

    def _stay(self) -> None:
        if self._left:
            raise ExchangeError(
                f"swap: block {self.rank} left and lost its peers at step {self._step}"
            )


@dataclass
class _Peer:
    """One connection, with the message on its way out and the one on its way in."""

    socket: socket.socket
    outgoing: memoryview = field(default_factory=lambda: memoryview(b""))
    incoming: bytearray = field(default_factory=bytearray)
    needed: int = HEADER.size
    ids: Ids | None = None


class Tcp(End):
    """Exchange by TCP: one connection for each pair of blocks, opened once a session.

    Parameters
    ----------
    rank, size : int
    token : bytes
        32 bytes that every end of this session knows.
    host : str
        Interface to listen on.
    timeout : float
        Seconds that any one wait may take.
    """

    def __init__(self, rank: int, size: int, token: bytes, host: str, timeout: float) -> None:
        super().__init__(rank, size, token, timeout)
        self._peers: dict[int, _Peer] = {}
        self._awaited: set[int] = set()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server((host, 0), backlog=size)
        self.address: tuple[str, int] = (host, self._listener.getsockname()[1])

    def connect(
        self, addresses: list[tuple[str, int]], peers: Collection[int] | None = None
    ) -> None:
        """Connect to every lower rank and accept every higher one.

        Parameters
        ----------
        addresses : list of (host, port)
            Where each rank listens.
        peers : collection of int, optional
            Ranks to connect with, each of which has this one among its own; all by default.
        """
        self._awaited = set(range(self.size) if peers is None else peers) - {self.rank}
        deadline = time.monotonic() + self._patience()
        for peer in sorted(p for p in self._awaited if p < self.rank):
            try:
                sock = socket.create_connection(addresses[peer], timeout=self.timeout)
                sock = self._secured(sock, deadline - time.monotonic(), accepted=False)
                sock.sendall(HELLO.pack(self._token, self.rank))
            except OSError as error:
                raise self._lost("connect", peer, error) from error
            self._join(peer, sock)
        while len(self._peers) < len(self._awaited):
            self._accept(deadline)
        self._listener.close()

    def _accept(self, deadline: float) -> None:
        self._listener.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            waiting = sorted(self._awaited - set(self._peers))
            raise self._lost("connect", waiting[0], error) from error
        try:
            sock = self._secured(sock, HELLO_TIMEOUT, accepted=True)
        except OSError:
            self._stay()
            return  # a stranger
        hello = _hello(sock)
        if hello is not None:
            token, peer = hello
            expected = self.rank < peer and peer in self._awaited - set(self._peers)
            if expected and hmac.compare_digest(token, self._token):
                self._join(peer, sock)
                return
        sock.close()  # a stranger

    def _secured(self, sock: socket.socket, seconds: float, *, accepted: bool) -> socket.socket:
        """A new connection, as it is to be used."""
        return sock

    def _join(self, peer: int, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self._peers[peer] = _Peer(sock)
        self._selector.register(sock, selectors.EVENT_READ, peer)

    def post(self, step: int, outgoing: list[Ids | None]) -> None:
        """Send a list to each peer; what the socket does not take at once goes out in `wait`."""
        self._step = step
        self._stay()
        for rank, peer in self._peers.items():
            ids = outgoing[rank]
            if ids is None:
                peer.ids = NOTHING
                continue
            peer.ids = None
            peer.outgoing = memoryview(HEADER.pack(step, ids.size) + ids.tobytes())
            self._send(rank, peer)

    def wait(self, step: int) -> list[Ids]:
        """Receive the list of each peer, sending on what is left to be sent."""
        deadline = time.monotonic() + self._patience()
        self._stay()
        for rank, peer in self._peers.items():
            self._receive(rank, peer)
        while any(peer.ids is None or peer.outgoing for peer in self._peers.values()):
            left = deadline - time.monotonic()
            if left <= 0:
                late = next(r for r, p in self._peers.items() if p.ids is None or p.outgoing)
                raise self._late("swap", late)
            for key, events in self._ready(left):
                rank, peer = key.data, self._peers[key.data]
                if events & selectors.EVENT_WRITE:
                    self._send(rank, peer)
                if events & selectors.EVENT_READ:
                    self._receive(rank, peer)
        self._stay()
        received = [NOTHING] * self.size
        for rank, peer in self._peers.items():
            assert peer.ids is not None
            received[rank] = peer.ids
        return received

    def _ready(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        self._stay()
        try:
            return self._selector.select(min(seconds, SLICE))
        except (OSError, ValueError, KeyError):  # closed by another thread
            self._stay()
            raise

    def _send(self, rank: int, peer: _Peer) -> None:
        pending = bool(peer.outgoing)
        try:
            while peer.outgoing:
                peer.outgoing = peer.outgoing[peer.socket.send(peer.outgoing) :]
        except NOT_NOW:
            pass
        except OSError as error:
            raise self._lost("send", rank, error) from error
        if pending:
            write = selectors.EVENT_WRITE if peer.outgoing else 0
            self._selector.modify(peer.socket, selectors.EVENT_READ | write, rank)

    def _receive(self, rank: int, peer: _Peer) -> None:
        """Read what there is of one message, never beyond it."""
        while peer.ids is None:
            try:
                part = peer.socket.recv(peer.needed - len(peer.incoming))
            except NOT_NOW:
                return
            except OSError as error:
                raise self._lost("receive", rank, error) from error
            if not part:
                raise self._lost("receive", rank, "it closed the connection")
            peer.incoming += part
            if len(peer.incoming) < peer.needed:
                continue
            step, count = HEADER.unpack_from(peer.incoming)
            if step != self._step:
                raise self._lost("receive", rank, f"it is at step {step}")
            peer.needed = HEADER.size + 4 * count
            if len(peer.incoming) == peer.needed:
                peer.ids = np.frombuffer(bytes(peer.incoming), np.uint32, offset=HEADER.size)
                peer.incoming, peer.needed = bytearray(), HEADER.size

    def leave(self) -> None:
        """Shut every connection, from any thread: whoever waits on one gets an error at once."""
        self._left = True
        for sock in (self._listener, *(peer.socket for peer in list(self._peers.values()))):
            shut(sock)

    def close(self) -> None:
        """Leave and free the sockets."""
        self.leave()
        self._listener.close()
        for peer in self._peers.values():
            peer.socket.close()
        self._peers.clear()
        self._selector.close()


def shut(sock: socket.socket) -> None:
    """Shut a connection, and have its reader and its writer see that.

    Not by the method of an encrypted one, which forgets the keys: who is about to send would do so
    in plain text.
    """
    with suppress(OSError):  # it is gone already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _hello(sock: socket.socket) -> tuple[bytes, int] | None:
    """Token and rank that a new connection tells, or None if it tells nothing in time."""
    told = bytearray()
    sock.settimeout(HELLO_TIMEOUT)
    try:
        while len(told) < HELLO.size:
            part = sock.recv(HELLO.size - len(told))
            if not part:
                return None
            told += part
    except OSError:
        return None
    token, rank = HELLO.unpack(told)
    return token, rank
