"""Lists that travel over two hops are those that were sent."""

import numpy as np
import pytest
from exchanges import NOTHING, TOKEN, ExchangeTests, connected, ids, swap_on_threads
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.sim.exchange import Tcp
from dtbdask.sim.grid import Grid, Routes, best_row, joined, parted

shapes = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@settings(deadline=None)
@given(shapes)
def test_every_list_has_one_way_of_at_most_two_hops(shape):
    routes = Routes(*shape)
    for source in range(routes.size):
        own = source // routes.row
        for r in range(routes.n_rows):
            if r != own:
                relay = routes.relay(source, r)
                assert relay in routes.of_row(r)
                assert [q for q in routes.of_row(r) if source in routes.sources(q)] == [relay]


@settings(deadline=None)
@given(shapes)
def test_neighbours_are_mutual_and_few(shape):
    routes = Routes(*shape)
    neighbours = [routes.neighbours(rank) for rank in range(routes.size)]
    for rank, those in enumerate(neighbours):
        assert rank not in those
        assert all(rank in neighbours[other] for other in those)
    most = routes.n_rows + routes.row - 2
    last = routes.of_row(routes.n_rows - 1)
    assert max((len(neighbours[r]) for r in range(last[0])), default=0) <= most
    columns = -(-routes.row // len(last))  # that a block of the last row serves
    assert max(len(neighbours[r]) for r in last) <= columns * (routes.n_rows - 1) + routes.row - 1


def test_peers_of_a_rank_of_the_largest_machine():
    """As DTB's: 14,012 cards, four of a node, 3,502 + 3; and where rows may be of any length."""
    assert {len(Routes(14_012, 4).neighbours(r)) for r in (0, 7_000, 14_011)} == {3_505}
    row = best_row([""] * 14_012)
    assert row == 119
    assert len(Routes(14_012, row).neighbours(5_000)) == 235


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(0, 5), max_size=8))
def test_a_message_gives_its_lists_back(sizes):
    lists = [None if n is None else ids(n, n) for n in sizes]
    back = parted(joined(lists), len(lists))
    for ids_, found in zip(lists, back, strict=True):
        assert (ids_ is None) == (found is None)
        np.testing.assert_array_equal(NOTHING if ids_ is None else ids_,
                                      NOTHING if found is None else found)  # fmt: skip


@pytest.mark.parametrize(
    ("hosts", "row"),
    [("a", 1), ("ab", 2), ("aabb", 2), ("aaaabbbb", 4), ("aaaa", 2), ("abcdefghi", 3)],
)
def test_a_row_is_a_host_where_hosts_tell_something(hosts, row):
    assert best_row(list(hosts)) == row


class TestGrid(ExchangeTests):
    def make(self, size, row=None):
        row = row or max(1, size // 2)
        inner = [Tcp(rank, size, TOKEN, "127.0.0.1", 20.0) for rank in range(size)]
        routes = Routes(size, row)
        connected(inner, [routes.neighbours(rank) for rank in range(size)])
        return [Grid(end, row) for end in inner]

    def swap(self, ends, step, outgoing):
        return swap_on_threads(ends, step, outgoing)

    @settings(max_examples=15, deadline=None)
    @given(
        shape=st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
        seed=st.integers(0, 99),
    )
    def test_any_shape_gives_what_was_sent(self, shape, seed):
        size, draw = shape[0], np.random.default_rng(seed)
        ends = self.make(*shape)
        try:
            for step in range(-1, 3):
                n = draw.integers(-1, 20, (size, size))
                np.minimum(n, np.where(n.T < 0, -1, n), out=n)  # nothing is mutual
                sent = [[None if k < 0 else ids(k, k) for k in row] for row in n]
                for rank, received in enumerate(self.swap(ends, step, sent)):
                    for peer, found in enumerate(received):
                        there = NOTHING if peer == rank else sent[peer][rank]
                        np.testing.assert_array_equal(found, NOTHING if there is None else there)
        finally:
            for end in ends:
                end.close()
