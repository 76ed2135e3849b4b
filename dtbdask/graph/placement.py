"""Pieces on blocks: what moving one costs, and how moves find less traffic and equal loads.

The traffic that a block causes is what it hears from others, f = sum_q (size_q - n_q) h_q with
h_q = 1 - exp(-lambda_q), so the total is a sum over blocks and a move changes two of its terms:
every change is exact, whatever else the blocks hold.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from dtbdask.graph.pieces import Tiles

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOLERANCE = 0.002
"""Load above the mean that is left alone in the end."""
SLACK = 0.03
"""Load above the mean that is allowed while traffic is sought."""
SWEEPS = 3
"""Times that every piece may move."""
CANDIDATES = 4
"""Blocks that a piece may move to in a sweep: those it is tied to most."""
TARGETS = 8
"""Light blocks that a heavy one may give tiles to: the lightest."""


class Placement:
    """Which block each piece is in, and what follows for the blocks.

    Parameters
    ----------
    tiles : Tiles
    start, stop : (piece,) int64
        Tiles of each piece; together all tiles.
    block : (piece,) int64
    n_blocks : int

    Attributes
    ----------
    neurons : (block, population) float32
        What each block has.
    drawn : (block, population) float32
        Times that each block draws a neuron as a source.
    load : (block,) int64, ps
    """

    def __init__(self, tiles: Tiles, start: Ints, stop: Ints, block: Ints, n_blocks: int) -> None:
        self.tiles, self.start, self.stop, self.block = tiles, start, stop, block.astype(np.int64)
        self._profile = tiles.profiles(start, stop)
        self.load = np.zeros(n_blocks, np.int64)
        np.add.at(self.load, self.block, self._cost())
        self.mean = float(self.load.mean())
        shape = (n_blocks, tiles.size.size)
        self.neurons, self.drawn = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for profile, b in zip(self._profile, self.block, strict=True):
            self.neurons[b, profile.population] += profile.neurons
            self.drawn[b, profile.population] += profile.drawn

    @property
    def traffic(self) -> float:
        """Blocks that hear a neuron of another, summed over all neurons."""
        total = 0.0
        for neurons, drawn in zip(self.neurons, self.drawn, strict=True):
            total += float((self.tiles.size - neurons) @ (1 - np.exp(-drawn)))
        return total

    @property
    def owner(self) -> Ints:
        """Block of each tile: (tile,) int64."""
        order = np.argsort(self.start)
        return np.repeat(self.block[order], (self.stop - self.start)[order])

    def loss(self, pieces: Ints, share: Floats, target: Ints) -> Floats:
        """Change of the traffic if a share of a piece went to another block.

        Parameters
        ----------
        pieces : (piece,) int64
            All in one block.
        share : (piece, target) float64
            Of the tiles of the piece, above 0.
        target : (target,) int64
            Other blocks.

        Returns
        -------
        (piece, target) float64
        """
        home, profiles = self.block[pieces[0]], [self._profile[i] for i in pieces]
        count = np.array([profile.population.size for profile in profiles])
        q, drawn, neurons = (np.concatenate(column) for column in zip(*profiles, strict=True))
        part = np.repeat(share.astype(np.float32), count, axis=0).T  # (target, entry)
        a, n = drawn * part, neurons * part
        size, where = self.tiles.size[q].astype(np.float32), (target[:, None], q)
        miss, keep = np.exp(-self.drawn[where]), np.exp(-a)
        change = (size - self.neurons[where]) * miss * (1 - keep) - n * (1 - miss * keep)
        before, foreign = self.drawn[home, q], size - self.neurons[home, q]
        change += (foreign + n) * (1 - np.exp(a - before)) - foreign * (1 - np.exp(-before))
        first = np.cumsum(count) - count
        total: Floats = np.add.reduceat(change, first, axis=1, dtype=np.float64).T
        return total

    def move(self, piece: int, target: int) -> None:
        """Put a piece into another block."""
        q, drawn, neurons = self._profile[piece]
        cost = self._cost(piece)
        for block, sign in ((int(self.block[piece]), -1), (target, 1)):
            self.neurons[block, q] += np.float32(sign) * neurons
            self.drawn[block, q] += np.float32(sign) * drawn
            self.load[block] += sign * cost
        self.block[piece] = target

    def split(self, piece: int, n_tiles: int) -> int:
        """Make the last tiles of a piece one of their own, and return its number."""
        low, high = int(self.start[piece]), int(self.stop[piece])
        if n_tiles >= high - low:
            return piece
        middle = high - n_tiles
        halves = np.array([low, middle]), np.array([middle, high])
        self._profile[piece], new = self.tiles.profiles(*halves)
        self._profile.append(new)
        self.stop[piece] = middle
        self.start, self.stop = np.append(self.start, middle), np.append(self.stop, high)
        self.block = np.append(self.block, self.block[piece])
        return self.block.size - 1

    def fill(self) -> None:
        """Give every empty block a tile."""
        held = np.bincount(self.block, self.stop - self.start, self.load.size)
        for empty in np.flatnonzero(held == 0):
            richest = int(held.argmax())
            piece = int(np.flatnonzero(self.block == richest)[-1])
            self.move(self.split(piece, 1), int(empty))
            held[richest] -= 1
            held[empty] = 1

    def refine(self, ties: sp.csr_array) -> None:
        """Move pieces to where they cause less traffic, as far as the slack allows.

        Parameters
        ----------
        ties : (piece, piece) float64, sparse
            Where to look first.
        """
        most = self.mean * (1 + SLACK)
        every = np.arange(self.block.size)
        for _ in range(SWEEPS):
            shape = (self.block.size, self.load.size)
            now = sp.csr_array((np.ones(every.size), (every, self.block)), shape=shape)
            tied = sp.csr_array(ties @ now)
            tied.sort_indices()
            moved = sum(self._improve(i, tied, most) for i in every.tolist())
            if not moved:
                return

    def _improve(self, piece: int, tied: sp.csr_array, most: float) -> bool:
        """Move a piece to the best of the blocks it is tied to, if that is better."""
        row = slice(*tied.indptr[piece : piece + 2])
        strongest = np.argsort(-tied.data[row], kind="stable")[:CANDIDATES]
        target = tied.indices[row][strongest].astype(np.int64)
        home, cost = self.block[piece], self._cost(piece)
        after = self.load[target] + cost
        target = target[(target != home) & ((after <= most) | (after < self.load[home]))]
        if not target.size:
            return False
        loss = self.loss(np.array([piece]), np.ones((1, target.size)), target)[0]
        best = int(loss.argmin())
        if loss[best] >= -1.0:  # less than a neuron is noise of float32
            return False
        self.move(piece, int(target[best]))
        return True

    def rebalance(self) -> None:
        """Give tiles of the heaviest block to light ones, at the least loss of traffic, until even.

        Every move makes the sum of the squared loads smaller, so this ends.
        """
        while True:
            heavy = int(self.load.argmax())
            if self.load[heavy] <= self.mean * (1 + TOLERANCE):
                return
            lightest = np.argsort(self.load, kind="stable")[:TARGETS]
            target = lightest[self.load[lightest] < self.mean]
            mine = np.flatnonzero(self.block == heavy)
            n_tiles, moved = self._amounts(mine, target, heavy)
            share = n_tiles / (self.stop - self.start)[mine][:, None]
            allowed = moved < self.load[heavy] - self.load[target]
            if not allowed.any():
                return
            loss = np.where(allowed, self.loss(mine, share, target) / moved, np.inf)
            i, t = np.unravel_index(int(loss.argmin()), loss.shape)
            self.move(self.split(int(mine[i]), int(n_tiles[i, t])), int(target[t]))

    def _amounts(self, pieces: Ints, target: Ints, heavy: int) -> tuple[Ints, Ints]:
        """Last tiles of each piece that suit each target, at least one, and their cost."""
        wanted = np.minimum(self.load[heavy] - self.mean, self.mean - self.load[target])
        before, stop = self.tiles.cost_before, self.stop[pieces][:, None]
        first = np.searchsorted(before, before[stop] - wanted)
        first = np.clip(first, self.start[pieces][:, None], stop - 1)
        return stop - first, before[stop] - before[first]

    def _cost(self, pieces: int | slice = slice(None)) -> Ints:
        before = self.tiles.cost_before
        cost: Ints = before[self.stop[pieces]] - before[self.start[pieces]]
        return cost
