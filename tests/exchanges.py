"""What any exchange promises, and what its tests need."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dtbdask.errors import ExchangeError

TOKEN = b"t" * 32
NOTHING = np.zeros(0, np.uint32)


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
