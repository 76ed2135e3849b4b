"""What a move is said to cost is what it costs; pieces are whole tiles, all of them."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import drawn_populations, make_network

from dtbdask.graph.partition import Partition
from dtbdask.graph.pieces import NEIGHBOURS, PIECES, Tiles
from dtbdask.graph.placement import SLACK, TOLERANCE, Placement
from dtbdask.graph.traffic import RATE_HZ, assess, neuron_cost
from dtbdask.rng import TILE


@pytest.fixture(scope="module")
def tiles():
    return Tiles(make_network(voxels=7, neurons=24_000, degree=40).populations, RATE_HZ)


def placed(tiles, n_blocks=4, seed=0):
    """Pieces on blocks at random."""
    start, stop = tiles.pieces(n_blocks)
    block = np.random.default_rng(seed).integers(0, n_blocks, start.size)
    return Placement(tiles, start, stop, block, n_blocks)


def report(tiles, placement):
    made = Partition.of_tiles(placement.owner, tiles.populations.n_neurons)
    return assess(tiles.populations, made)


@given(populations=drawn_populations(), scale=st.integers(1, 400), n_blocks=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_pieces_are_all_tiles_in_order_and_small(populations, scale, n_blocks):
    populations = dataclasses.replace(populations, size=populations.size * scale)
    tiles = Tiles(populations, RATE_HZ)
    start, stop = tiles.pieces(n_blocks)
    assert (start[0], stop[-1]) == (0, tiles.n_tiles)
    np.testing.assert_array_equal(start[1:], stop[:-1])
    assert (stop > start).all()
    assert (stop - start).max() <= -(-tiles.n_tiles // (n_blocks * PIECES))
    per_neuron = np.repeat(neuron_cost(populations), populations.size)
    cost = np.add.reduceat(per_neuron, np.arange(0, per_neuron.size, TILE))
    np.testing.assert_allclose(np.diff(tiles.cost_before), 1000 * cost, atol=1)


def test_pieces_end_where_a_voxel_does(tiles):
    """A bound of voxels is missed only where the two of them fit in one piece."""
    populations = tiles.populations
    start, _ = tiles.pieces(2)
    bounds = np.rint(populations.first[::2] / TILE).astype(int)
    assert np.isin(bounds, start).all()


@given(seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_loss_of_a_move_is_the_change_of_the_traffic(tiles, seed):
    placement, draw = placed(tiles, seed=seed), np.random.default_rng(seed)
    before = placement.traffic
    np.testing.assert_allclose(before, report(tiles, placement).traffic / RATE_HZ, rtol=1e-5)
    piece = int(draw.integers(placement.block.size))
    target = np.setdiff1d(np.arange(4), placement.block[piece])
    loss = placement.loss(np.array([piece]), np.ones((1, 3)), target)
    k = int(draw.integers(3))
    placement.move(piece, int(target[k]))
    np.testing.assert_allclose(placement.traffic - before, loss[0, k], atol=1)
    found = report(tiles, placement)
    np.testing.assert_allclose(found.traffic / RATE_HZ, placement.traffic, rtol=1e-5)
    np.testing.assert_allclose(found.load * 1000, placement.load, rtol=1e-6)


def test_losses_of_many_pieces_are_those_of_each(tiles):
    placement = placed(tiles)
    mine, target = np.flatnonzero(placement.block == 2), np.array([3, 0])
    share = np.random.default_rng(0).uniform(0.1, 1, (mine.size, 2))
    together = placement.loss(mine, share, target)
    for i, piece in enumerate(mine):
        for t in range(2):
            alone = placement.loss(
                np.array([piece]), share[i : i + 1, t : t + 1], target[t : t + 1]
            )
            np.testing.assert_allclose(alone[0, 0], together[i, t], rtol=1e-5, atol=0.1)


def test_a_piece_that_is_split_and_moved_takes_its_tiles_along(tiles):
    placement = placed(tiles)
    piece = int((placement.stop - placement.start).argmax())
    width = int(placement.stop[piece] - placement.start[piece])
    owner, last = placement.owner, int(placement.stop[piece])
    new = placement.split(piece, 1)
    np.testing.assert_array_equal(placement.owner, owner)
    assert (new == piece) == (width == 1)
    target = (owner[last - 1] + 1) % 4
    placement.move(new, int(target))
    changed = np.flatnonzero(placement.owner != owner)
    assert changed.tolist() == [last - 1]
    assert placement.split(new, 5) == new
    found = report(tiles, placement)
    np.testing.assert_allclose(found.traffic / RATE_HZ, placement.traffic, rtol=1e-5)


def test_ties_are_symmetric_few_and_those_of_the_spikes_between_two_pieces(tiles):
    start, stop = tiles.pieces(4)
    ties = tiles.ties(start, stop)
    assert abs(ties - ties.T).max() == 0
    assert not ties.diagonal().any()
    two = Placement(tiles, start, stop, np.arange(start.size), start.size)
    i, j = 3, int(ties.indices[ties.indptr[3]])
    tied = sum(
        two.neurons[a].astype(float) @ (1 - np.exp(-two.drawn[b].astype(float)))
        for a, b in ((i, j), (j, i))
    )
    np.testing.assert_allclose(ties[i, j], tied, rtol=1e-4)
    strongest = np.diff(tiles.ties(*tiles.pieces(9)).indptr)
    assert strongest.min() >= min(NEIGHBOURS, start.size - 1)


def test_refining_lowers_traffic_within_the_slack_and_rebalancing_levels(tiles):
    placement = placed(tiles)
    placement.rebalance()
    even = placement.traffic
    placement.refine(tiles.ties(placement.start, placement.stop))
    assert placement.traffic < 0.97 * even
    assert placement.load.max() <= placement.mean * (1 + SLACK)
    refined = placement.traffic
    placement.rebalance()
    cost = np.diff(tiles.cost_before).max()
    assert placement.load.max() <= max(placement.mean * (1 + TOLERANCE), placement.mean + cost)
    assert placement.traffic < even - (even - refined) / 2
    np.testing.assert_array_equal(np.sort(np.unique(placement.owner)), np.arange(4))


@pytest.mark.parametrize("n_blocks", [2, 9])
def test_empty_blocks_are_filled(tiles, n_blocks):
    start, stop = tiles.pieces(n_blocks)
    placement = Placement(tiles, start, stop, np.zeros(start.size, int), n_blocks)
    placement.fill()
    assert (np.bincount(placement.owner, minlength=n_blocks) >= 1).all()
    placement.rebalance()
    cost = np.diff(tiles.cost_before).max()
    assert placement.load.max() <= placement.mean + cost
