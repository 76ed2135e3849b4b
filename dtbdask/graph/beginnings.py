"""Where pieces of a network begin, before moves improve on it: on METIS's blocks, or on our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from dtbdask.errors import MissingDependencyError

Ints = NDArray[np.int64]

SEED = 1
"""Of METIS, so that a partition repeats."""
UNEVEN = 10
"""Load above the mean that METIS may leave, in thousandths."""
HEAVIEST = 1000
"""Integer that METIS takes for the most costly piece."""
STRONGEST, ALL_TIES = 1e6, 2.0**30
"""Integer that METIS takes for the strongest tie, at most, and for the sum of all."""


def metis(ties: sp.csr_array, cost: Ints, n_blocks: int) -> Ints:
    """Block of each piece from METIS (Karypis and Kumar 1998): the cut ties are weak."""
    try:
        import pymetis
    except ImportError as error:
        raise MissingDependencyError(
            "method 'metis' needs pymetis: pip install 'dtbdask[partition]', or use 'greedy'"
        ) from error
    scale = min(STRONGEST / ties.data.max(), ALL_TIES / ties.data.sum())
    _, block = pymetis.part_graph(
        n_blocks,
        pymetis.CSRAdjacency(ties.indptr.astype(np.int32), ties.indices.astype(np.int32)),
        eweights=np.maximum(1, ties.data * scale).astype(np.int32),
        vweights=np.ceil(cost / cost.max() * HEAVIEST).astype(np.int32),
        options=pymetis.Options(seed=SEED, ufactor=UNEVEN),
        recursive=False,
    )
    return np.asarray(block, np.int64)


def greedy(ties: sp.csr_array, cost: Ints, n_blocks: int) -> Ints:
    """Block of each piece, block by block: the most costly piece left, then those tied to it."""
    block, left = np.full(cost.size, n_blocks - 1), np.ones(cost.size, np.bool_)
    for b in range(n_blocks - 1):
        room, load = cost[left].sum() / (n_blocks - b), 0.0
        tied = np.zeros(cost.size)
        while left.any():
            wish = np.where(left, tied if tied[left].any() else cost, -1)
            piece = int(wish.argmax())
            if load and load + cost[piece] / 2 > room:
                break
            block[piece], left[piece] = b, False
            load += cost[piece]
            near = slice(*ties.indptr[piece : piece + 2])
            tied[ties.indices[near]] += ties.data[near]
    return block


BEGINNINGS: Mapping[str, Callable[[sp.csr_array, Ints, int], Ints]] = {
    "metis": metis,
    "greedy": greedy,
}
"""Block of each piece, from ties (piece, piece), costs (piece,) and the number of blocks."""
