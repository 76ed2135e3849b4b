"""Exchange among workers of one host by memory that they share.

Rank 0 makes one anonymous file in memory (`memfd_create`), with a ring of words for each ordered
pair of blocks; the others open it through `/proc`, which only processes of the same user can. It
has a name nowhere: nothing is to be unlinked, it is gone with the last process that has it, however
that ended, and a small `/dev/shm` does not limit it. Its room is taken when it is made, so that
nobody can run out of memory while writing.
"""

from __future__ import annotations

import hashlib
import hmac
import mmap
import os
import stat
import time
from collections.abc import Callable, Collection
from contextlib import suppress

import numpy as np
import psutil
from numpy.typing import NDArray

from dtbdask.errors import CapacityError, ExchangeError
from dtbdask.kernels import cpu_mailbox as mailbox
from dtbdask.kernels.cpu_machine import LINE
from dtbdask.kernels.cpu_march import Box
from dtbdask.sim.exchange import NOTHING, End, Ids

Ints = NDArray[np.int64]

MAGIC = b"dtbdask1"
ALL_RINGS = 2**26
"""Bytes that the rings of all pairs may take together."""
SMALLEST, LARGEST = 2**8, 2**16
"""Words of a ring."""
ROOM = 1024
"""Ids of a peer that there is room for at first."""
SPIN_NS = 5_000_000
"""Time for which a wait stays in the kernel."""
LONG = 0.02
"""Seconds after which who waits sleeps between two looks."""
PAUSE = 0.001
"""Seconds of such a sleep."""
PULSE = 0.1
"""Seconds between two looks whether the peers live."""
LOADING_PAUSE = 0.005
"""Seconds between two looks whether a peer has come."""


