"""What tests look at in a store at rest: its files, its arrays, its synapses."""

import dask
import numpy as np
import zarr


def contents(path):
    """Bytes of every file below a path."""
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def arrays(path):
    """Values of every array of a store, by name."""
    group = zarr.open_group(path, mode="r")
    return {
        name: array[...] for name, array in group.members(None) if isinstance(array, zarr.Array)
    }


def same_arrays(one, other):
    """Two stores hold the same arrays."""
    one, other = arrays(one), arrays(other)
    assert sorted(one) == sorted(other)
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def chunk_files(path, name="source"):
    """Files of the chunks of the sources, or of the weights, of a network."""
    return sorted(p for p in (path / "synapse" / name / "c").rglob("*") if p.is_file())


def in_edges(network, start=0, stop=None):
    """Pointers, sources and weights of the in-edges of a range of neurons, by default of all."""
    edges = network.wiring.in_edges(start, network.n_neurons if stop is None else stop)
    return edges.indptr, edges.source, edges.weight


def same_synapses(one, other):
    """Arrays agree one by one, in dtype too."""
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def lazily(network):
    """Source and weight of all synapses, through the lazy arrays."""
    both = dask.compute(*(network.synapses[name].data for name in ("source", "weight")))
    return tuple(both)
