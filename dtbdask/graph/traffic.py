"""What a partition costs: the load of its blocks, and the spikes that they must tell each other.

Nothing is simulated and no synapse is made. A block `b` with n_p(b) neurons of population p, of
in-degree d_p, draws each neuron of population q

    lambda_q(b) = sum_p n_p(b) d_p P[p, q] / size_q

times, so it hears that neuron with probability 1 - exp(-lambda_q(b)), and a spike is sent to as
many other blocks as hear its neuron. Row = target, column = source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError
from dtbdask.graph.population import Populations

if TYPE_CHECKING:
    from dtbdask.graph.network import Network
    from dtbdask.graph.partition import Partition

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEURON_NS = 5.0
"""Time of a neuron in a step of 1 ms, as measured (`docs/performance.md`)."""
EVENT_NS = 2.0
"""Time of a spike that arrives at a synapse, as measured."""
RATE_HZ = 7.0
"""Rate at which spikes are expected where nothing else is said."""
HELD = 1 << 22
"""Numbers of a table (block, population) held at once."""


@dataclass(frozen=True, eq=False)
class Report:
    """What the blocks of a partition own, cost and tell each other; expected, not counted.

    Attributes
    ----------
    method : str
        How the partition was made.
    rate_hz : float
        Mean rate.
    neurons, synapses : (block,) float64
        What a block owns.
    load : (block,) float64, ns
        Of a step of 1 ms.
    cut : float, synapses
        Those from one block to another.
    sent, received : (block,) float64, 1/s
        Spikes sent, each counted once for every other block that hears it, and received.
    peers : (block,) float64
        Other blocks that a block hears.
    traffic_known : bool
        False for an imported network, whose populations do not tell who hears whom: then `cut`,
        `sent`, `received` and `peers` are NaN, and the partition is one by balance alone.
    """

    method: str
    rate_hz: float
    neurons: Floats
    synapses: Floats
    load: Floats
    cut: float
    sent: Floats
    received: Floats
    peers: Floats
    traffic_known: bool

    @property
    def balance(self) -> float:
        """Largest load relative to the mean: 1 is perfect."""
        return float(self.load.max() / self.load.mean())

    @property
    def traffic(self) -> float:
        """Spikes sent from block to block in a second, in all."""
        return float(self.sent.sum())

    def __str__(self) -> str:
        told = f"{self.load.size} blocks ({self.method}), load max/mean {self.balance:.4f}"
        if not self.traffic_known:
            return f"{told}; traffic unknown, as no population matrix tells who hears whom"
        share = self.cut / max(self.synapses.sum(), 1.0)
        return (
            f"{told}, {self.traffic:.3g} spikes/s between blocks at {self.rate_hz:g} Hz, "
            f"{share:.1%} of synapses cut, {self.peers.mean():.1f} peers a block"
        )


def neuron_cost(populations: Populations, rate_hz: float = RATE_HZ) -> Floats:
    """Time that a neuron of each population takes in a step of 1 ms.

    Parameters
    ----------
    populations : Populations
    rate_hz : float
        Of the spikes that arrive.

    Returns
    -------
    (population,) float64, ns
    """
    cost: Floats = NEURON_NS + EVENT_NS * rate_hz / 1000 * populations.degree.astype(np.float64)
    return cost


def overlap(populations: Populations, start: Ints, stop: Ints) -> sp.csr_array:
    """Neurons of each population in ranges of neurons.

    Parameters
    ----------
    populations : Populations
    start, stop : (range,) int64
        Not empty.

    Returns
    -------
    (range, population) float64, sparse
    """
    first, end = populations.first, populations.first + populations.size
    low = np.searchsorted(end, start, side="right")
    high = np.searchsorted(first, stop, side="left")
    indptr = np.concatenate([[0], np.cumsum(high - low)])
    row = np.repeat(np.arange(start.size), high - low)
    column = np.arange(indptr[-1]) - indptr[row] + low[row]
    within = np.minimum(stop[row], end[column]) - np.maximum(start[row], first[column])
    shape = (start.size, first.size)
    return sp.csr_array((within.astype(np.float64), column, indptr), shape=shape)


def owned(populations: Populations, partition: Partition) -> sp.csr_array:
    """Neurons of each population that each block owns: (block, population) float64, sparse."""
    ranges = np.concatenate(partition.ranges)
    count = [len(r) for r in partition.ranges]
    block = np.repeat(np.arange(partition.n_blocks), count)
    gather = sp.csr_array((np.ones(block.size), (block, np.arange(block.size))))
    return sp.csr_array(gather @ overlap(populations, ranges[:, 0], ranges[:, 1]))


def assess(
    network: Network | Populations, partition: Partition, rate_hz: ArrayLike = RATE_HZ
) -> Report:
    """What a partition of a network costs.

    Parameters
    ----------
    network : Network or Populations
    partition : Partition
    rate_hz : float or (population,) float
        Rate of the neurons.

    Returns
    -------
    Report
    """
    populations = network if isinstance(network, Populations) else network.populations
    partition.check(populations)
    rates = np.broadcast_to(np.asarray(rate_hz, np.float64), populations.size.shape)
    if not (np.isfinite(rates) & (rates >= 0)).all():
        raise InputError(f"rate_hz is {rates}; expected finite rates of 0 or more")
    mean = float(np.average(rates, weights=populations.size))
    mine = owned(populations, partition)
    known = bool(populations.pull(np.ones(populations.size.size)).any())
    if known:
        cut, sent, received, peers = _exchanged(populations, mine, rates)
    else:
        cut, (sent, received, peers) = np.nan, np.full((3, partition.n_blocks), np.nan)
    return Report(
        method=partition.method,
        rate_hz=mean,
        neurons=np.asarray(mine.sum(axis=1), np.float64),
        synapses=mine @ populations.degree.astype(np.float64),
        load=mine @ neuron_cost(populations, mean),
        cut=cut,
        sent=sent,
        received=received,
        peers=peers,
        traffic_known=known,
    )


def _exchanged(
    populations: Populations, mine: sp.csr_array, rates: Floats
) -> tuple[float, Floats, Floats, Floats]:
    """Synapses cut, and the spikes sent and received and the peers of each block."""
    n_blocks, size = mine.shape[0], np.maximum(populations.size, 1).astype(np.float64)
    degree, theirs = populations.degree.astype(np.float64), mine.T.tocsr()
    spikes = sp.csr_array(sp.diags_array(rates) @ theirs)
    cut, (sent, received, peers) = 0.0, np.zeros((3, n_blocks))
    stride = max(1, HELD // size.size)
    for low in range(0, n_blocks, stride):
        rows = np.arange(low, min(low + stride, n_blocks))
        draws = populations.pull(mine[rows].toarray() * degree) / size
        synapses, heard = draws @ theirs, -np.expm1(-draws) @ spikes  # (block here, block)
        for table in (synapses, heard):
            table[rows - low, rows] = 0.0
        cut += float(synapses.sum())
        sent += heard.sum(axis=0)
        received[rows] = heard.sum(axis=1)
        peers[rows] = -np.expm1(-synapses).sum(axis=1)
    return cut, sent, received, peers
