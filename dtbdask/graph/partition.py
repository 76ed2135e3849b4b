"""Which neurons a block owns: chosen when a session starts, never stored with the network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import whole_number
from dtbdask.graph.network import Network


def cut(network: Network, n_blocks: int) -> NDArray[np.int64]:
    """Bounds of contiguous blocks of about equal cost, a neuron costing one and a synapse one more.

    Populations may be split.

    Parameters
    ----------
    network : Network
    n_blocks : int

    Returns
    -------
    (block_edge,) int64
        Block `b` owns the neurons `bounds[b]` to `bounds[b + 1]`.
    """
    n_blocks = whole_number("blocks", n_blocks, 1, network.n_neurons)
    populations = network.populations
    per_neuron = 1 + populations.degree.astype(np.float64)
    cost = np.concatenate([[0.0], np.cumsum(populations.size * per_neuron)])
    edges = np.append(populations.first, network.n_neurons)
    share = cost[-1] * np.arange(n_blocks + 1) / n_blocks
    bounds: NDArray[np.int64] = np.rint(np.interp(share, cost, edges)).astype(np.int64)
    for b in range(1, n_blocks):  # at least one neuron each
        bounds[b] = max(bounds[b], bounds[b - 1] + 1)
    for b in range(n_blocks - 1, 0, -1):
        bounds[b] = min(bounds[b], bounds[b + 1] - 1)
    return bounds
