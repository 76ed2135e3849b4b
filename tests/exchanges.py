"""What any exchange promises, and what its tests need."""

import re
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from dtbdask.errors import ExchangeError
from dtbdask.sim import exchange
from dtbdask.sim.exchange import HEADER, HELLO, LOADING

TOKEN = b"t" * 32
NOTHING = np.zeros(0, np.uint32)


@cache
def certificates():
    """Those of a cluster, made for the time of the tests."""
    from distributed.security import Security

    return Security.temporary()


def connected(ends, peers=None):
    """Ends that have met all others, or each its peers."""
    addresses = [end.address for end in ends]
    with ThreadPoolExecutor(len(ends)) as pool:
        list(
            pool.map(lambda end, of: end.connect(addresses, of), ends, peers or [None] * len(ends))
        )
    return ends


def swap_on_threads(ends, step, outgoing):
    """One step of ends whose waits may block."""

    def one(end, lists):
        end.post(step, lists)
        return end.wait(step)

    with ThreadPoolExecutor(len(ends)) as pool:
        return list(pool.map(one, ends, outgoing))


def ids(n, seed=0):
    return np.random.default_rng(seed).integers(0, 2**32, n, dtype=np.uint32)


class ExchangeTests:
    """What any exchange promises; `make(size)` gives connected ends, `swap` one step of all."""

    def make(self, size):
        raise NotImplementedError

    def swap(self, ends, step, outgoing):
        raise NotImplementedError

    @pytest.fixture
    def ring(self):
        held = []

        def make(size):
            held.extend(ends := self.make(size))
            return ends

        yield make
        for end in held:
            end.close()

    @pytest.mark.parametrize("size", [1, 2, 3, 5])
    def test_each_gets_what_each_peer_sent_it_in_every_step(self, ring, size):
        ends, draw = ring(size), np.random.default_rng(size)
        assert [(end.rank, end.size) for end in ends] == [(r, size) for r in range(size)]
        for step in range(-1, 12):
            sent = [
                [ids(draw.integers(0, 50), r + 7 * q) for q in range(size)] for r in range(size)
            ]
            for rank, received in enumerate(self.swap(ends, step, sent)):
                assert len(received) == size
                for peer, found in enumerate(received):
                    meant = NOTHING if peer == rank else sent[peer][rank]
                    assert found.dtype == np.uint32
                    np.testing.assert_array_equal(found, meant)

    @pytest.mark.parametrize("sizes", [(0, 0), (1, 0), (0, 1_000_000), (1_000_000, 1_000_000)])
    def test_any_size_goes_both_ways_at_once(self, ring, sizes):
        ends = ring(2)
        sent = [[NOTHING, ids(sizes[0], 1)], [ids(sizes[1], 2), NOTHING]]
        for step in range(3):
            received = self.swap(ends, step, sent)
            np.testing.assert_array_equal(received[0][1], sent[1][0])
            np.testing.assert_array_equal(received[1][0], sent[0][1])

    def test_who_is_sent_nothing_sends_nothing_and_is_heard_again_later(self, ring):
        ends = ring(3)
        for step in range(12):
            apart = {(a, b) for a, b in ((0, 1), (0, 2), (1, 2)) if step % (2 + a + b)}
            sent = [
                [None if tuple(sorted((a, b))) in apart else ids(step + b, a) for b in range(3)]
                for a in range(3)
            ]
            for rank, received in enumerate(self.swap(ends, step, sent)):
                for peer, found in enumerate(received):
                    meant = None if peer == rank else sent[peer][rank]
                    np.testing.assert_array_equal(found, NOTHING if meant is None else meant)

    def test_a_peer_at_another_step_is_an_error_that_names_it(self, ring):
        ends = ring(2)
        ends[1].post(4, [ids(3), NOTHING])
        ends[0].post(3, [NOTHING, ids(3)])
        with pytest.raises(ExchangeError, match=r"block 0 .*step 3.*") as error:
            ends[0].wait(3)
        assert re.search(r"block 1\b.*\b4\b", str(error.value))

    def test_a_peer_that_left_is_an_error_at_once_that_names_phase_block_peer_and_step(self, ring):
        ends = ring(3)
        self.swap(ends, 0, [[ids(2)] * 3] * 3)
        ends[2].close()
        ends[1].post(1, [ids(2)] * 3)
        start = time.monotonic()
        with pytest.raises(ExchangeError, match=r"^\w+: block 0 .*block 2\b") as error:
            ends[0].post(1, [ids(2)] * 3) or ends[0].wait(1)
        assert time.monotonic() - start < 1
        assert re.search(r"step 1\b", str(error.value))


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


class SocketTests(MeetingTests):
    """What ends promise that meet by sockets of TCP."""

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
        late = self.end(1, 2, 5.0)
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
    def test_a_stranger_is_refused_and_the_peers_still_meet(self, monkeypatch, says, leaves):
        monkeypatch.setattr(exchange, "HELLO_TIMEOUT", 0.7)
        ends = [self.end(rank, 2, 2.0) for rank in range(2)]
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
