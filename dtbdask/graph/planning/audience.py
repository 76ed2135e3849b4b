"""What blocks own and whom they hear, expected from the populations: no synapse is made.

A block that has n_p neurons of population p, of in-degree d_p, makes

    lambda_q = sum_p n_p d_p P[p, q] / size_q

draws of each neuron of population q, so it hears that neuron with probability 1 - exp(-lambda_q).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from dtbdask.errors import whole_number
from dtbdask.graph.population import Populations
from dtbdask.graph.traffic import neuron_cost, overlap
from dtbdask.rng import TILE

Floats = NDArray[np.float64]

EFFORT = 100_000_000
"""Products of a weight and a share at most; of more blocks than that allows a sample is taken."""
HELD = 1 << 22
"""Chances held at once."""
MOST_TILES = 4
"""Tiles for a population; of larger ones none is taken to be shared."""


@dataclass(frozen=True)
class Audience:
    """What blocks own and whom they hear.

    Attributes
    ----------
    block : (block,) int64
        Which blocks these are.
    neurons, synapses : (block,) float64
        What a block owns.
    foreign : (block,) float64, neurons
        Those of other blocks that a block hears, expected.
    sent : (block,) float64, neurons
        Own ones, each counted once for every other block that hears it, expected.
    met : (block,) float64, neurons
        Those of the tiles of 128 of which a block has or hears one, expected.
    looked_at : int
        Blocks that the expectations were computed for; those of the others lie between.
    """

    block: NDArray[np.int64]
    neurons: Floats
    synapses: Floats
    foreign: Floats
    sent: Floats
    met: Floats
    looked_at: int


def owned(populations: Populations, n_blocks: int) -> sp.csr_array:
    """Neurons of each population that each block owns: (block, population) float64, sparse.

    Blocks are contiguous and cost about the same.

    Parameters
    ----------
    populations : Populations
    n_blocks : int
    """
    n = populations.n_neurons
    n_blocks = whole_number("blocks", n_blocks, 1, -(-n // TILE))
    cost = np.append(0.0, np.cumsum(populations.size * neuron_cost(populations)))
    share = cost[-1] * np.arange(n_blocks + 1) / n_blocks
    bounds = np.rint(np.interp(share, cost, np.append(populations.first, n))).astype(np.int64)
    return overlap(populations, bounds[:-1], bounds[1:])


def audience(populations: Populations, n_blocks: int, effort: float = EFFORT) -> Audience:
    """What the blocks of known populations own and hear.

    Parameters
    ----------
    populations : Populations
        Those of an imported network have no shares: then every source is taken to be another one.
    n_blocks : int
    effort : float
        Products of a weight and a share, at most.

    Returns
    -------
    Audience
    """
    mine, every = owned(populations, n_blocks), np.arange(n_blocks)
    neurons: Floats = np.asarray(mine.sum(axis=1), np.float64)
    synapses = mine @ populations.degree.astype(np.float64)
    mixture = populations.mixture
    if not mixture.share.size:
        foreign = np.minimum(populations.n_neurons - neurons, synapses)
        met = np.minimum(populations.n_neurons, neurons + TILE * synapses)
        return Audience(every, neurons, synapses, foreign, foreign, met, n_blocks)
    cost = mixture.share.size + mixture.far_share.size + populations.size.size
    n_looked = int(np.clip(effort // cost, 2, n_blocks)) if n_blocks > 1 else 1
    looked = np.unique(np.linspace(0, n_blocks - 1, n_looked).astype(np.int64))
    heard, listeners = _hear(populations, sp.csr_array(mine[looked]))
    foreign, own, met = (np.interp(every, looked, values) for values in heard)
    sent = mine @ (listeners * n_blocks / looked.size) - own
    return Audience(every, neurons, synapses, foreign, np.maximum(sent, 0.0), met, looked.size)


def _hear(populations: Populations, mine: sp.csr_array) -> tuple[Floats, Floats]:
    """Foreign, own and met neurons of blocks (3, block), and how many hear a neuron (population,).

    The own ones are those among its neurons that a block would hear were they foreign.
    """
    size = np.maximum(populations.size, 1).astype(np.float64)
    degree = populations.degree.astype(np.float64)
    tiles = _tiles(populations)
    found, listeners = np.zeros((3, mine.shape[0])), np.zeros(size.size)
    stride = max(1, HELD // size.size)
    for low in range(0, mine.shape[0], stride):
        here = mine[low : low + stride].toarray()
        drawn = populations.pull(here * degree) / size
        heard = -np.expm1(-drawn)
        if tiles is None:
            met = -np.expm1(-TILE * drawn) @ populations.size
        else:
            met = -np.expm1(-(drawn @ tiles)) @ tiles.sum(axis=0)
        own = (here * heard).sum(axis=1)
        met += (here * np.exp(-TILE * drawn)).sum(axis=1)
        found[:, low : low + stride] = heard @ populations.size - own, own, met
        listeners += heard.sum(axis=0)
    return found, listeners


def heard_of(populations: Populations, n_blocks: int, block: int) -> Floats:
    """Neurons of one block that each block hears, expected: (block,) float64.

    Parameters
    ----------
    populations : Populations
        Made from connections that are known.
    n_blocks, block : int
    """
    mine = owned(populations, n_blocks)
    own = mine[[block]].toarray()[0]
    size = np.maximum(populations.size, 1).astype(np.float64)
    degree = populations.degree.astype(np.float64)
    found = np.empty(n_blocks)
    stride = max(1, HELD // size.size)
    for low in range(0, n_blocks, stride):
        here = mine[low : low + stride].toarray()
        found[low : low + stride] = -np.expm1(-populations.pull(here * degree) / size) @ own
    return found


def _tiles(populations: Populations) -> sp.csr_array | None:
    """Neurons of each population in each tile, (population, tile), if there are few enough."""
    n = populations.n_neurons
    if n > MOST_TILES * TILE * populations.size.size:
        return None
    start = np.arange(0, n, TILE)
    return overlap(populations, start, np.minimum(start + TILE, n)).T.tocsr()
