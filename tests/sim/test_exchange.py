"""Each gets exactly what each peer sent it in the same step, or an error in time."""

import errno
import os
import secrets
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from exchanges import (
    NOTHING,
    TOKEN,
    ExchangeTests,
    MeetingTests,
    SocketTests,
    certificates,
    connected,
    ids,
)
from swapping import NEEDS_UCX, remains

from dtbdask.errors import CapacityError, ExchangeError, MissingDependencyError
from dtbdask.sim.exchange import Loopback, Tcp
from dtbdask.sim.exchange_shm import LARGEST as RING
from dtbdask.sim.exchange_shm import Shm
from dtbdask.sim.exchange_tls import Tls
from dtbdask.sim.exchange_ucx import Ucx


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    """The kernels of mailboxes, so that no test waits for them."""
    for end in connected([Shm(rank, 2, TOKEN, 60.0) for rank in range(2)]):
        end.close()


class TestLoopback(ExchangeTests):
    def make(self, size):
        return Loopback.ring(size)

    def swap(self, ends, step, outgoing):
        for end, lists in zip(ends, outgoing, strict=True):
            end.post(step, lists)
        return [end.wait(step) for end in ends]


class TestTcp(SocketTests):
    def end(self, rank, size, timeout=20.0, token=TOKEN):
        return Tcp(rank, size, token, "127.0.0.1", timeout)


class TestTls(SocketTests):
    def end(self, rank, size, timeout=20.0, token=TOKEN):
        return Tls(rank, size, token, "127.0.0.1", timeout, certificates())


class TestShm(MeetingTests):
    def end(self, rank, size, timeout=20.0, token=TOKEN):
        return Shm(rank, size, token, timeout)

    @pytest.mark.parametrize("n", [RING - 4, RING - 3, RING - 2, RING, 2 * RING - 3, 3 * RING])
    def test_lists_about_as_long_as_a_ring_cross_wherever_it_begins(self, ring, n):
        ends = ring(2)
        for step in range(5):
            sent = [[NOTHING, ids(n, step)], [ids(n, step + 9), NOTHING]]
            received = self.swap(ends, step, sent)
            np.testing.assert_array_equal(received[0][1], sent[1][0])
            np.testing.assert_array_equal(received[1][0], sent[0][1])

    def test_an_end_that_met_nobody_says_so(self):
        end = Shm(0, 2, TOKEN, 5.0)
        with pytest.raises(ExchangeError, match="block 0 has not met its peers"):
            end.post(0, [NOTHING] * 2)
        end.close()

    def test_memory_of_something_else_is_refused(self, tmp_path):
        end = Shm(1, 2, TOKEN, 5.0)
        (tmp_path / "other").write_bytes(bytes(end._bytes))
        reader, writer = os.pipe()
        with open(tmp_path / "other", "r+b") as other:
            for file in (other.fileno(), reader, 10**6):
                with pytest.raises(ExchangeError, match="connect: block 1 lost block 0"):
                    end.connect([(os.getpid(), file), end.address])
        os.close(reader)
        os.close(writer)
        end.close()

    def test_one_that_left_before_the_others_came_is_found_at_once(self):
        ends = [self.end(rank, 3) for rank in range(3)]
        addresses = [end.address for end in ends]
        ends[0].close()
        with pytest.raises(ExchangeError, match="connect: block 1 lost block 0"):
            ends[1].connect(addresses)
        for end in ends:
            end.close()

    def test_one_whose_process_dies_before_it_comes_is_found(self):
        sleeper = subprocess.Popen(["sleep", "60"])
        end = self.end(0, 2)
        timer = threading.Timer(0.2, sleeper.kill)  # and not waited for: it stays a zombie
        timer.start()
        start = time.monotonic()
        with pytest.raises(ExchangeError, match=r"block 0 lost block 1 .*process is gone"):
            end.connect([end.address, (sleeper.pid, -1)])
        assert time.monotonic() - start < 2
        end.close()
        sleeper.wait()

    def test_without_room_the_error_says_what_is_needed_and_what_to_do(self, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        token = secrets.token_bytes(32)
        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(CapacityError, match=r"2 blocks need 1\.0 MB .* free .*tcp"):
            Shm(0, 2, token, 5.0)
        assert not remains(token)

    @pytest.mark.parametrize("size", [2, 8, 64, 256])
    def test_the_memory_of_many_blocks_stays_small(self, size):
        end = Shm(1, size, TOKEN, 5.0)
        assert end._bytes < 2**27
        end.close()

    def test_closed_ends_hold_no_memory_and_no_file(self):
        token = secrets.token_bytes(32)
        ends = connected([self.end(rank, 3, token=token) for rank in range(3)])
        self.swap(ends, 0, [[ids(2)] * 3] * 3)
        assert remains(token)
        for end in ends:
            end.close()
        assert not remains(token)


@NEEDS_UCX
class TestUcx(MeetingTests):
    def end(self, rank, size, timeout=20.0, token=TOKEN):
        return Ucx(rank, size, token, timeout)


def test_without_its_library_ucx_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ucxx", None)
    monkeypatch.setitem(sys.modules, "ucxx._lib.libucxx", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dtbdask\[ucx\]'"):
        Ucx(0, 2, TOKEN, 5.0)