class Shm(End):
    """Exchange by shared memory, on one host.

    Parameters
    ----------
    rank, size : int
    token : bytes
        32 bytes that every end of this session knows.
    timeout : float
        Seconds that any one wait may take.

    Raises
    ------
    CapacityError
        There is no room for the rings.
    """

    far = False

    def __init__(self, rank: int, size: int, token: bytes, timeout: float) -> None:
        super().__init__(rank, size, token, timeout)
        self._mask = _words(size) - 1
        self._rings = LINE * (1 + size)  # after the token, and a line for each rank
        self._data = self._rings + 2 * LINE * size * size
        self._bytes = 8 * self._data + 4 * size * size * (self._mask + 1)
        self._board = np.zeros(0, np.int64)
        self._file = self._make() if rank == 0 else -1
        self.address: tuple[int, int] = (os.getpid(), self._file)
        self._peers: dict[int, psutil.Process] = {}
        ranks = np.arange(size)
        self._known = np.stack([self._ring(rank, ranks), self._ring(ranks, rank)])
        self._to, self._of = self._known
        self._of[:, mailbox.ROOM] = ROOM
        self._of[:, mailbox.PLACE] = ROOM * np.arange(size)
        self._inbox, self._outgoing = np.empty(ROOM * size, np.uint32), NOTHING

    def _ring(self, writer: int | Ints, reader: int | Ints) -> Ints:
        """What is known at first of the rings from some to others: (rank, 8) int64."""
        ring = writer * self.size + reader
        known = np.zeros((self.size, mailbox.RING), np.int64)
        known[:, mailbox.AT] = self._rings + 2 * LINE * ring
        known[:, mailbox.DATA] = 2 * self._data + (self._mask + 1) * ring
        return known

    def _make(self) -> int:
        name = hashlib.sha256(self._token).hexdigest()[:16]
        file = os.memfd_create(f"dtbdask-{name}")
        try:
            os.posix_fallocate(file, 0, self._bytes)
        except OSError as error:
            os.close(file)
            free = psutil.virtual_memory().available
            raise CapacityError(
                f"mailboxes of {self.size} blocks need {self._bytes / 1e6:.1f} MB of shared "
                f"memory, of which {free / 1e6:.1f} MB are free ({error.strerror}); use fewer "
                "blocks or exchange='tcp'"
            ) from error
        os.pwrite(file, MAGIC + self._token, 0)
        return file

    def connect(
        self, addresses: list[tuple[int, int]], peers: Collection[int] | None = None
    ) -> None:
        """Open the memory of rank 0, and wait until all others have.

        Parameters
        ----------
        addresses : list of (process, file)
            Process of each rank, and the number of the file in that of rank 0.
        peers : collection of int, optional
            Has no effect: all have the same memory.
        """
        self._open(*addresses[0])
        self.post(-1, [None] * self.size)  # has the kernels compiled before any peer waits
        self.wait(-1)
        deadline = time.monotonic() + self._patience()
        for peer, (process, _) in enumerate(addresses):
            if peer != self.rank:
                with suppress(psutil.NoSuchProcess):  # found when it is waited for
                    self._peers[peer] = psutil.Process(process)
        here = LINE * (1 + np.arange(self.size)) + 1
        mailbox.mark(self._board, here[self.rank], 1)
        for peer in range(self.size):
            while not mailbox.look(self._board, here[peer]):
                self._stay()
                if mailbox.look(self._board, mailbox.left_at(peer)):
                    raise self._lost("connect", peer, "it left")
                self._check("connect", [peer])
                if time.monotonic() > deadline:
                    raise self._late("connect", peer)
                time.sleep(LOADING_PAUSE)
        self._forget_file()

    def _open(self, process: int, file: int) -> None:
        """Map the memory, if it is that of this session."""
        own = self.rank == 0
        try:
            opened = self._file if own else os.open(f"/proc/{process}/fd/{file}", os.O_RDWR)
        except OSError as error:
            raise self._lost("connect", 0, error) from error
        try:
            about = os.fstat(opened)
            hello = MAGIC + self._token
            if not (
                stat.S_ISREG(about.st_mode)
                and about.st_size == self._bytes
                and hmac.compare_digest(os.pread(opened, len(hello), 0), hello)
            ):
                raise self._lost("connect", 0, f"process {process} has no memory of this session")
            memory = mmap.mmap(opened, self._bytes)
        finally:
            if not own:
                os.close(opened)
        self._board = np.frombuffer(memory, np.int64)

    def post(self, step: int, outgoing: list[Ids | None]) -> None:
        """Put the lists into the rings; what has no room there goes on in `wait`."""
        self._step = step
        board = self._memory()
        sent = [ids if peer != self.rank else None for peer, ids in enumerate(outgoing)]
        lists = [ids for ids in sent if ids is not None]
        self._outgoing = np.concatenate(lists) if lists else NOTHING
        self._to[:, mailbox.N_IDS] = [-1 if ids is None else ids.size for ids in sent]
        mailbox.post(board, self._known, self._outgoing, self._inbox, self.rank, step, self._mask)

    def wait(self, step: int) -> list[Ids]:
        """Take the list of each peer, sending on what is left to be sent."""
        board = self._memory()

        def move(patience: int) -> tuple[int, int, int]:
            code, peer = mailbox.wait(
                board, self._known, self._outgoing, self._inbox, self.rank, step, self._mask,
                patience,
            )  # fmt: skip
            if code == mailbox.NO_ROOM:
                self._make_room(peer)
                code = mailbox.WAITING
            return code, peer, step

        self.until_across(move)
        return self._received()

    def until_across(self, move: Callable[[int], tuple[int, int, int]]) -> None:
        """Have a kernel swap, and look after the peers when it waits.

        Parameters
        ----------
        move : callable
            Of the time that it may wait in the kernel, ns. Returns how it ended, with which peer,
            and at which step it is; it is called again until everything is across.
        """
        start = looked = time.monotonic()
        patience = SPIN_NS
        while True:
            code, peer, step = move(patience)
            if step != self._step:  # what it waited for before has come
                self._step, patience, start = step, SPIN_NS, time.monotonic()
            if code == mailbox.ACROSS:
                return
            if code != mailbox.WAITING:
                raise self._ended(code, peer)
            looked = self._go_on_waiting(peer, start, looked)
            if time.monotonic() - start > LONG:
                patience = 0
                time.sleep(PAUSE)

    def reserve(self, room: Ints) -> Box:
        """Have room for lists so long, (rank,) int64, of each peer; what a kernel swaps with."""
        of = self._of
        of[:, mailbox.ROOM] = np.maximum(of[:, mailbox.ROOM], room)
        of[:, mailbox.PLACE] = np.cumsum(of[:, mailbox.ROOM]) - of[:, mailbox.ROOM]
        self._inbox = np.empty(int(of[:, mailbox.ROOM].sum()), np.uint32)
        return Box(self._memory(), self._known, NOTHING, self._inbox, self.rank, self._mask)

    def _memory(self) -> Ints:
        """What is shared, which stays while it is held, whoever closes."""
        board = self._board
        self._stay()
        if not board.size:
            raise ExchangeError(f"swap: block {self.rank} has not met its peers; connect it first")
        return board

    def _received(self) -> list[Ids]:
        sizes, places = self._of[:, mailbox.LENGTH].tolist(), self._of[:, mailbox.PLACE].tolist()
        return [
            self._inbox[place : place + size - mailbox.HEADER] if size else NOTHING
            for size, place in zip(sizes, places, strict=True)
        ]

    def _make_room(self, peer: int) -> None:
        """Move the lists apart, so that the one of a peer has room."""
        old, room = self._of[:, mailbox.PLACE].copy(), self._of[:, mailbox.ROOM]
        kept = room.copy()
        room[peer] = max(2 * room[peer], self._of[peer, mailbox.LENGTH])
        self._of[:, mailbox.PLACE] = np.cumsum(room) - room
        inbox = np.empty(int(room.sum()), np.uint32)
        for place, n, begin in zip(self._of[:, mailbox.PLACE], kept, old, strict=True):
            inbox[place : place + n] = self._inbox[begin : begin + n]
        self._inbox = inbox

    def _ended(self, code: int, peer: int) -> ExchangeError:
        if code == mailbox.OTHER_STEP:
            return self._lost("swap", peer, f"it is at step {self._of[peer, mailbox.FOUND]}")
        if code == mailbox.GONE:
            return self._lost("swap", peer, "it left")
        if code in (mailbox.NO_MESSAGE, mailbox.NO_ROOM):
            return self._lost("swap", peer, "what it sent is no message of spikes heard here")
        return self._lost("swap", peer, "this end left")

    def _go_on_waiting(self, peer: int, start: float, looked: float) -> float:
        """Look at what the kernel does not see; when the peers were last found alive."""
        self._stay()
        now = time.monotonic()
        if now - start > self._patience():
            raise self._late("swap", peer)
        if now - looked > PULSE:
            pending = self._known[:, :, mailbox.DONE] != self._known[:, :, mailbox.LENGTH]
            self._check("swap", np.flatnonzero(pending.any(axis=0)).tolist())
            return now
        return looked

    def _check(self, phase: str, peers: list[int]) -> None:
        """Raise for a peer whose process is gone, or dead and not yet buried."""
        for peer in peers:
            if peer != self.rank and not _lives(self._peers.get(peer)):
                raise self._lost(phase, peer, "its process is gone")

    def leave(self) -> None:
        """Mark that this end left, from any thread: whoever waits for it gets an error at once."""
        self._left = True
        board = self._board
        if board.size:
            mailbox.mark(board, mailbox.left_at(self.rank), 1)

    def close(self) -> None:
        """Leave and let go of the memory, which is freed when the last has."""
        self.leave()
        self._forget_file()
        self._board = np.zeros(0, np.int64)

    def _forget_file(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _words(size: int) -> int:
    """Words of each ring: a power of two, of which all together stay within `ALL_RINGS`."""
    words = LARGEST
    while words > SMALLEST and 4 * words * size * size > ALL_RINGS:
        words //= 2
    return words


def _lives(process: psutil.Process | None) -> bool:
    try:
        return (
            process is not None
            and process.is_running()
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False
