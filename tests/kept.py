"""The same network kept in other ways, and stores damaged in all the ways there are."""

import dataclasses

import numpy as np
import zarr

from dtbdask.graph.imported import create_import
from dtbdask.graph.population import Populations
from dtbdask.graph.synapses import Held


def held(network):
    """The same network with its synapses in memory, following no recipe."""
    edges = network.wiring.in_edges(0, network.n_neurons)
    return dataclasses.replace(network, wiring=Held(edges, network.wiring.weight_scale), path="")


def as_import(network, path, chunk=None, sources=None, **about):
    """The same network as a store of its own that follows no recipe; `sources` are its script."""
    edges = network.wiring.in_edges(0, network.n_neurons)
    table = network.populations
    writer = create_import(
        path,
        Populations.bare(table.voxel, table.slot, table.excitatory, table.size, table.degree),
        network.parameters, network.labels, np.diff(edges.indptr),
        weight_dtype=edges.weight.dtype, weight_scale=network.wiring.weight_scale,
        attributes={"source": "of a test", "slots": network.slots, **about}, overwrite=True,
        chunk=chunk, sources=sources,
    )  # fmt: skip
    writer.append(edges.source, edges.weight)
    return writer.finish()


def chunk_file(path, name, chunk):
    """File of a chunk of an array that is chunked along its first dimension."""
    file = path / name / "c" / str(chunk)
    return next(p for p in (file, *file.rglob("*")) if p.is_file())


def flip(file, at=None):
    """Flip a bit of a file, by default in its middle."""
    good = bytearray(file.read_bytes())
    good[len(good) // 2 if at is None else at] ^= 4
    file.write_bytes(good)


def swap(one, other):
    """Exchange the content of two files."""
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def edit(path, name, at, value):
    """Change entries of an array, checksums included."""
    array = zarr.open_group(path, mode="r+")[name]
    values = array[...]
    values[at] = value
    array[...] = values
