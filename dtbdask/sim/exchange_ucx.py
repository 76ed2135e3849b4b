"""Exchange among workers by UCX, which takes the fastest network there is between hosts.

UCXX's synchronous core, without asyncio and without a thread of its own: a wait moves the messages
along itself. Endpoints have UCX's error handling on, so that a lost peer is found. Each ordered
pair of blocks has a tag of 64 bits that follows from the session token, and messages with another
one are never looked at; the token itself is not sent. Messages are not encrypted.
"""

from __future__ import annotations

import hmac
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import MissingDependencyError
from dtbdask.sim.exchange import HEADER, NOTHING, End, Ids

LONG = 0.02
"""Seconds after which who waits sleeps between two looks."""
PAUSE = 0.001
"""Seconds of such a sleep."""
PARTING = 0.2
"""Seconds that saying good-bye may take: UCX does not tell a peer that its endpoint was closed."""


@dataclass
class _Peer:
    """One connection, with the message on its way out and the one on its way in."""

    endpoint: Any
    send_tag: Any
    receive_tag: Any
    leave_tag: Any
    left_tag: Any
    sending: Any = None
    outgoing: Any = None
    receiving: Any = None
    incoming: NDArray[np.uint8] | None = None
    ids: Ids | None = None


class Ucx(End):
    """Exchange by UCX: one endpoint for each peer, opened once a session.

    Parameters
    ----------
    rank, size : int
    token : bytes
        32 bytes that every end of this session knows.
    timeout : float
        Seconds that any one wait may take.

    Raises
    ------
    MissingDependencyError
        There is no UCXX.
    """

    def __init__(self, rank: int, size: int, token: bytes, timeout: float) -> None:
        super().__init__(rank, size, token, timeout)
        self._ucx, self._array = _library()
        features = self._ucx.Feature.TAG, self._ucx.Feature.WAKEUP
        self._worker = self._ucx.UCXWorker(self._ucx.UCXContext(feature_flags=features))
        self.address: tuple[bytes] = (self._worker.address.tobytes(),)
        self._peers: dict[int, _Peer] = {}
        self._busy = threading.Lock()
        self._phase = "connect"

    def connect(self, addresses: list[tuple[bytes]], peers: Collection[int] | None = None) -> None:
        """Open an endpoint to every other rank, and wait for a first message of each.

        Parameters
        ----------
        addresses : list of (bytes,)
            Address of the UCX worker of each rank.
        peers : collection of int, optional
            Ranks to connect with, each of which has this one among its own; all by default.
        """
        met = range(self.size) if peers is None else peers
        with self._working():
            for peer, (address,) in enumerate(addresses):
                if peer == self.rank or peer not in met:
                    continue
                try:
                    endpoint = self._ucx.UCXEndpoint.create_from_worker_address(
                        self._worker, self._ucx.UCXAddress.create_from_buffer(address),
                        endpoint_error_handling=True,
                    )  # fmt: skip
                except self._ucx.UCXError as error:
                    raise self._lost("connect", peer, error) from error
                pairs = (self.rank, peer), (peer, self.rank)
                tags = [self._tag(what, *pair) for what in ("ids", "leaves") for pair in pairs]
                self._peers[peer] = _Peer(endpoint, *tags)
        self.post(-1, [NOTHING] * self.size)
        self.wait(-1)
        self._phase = "swap"

    def _tag(self, what: str, source: int, target: int) -> Any:
        digest = hmac.digest(self._token, f"{what} {source} {target}".encode(), "sha256")
        return self._ucx.UCXXTag(int.from_bytes(digest[:8], "little"))

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Use UCX, which no other thread does meanwhile; part afterwards, if this end left."""
        with self._busy:
            try:
                self._stay()
                yield
            finally:
                if self._left:
                    self._part()

    def post(self, step: int, outgoing: list[Ids | None]) -> None:
        """Send a list to each peer; what is not gone at once goes on in `wait`."""
        self._step = step
        with self._working():
            for rank, peer in self._peers.items():
                ids = outgoing[rank]
                if ids is None:
                    peer.ids = NOTHING
                    continue
                peer.ids = None
                peer.outgoing = self._array(HEADER.pack(step, ids.size) + ids.tobytes())
                try:
                    peer.sending = peer.endpoint.tag_send(peer.outgoing, peer.send_tag)
                except self._ucx.UCXError as error:
                    raise self._lost(self._phase, rank, error) from error

    def wait(self, step: int) -> list[Ids]:
        """Receive the list of each peer, sending on what is left to be sent."""
        with self._working():
            start = time.monotonic()
            while pending := self._move():
                self._stay()
                waited = time.monotonic() - start
                if waited > self._patience():
                    raise self._late(self._phase, pending[0])
                if waited < LONG:
                    os.sched_yield()
                else:
                    time.sleep(PAUSE)
            received = [NOTHING] * self.size
            for rank, peer in self._peers.items():
                assert peer.ids is not None
                received[rank] = peer.ids
            return received

    def _move(self) -> list[int]:
        """Move messages along; peers with which something is still under way."""
        self._worker.progress()
        pending = []
        for rank, peer in self._peers.items():
            try:
                sent, received = self._sent(peer), self._received(rank, peer)
                if not (sent and received):
                    peer.endpoint.raise_on_error()
                    if self._worker.tag_probe(peer.left_tag).matched:
                        raise self._lost(self._phase, rank, "it left")
                    pending.append(rank)
            except self._ucx.UCXError as error:
                raise self._lost(self._phase, rank, error) from error
        return pending

    def _sent(self, peer: _Peer) -> bool:
        if peer.sending is not None:
            if not peer.sending.completed:
                return False
            peer.sending.check_error()
            peer.sending = peer.outgoing = None
        return True

    def _received(self, rank: int, peer: _Peer) -> bool:
        if peer.ids is not None:
            return True
        if peer.receiving is None:
            probe = self._worker.tag_probe(peer.receive_tag, remove=True)
            if not probe.matched:
                return False
            peer.incoming = np.empty(probe.length, np.uint8)
            array = self._array(peer.incoming)
            peer.receiving = self._worker.tag_recv_with_handle(array, probe)
        if not peer.receiving.completed:
            return False
        peer.receiving.check_error()
        message, peer.receiving, peer.incoming = peer.incoming, None, None
        assert message is not None
        step, _ = HEADER.unpack_from(message.data)
        if step != self._step:
            raise self._lost(self._phase, rank, f"it is at step {step}")
        peer.ids = message[HEADER.size :].view(np.uint32)
        return True

    def leave(self) -> None:
        """Tell every peer, from any thread: whoever waits for this end gets an error at once."""
        self._left = True
        if self._busy.acquire(blocking=False):  # else who is at work sees it
            try:
                self._part()
            finally:
                self._busy.release()

    def _part(self) -> None:
        peers, self._peers = self._peers, {}
        word, sent = self._array(b"leaves"), []
        for peer in peers.values():
            with suppress(self._ucx.UCXError):  # it is gone already
                sent.append(peer.endpoint.tag_send(word, peer.leave_tag))
        deadline = time.monotonic() + PARTING
        while not all(request.completed for request in sent) and time.monotonic() < deadline:
            self._worker.progress()
        for peer in peers.values():
            with suppress(self._ucx.UCXError):
                peer.endpoint.close()
        self._worker.progress()

    def close(self) -> None:
        """Leave; UCX frees what it held."""
        self.leave()
        with self._busy:  # until whoever was at work has parted
            self._peers = {}


def _library() -> tuple[Any, Any]:
    """UCXX's core, and its view of a buffer."""
    os.environ.setdefault("UCX_WARN_UNUSED_ENV_VARS", "n")
    try:
        import ucxx._lib.libucxx as ucx
        from ucxx._lib.arr import Array
    except ImportError as error:
        raise MissingDependencyError(
            f"exchange is 'ucx', but UCXX is missing ({error}); pip install 'dtbdask[ucx]'"
        ) from error
    return ucx, Array
