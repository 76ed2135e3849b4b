"""Each gets exactly what each peer sent it in the same step, or an error in time."""

import errno
import os
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from exchanges import NOTHING, TOKEN, ExchangeTests, connected, ids, swap_on_threads
from swapping import NEEDS_UCX, remains

from dtbdask.errors import CapacityError, ExchangeError, MissingDependencyError
from dtbdask.sim.exchange import HEADER, HELLO, LOADING, Loopback, Tcp
from dtbdask.sim.exchange_shm import LARGEST as RING
from dtbdask.sim.exchange_shm import Shm
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


class MeetingTests(ExchangeTests):
    """What ends promise that are advanced each by itself; `end` makes one that has met nobody."""

    def end(self, rank, size, timeout=20.0, token=TOKEN):
        raise NotImplementedError

    def make(self, size, timeout=20.0):
        return connected([self.end(rank, size, timeout) for rank in range(size)])

    def swap(self, ends, step, outgoing):
        return swap_on_threads(ends, step, outgoing)

    def test_a_silent_peer_is_an_error_after_the_timeout(self):
        ends = self.make(3, timeout=0.3)
        ends[1].post(5, [ids(1)] * 3)
        ends[0].post(5, [ids(1)] * 3)
        start = time.monotonic()
        with pytest.raises(ExchangeError, match=r"block 0 lost block 2 at step 5: .*within 0\.3 s"):
            ends[0].wait(5)
        assert 0.25 < time.monotonic() - start < 2
        for end in ends:
            end.close()

    def test_a_peer_that_leaves_while_it_is_waited_for_wakes_the_waiting(self):
        ends = self.make(2)
        ends[0].post(9, [NOTHING, ids(4)])
        left = []
        timer = threading.Timer(0.2, lambda: (left.append(time.monotonic()), ends[1].close()))
        timer.start()
        with pytest.raises(ExchangeError, match=r"\w+: block 0 lost block 1 at step 9"):
            ends[0].wait(9)
        assert time.monotonic() - left[0] < 1
        ends[0].close()

    def test_closing_ones_own_end_wakes_ones_own_waiting_with_an_exchange_error(self):
        ends = self.make(3, timeout=3.0)
        ends[0].post(1, [NOTHING] * 3)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ends[0].wait, 1)
            time.sleep(0.2)
            start = time.monotonic()
            ends[0].close()
            error = waiting.exception(timeout=5)
        assert isinstance(error, ExchangeError), repr(error)
        assert time.monotonic() - start < 1
        for end in ends[1:]:
            end.close()

    def test_a_closed_end_says_so_and_does_not_find_that_nobody_sent_anything(self):
        ends = self.make(2)
        ends[0].close()
        with pytest.raises(ExchangeError, match=r"closed|lost"):
            ends[0].post(1, [NOTHING] * 2) or ends[0].wait(1)
        ends[1].close()

    def test_closing_twice_does_no_harm(self):
        for end in self.make(2):
            end.close()
            end.close()

    def test_a_peer_that_never_comes_is_an_error_after_the_time_for_loading(self):
        end = self.end(0, 3, timeout=0.05)
        start = time.monotonic()
        with pytest.raises(ExchangeError, match="connect: block 0 lost block 1"):
            end.connect([end.address] * 3)
        assert 0.04 * LOADING < time.monotonic() - start < 2
        end.close()

    def test_a_peer_may_take_longer_to_load_than_to_answer(self):
        ends = self.make(2, timeout=0.1)
        ends[0].post(-1, [NOTHING, ids(3)])
        timer = threading.Timer(0.3, ends[1].post, (-1, [ids(4), NOTHING]))
        timer.start()
        np.testing.assert_array_equal(ends[0].wait(-1)[1], ids(4))
        timer.join()
        for end in ends:
            end.close()

    def test_one_with_another_token_learns_that_it_was_refused(self):
        true = self.end(0, 2, timeout=0.1)
        false = self.end(1, 2, timeout=0.1, token=b"f" * 32)
        with ThreadPoolExecutor(1) as pool:
            accepting = pool.submit(true.connect, [true.address, false.address])
            with pytest.raises(ExchangeError):
                false.connect([true.address, false.address]) or false.post(0, [NOTHING] * 2) or (
                    false.wait(0)
                )
            assert isinstance(accepting.exception(timeout=5), ExchangeError)
        true.close()
        false.close()


class TestTcp(MeetingTests):
    def end(self, rank, size, timeout=20.0, token=TOKEN):
        return Tcp(rank, size, token, "127.0.0.1", timeout)

    @pytest.mark.parametrize("sent", [1, HEADER.size, HEADER.size + 4])
    def test_a_peer_that_dies_within_a_message_is_an_error(self, sent):
        ends = self.make(2)
        ends[0].post(2, [NOTHING, NOTHING])
        message = HEADER.pack(2, 3) + ids(3).tobytes()
        ends[1]._peers[0].socket.send(message[:sent])
        ends[1].close()
        with pytest.raises(ExchangeError, match=r"block 0 lost block 1 at step 2"):
            ends[0].wait(2)
        ends[0].close()

    def test_a_message_in_crumbs_arrives_whole(self):
        ends = self.make(2)
        ends[0].post(2, [NOTHING, NOTHING])
        message, raw = HEADER.pack(2, 3) + ids(3).tobytes(), ends[1]._peers[0].socket

        def crumble():
            for byte in message:
                raw.send(bytes([byte]))
                time.sleep(0.002)

        thread = threading.Thread(target=crumble)
        thread.start()
        np.testing.assert_array_equal(ends[0].wait(2)[1], ids(3))
        thread.join()
        for end in ends:
            end.close()

    def test_a_peer_that_is_not_there_is_an_error_that_names_it(self):
        with socket.create_server(("127.0.0.1", 0)) as gone:
            nobody = gone.getsockname()
        late = Tcp(1, 2, TOKEN, "127.0.0.1", 5.0)
        with pytest.raises(ExchangeError, match="connect: block 1 lost block 0"):
            late.connect([nobody, late.address])
        late.close()

    @pytest.mark.parametrize(
        "says",
        [b"", b"GET / HTTP/1.1\r\n\r\n", HELLO.pack(b"x" * 32, 1), HELLO.pack(TOKEN, 0),
         HELLO.pack(TOKEN, 7), HELLO.pack(TOKEN[:-1] + b"u", 1) + ids(100).tobytes()],
        ids=["nothing", "http", "wrong token", "own rank", "no such rank", "nearly"],
    )  # fmt: skip
    @pytest.mark.parametrize("leaves", ["closes", "resets", "stays"])
    def test_a_stranger_is_refused_and_the_peers_still_meet(self, says, leaves):
        ends = [Tcp(rank, 2, TOKEN, "127.0.0.1", 2.0) for rank in range(2)]
        stranger = socket.create_connection(ends[0].address)
        stranger.sendall(says)
        if leaves == "resets":
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if leaves != "stays":
            stranger.close()
        try:
            connected(ends)
            sent = [[NOTHING, ids(5, 1)], [ids(6, 2), NOTHING]]
            received = self.swap(ends, 0, sent)
            np.testing.assert_array_equal(received[0][1], sent[1][0])
            np.testing.assert_array_equal(received[1][0], sent[0][1])
        finally:
            stranger.close()
            for end in ends:
                end.close()

    def test_nobody_can_connect_once_all_have_met(self):
        ends = self.make(2)
        for end in ends:
            with pytest.raises(OSError):  # noqa: PT011
                socket.create_connection(end.address, timeout=1)
            end.close()


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
