"""A content hash of a network's synapses: the same however they are kept or cut into chunks.

The hash is SHA-256 of, in this order: a line of format, sizes of the populations, which of them
excite, axonal delays where there are any, in-degrees of all neurons, and for each stretch of
`STRETCH` synapses the SHA-256 of its sources and that of its weights, all little-endian. So it can
be computed by many threads or machines, and by anybody from the arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import dask
import numpy as np
from numpy.typing import NDArray

from dtbdask import progress
from dtbdask.graph.checking.synapse_ranges import (
    STRETCH,
    cut,
    in_degree,
    over_threads,
    reader,
    together,
)
from dtbdask.graph.network import Network

PIECES = 8
"""Readings of a unit of work: the chunks at its two ends are read twice."""


def digest(network: Network, client: Any = None) -> str:
    """Content hash of the synapses of a network.

    Equal for networks with the same neurons, synapses, weights and delays: stored, procedural or
    imported, in chunks of any size, resumed or not. Parameters are not part of it.

    Parameters
    ----------
    network : Network
    client : distributed.Client, optional
        Cluster to compute on; by default threads of this process, each of which holds some chunks.

    Returns
    -------
    str
        SHA-256 in hexadecimal digits.

    Raises
    ------
    StoreError
        A chunk is damaged.
    """
    whole = hashlib.sha256(_header(network))
    for start, stop in cut(0, network.n_neurons, STRETCH):
        whole.update(_bytes(in_degree(network.wiring, start, stop), "<i8"))
    n = network.n_synapses
    unit = max(1, PIECES * together(network.wiring) // STRETCH) * STRETCH
    units = list(cut(0, n, unit))
    with progress.track("Hashing", n, "synapses") as step:
        for (start, stop), hashes in zip(units, _mapped(network, units, client), strict=True):
            whole.update(hashes)
            step(stop - start)
    return whole.hexdigest()


def _header(network: Network) -> bytes:
    populations, synapses = network.populations, network.wiring
    scale = float(synapses.weight_scale).hex()
    parts: list[bytes | memoryview] = [
        f"dtbdask synapses 1, weights {synapses.weight_dtype.name} of {scale}\n".encode(),
        _bytes(populations.size, "<i8"),
        _bytes(populations.excitatory, "u1"),
    ]
    far = populations.mixture
    if np.any(far.far_delay != 1):
        parts += [_bytes(far.far_indptr, "<i8"), _bytes(far.far_population, "<i8")]
        parts.append(_bytes(far.far_delay, "<i8"))
    return b"".join(parts)


def _mapped(network: Network, units: list[tuple[int, int]], client: Any) -> Iterator[bytes]:
    """Hashes of the stretches of each unit, in order."""
    if client is None:
        yield from over_threads(partial(_hashes, network), units)
        return
    shared = dask.delayed(network, pure=False, traverse=False)
    hashes = dask.delayed(_hashes, pure=False)
    for future in client.compute([hashes(shared, unit) for unit in units]):
        yield future.result()


def _hashes(network: Network, unit: tuple[int, int]) -> bytes:
    """SHA-256 of the sources and of the weights of each stretch of a unit, one after another."""
    start, stop = unit
    read, wide = reader(network.wiring), together(network.wiring)
    edges = np.arange(start, stop + STRETCH, STRETCH)
    pairs = [(hashlib.sha256(), hashlib.sha256()) for _ in pairwise(edges)]
    dtype = network.wiring.weight_dtype.newbyteorder("<")
    for low, high in cut(start, stop, wide):
        source, weight = read(low, high)
        for a, b in cut(low, high, STRETCH):
            of_source, of_weight = pairs[(a - start) // STRETCH]
            of_source.update(_bytes(source[a - low : b - low], "<u4"))
            of_weight.update(_bytes(weight[a - low : b - low], dtype))
    return b"".join(hashed.digest() for pair in pairs for hashed in pair)


def _bytes(values: NDArray[Any], dtype: Any) -> memoryview:
    return np.ascontiguousarray(values, dtype).data.cast("B")
