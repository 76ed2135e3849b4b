"""Bytes that a network will take on disk, from what it would write, in memory.

Tables are written whole into a store that keeps the lengths of its files and forgets their
contents; of the synapses a few stretches are wired and pass through the same codecs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from dtbdask import schema
from dtbdask.graph.factors import gamma_factors
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.parameters import PARAMETERS, Parameters
from dtbdask.graph.planning.equal_voxels import EqualVoxels
from dtbdask.graph.population import MOST_NEURONS, Populations
from dtbdask.graph.store import NEURONS_PER_CHUNK, parameter_spec, write_tables

if TYPE_CHECKING:
    import xarray as xr

    from dtbdask.graph.wiring import Recipe

STRETCH = 1 << 18
"""Synapses that are wired together to see how they compress."""
STRETCHES = 6
MOST_VOXELS, MOST_ENTRIES = 512, 1 << 18
"""Equal voxels, and sources of them, whose tables are written; those of more are in proportion."""
DIGEST = "0" * 64


class Scales(MemoryStore):
    """Store that weighs what is written and keeps only the metadata."""

    def __init__(self) -> None:
        super().__init__()
        self.weight: dict[str, int] = {}

    async def set(self, key: str, value: Buffer, byte_range: tuple[int, int] | None = None) -> None:
        """Weigh one file."""
        self.weight[key] = len(value)
        if key.endswith("zarr.json"):
            await super().set(key, value, byte_range)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Weigh one file that was not there."""
        if key not in self.weight:
            await self.set(key, value)

    def total(self, *prefixes: str) -> int:
        """Bytes of the files below some paths."""
        return sum(size for key, size in self.weight.items() if key.startswith(prefixes))


@dataclass(frozen=True)
class Disk:
    """Bytes on disk.

    Attributes
    ----------
    tables, synapses : int
        Bytes of a network without its synapses, which is all of a procedural one, and of them.
    bytes_per_synapse : float
        At rest, compressed.
    files : int
        Of the stored network.
    """

    tables: int
    synapses: int
    bytes_per_synapse: float
    files: int

    def total(self, synapses: str) -> int:
        """Bytes of a network whose synapses are "stored" or "procedural"."""
        return self.tables + (self.synapses if synapses == "stored" else 0)


def disk_of_recipe(
    populations: Populations,
    recipe: Recipe,
    parameters: Parameters,
    brain: xr.Dataset,
    *,
    slots: tuple[str, ...],
    gamma: Mapping[str, float],
    chunk: int,
) -> Disk:
    """Disk of the network of a brain.

    Parameters
    ----------
    populations : Populations
    recipe : Recipe
    parameters : Parameters
        Without values of single neurons.
    brain : xarray.Dataset
    slots : tuple of str
    gamma : mapping of str to float
        Shapes of the factors of single neurons.
    chunk : int
        Synapses in a chunk.
    """
    scales, group = _begin([str(label) for label in brain["label"].values], slots, chunk)
    write_tables(group, populations, parameters, brain)
    own, files = _of_neurons(populations.n_neurons, gamma)
    tables, files = scales.total("") + own, files + len(scales.weight)
    n = populations.n_synapses
    stretch = min(STRETCH, n)
    starts = np.unique(np.linspace(0, n - stretch, STRETCHES).astype(np.int64)).tolist()
    if n <= STRETCHES * STRETCH:  # all of it
        starts, stretch = [0], n
    parts = [recipe.synapses(start, start + stretch) for start in starts]
    source = np.concatenate([part[0] for part in parts])
    weight = np.concatenate([part[1] for part in parts])
    return _with_synapses(tables, files, source, weight, n, chunk, stretch)


def disk_of_equals(
    voxels: EqualVoxels, *, weights: tuple[int, int], gamma: Mapping[str, float], chunk: int
) -> Disk:
    """Disk of a network of equal voxels; of more than 2^32 - 1 neurons with 64-bit sources."""
    shown = max(1, min(voxels.voxels, MOST_VOXELS, MOST_ENTRIES // voxels.partners))
    scales, group = _begin([f"voxel {v}" for v in range(shown)], voxels.motif.slots, chunk)
    rng = np.random.Generator(np.random.Philox(key=0))
    schema.write(group, schema.NETWORK["voxel/grey_matter"], rng.random(shown))
    write_tables(group, _populations(voxels, shown), Parameters.make(shown * voxels.size.size))
    own, files = _of_neurons(voxels.n_neurons, gamma)
    tables, files = (
        round(scales.total("") * voxels.voxels / shown) + own,
        files + len(scales.weight),
    )
    n = voxels.n_synapses
    stretch = min(STRETCH, n)
    places = np.linspace(0, 1, min(STRETCHES, max(1, n // stretch))).tolist()
    drawn = np.concatenate([voxels.draw(place, stretch) for place in places])
    source = drawn if voxels.n_neurons > MOST_NEURONS else drawn.astype(np.uint32)
    weight = rng.integers(weights[0], weights[1] + 1, (source.size, 2)).astype(np.uint8)
    return _with_synapses(tables, files, source, weight, n, chunk, stretch)


def _begin(labels: list[str], slots: tuple[str, ...], chunk: int) -> tuple[Scales, zarr.Group]:
    """A store with a root such as a build writes."""
    root = {
        "kind": "network", "format": schema.FORMAT, "status": "complete", **schema.provenance(),
        "seed": 0, "layout": "voxel", "slots": slots, "dtb_slots": list(range(len(slots))),
        "degree": 100, "neurons": 10**6, "weights": [0, 255], "gamma": {}, "synapses": "stored",
        "chunk": chunk, "source": "a file, of a name", "speed": None, "source_sha256": DIGEST,
        "labels": labels, "recipe_sha256": DIGEST, "tables": True,
    }  # fmt: skip
    scales = Scales()
    return scales, zarr.create_group(scales, attributes={schema.ROOT: root}, zarr_format=3)


def _of_neurons(n: int, gamma: Mapping[str, float]) -> tuple[int, int]:
    """Bytes and files of the parameters of single neurons."""
    size, files = 0, 2 * bool(gamma)
    for name, shape in gamma.items():
        scales, group = _begin([], (), 0)
        count = min(n, NEURONS_PER_CHUNK)
        values = gamma_factors(0, list(PARAMETERS).index(name), count, shape)
        schema.write(group, parameter_spec("neuron", name), values * PARAMETERS[name].default)
        size += round(scales.total("neuron/") * n / count)
        files += 1 + -(-n // NEURONS_PER_CHUNK)
    return size, files


def _with_synapses(
    tables: int,
    n_files: int,
    source: NDArray[np.unsignedinteger],
    weight: NDArray[np.unsignedinteger],
    n: int,
    chunk: int,
    stretch: int,
) -> Disk:
    """Add synapses of which some are given, in stretches."""
    scales, group = _begin([], (), 0)
    per_chunk = min(chunk, stretch)
    for name, values in (("synapse/source", source), ("synapse/weight", weight)):
        spec = replace(schema.NETWORK[name], dtype=str(values.dtype))
        schema.write(group, spec, values, chunk=per_chunk)
    data = scales.total("synapse/source/c/", "synapse/weight/c/")
    meta = scales.total("synapse/") - data
    each = data / max(source.size, 1)
    n_chunks = -(-n // chunk)
    return Disk(tables, round(each * n) + meta, each, n_files + 3 + 2 * n_chunks)


def _populations(voxels: EqualVoxels, n: int) -> Populations:
    """Populations of the first of some equal voxels, their sources drawn from all."""
    k, partners = voxels.size.size, voxels.partners
    rng = np.random.Generator(np.random.Philox(key=1))
    others = min(voxels.voxels, np.iinfo(np.int32).max // k)
    first = np.sort(rng.integers(others, size=(n, partners)), axis=1) * k
    share = rng.dirichlet(np.ones(partners), n)
    local, outer, axons = voxels.shares()
    near, far = np.argwhere(local > 0), np.argwhere(np.outer(outer, axons) > 0)
    row = np.concatenate([near[:, 0], far[:, 0]])
    order = np.argsort(row, kind="stable")
    v = np.arange(n)[:, None]
    source = np.hstack([v * k + near[:, 1], np.broadcast_to(far[:, 1], (n, len(far)))])[:, order]
    table = np.hstack([np.full((n, len(near)), -1), np.broadcast_to(v, (n, len(far)))])[:, order]
    shares = np.append(local[local > 0], np.outer(outer, axons)[np.outer(outer, axons) > 0])[order]
    per_slot = np.tile(np.bincount(row, minlength=k), n)
    mixture = Mixture(
        np.append(0, np.cumsum(per_slot)).astype(np.int64), source.ravel().astype(np.int32),
        table.ravel().astype(np.int32), np.tile(shares, n),
        (np.arange(n + 1) * partners).astype(np.int64), first.ravel().astype(np.int32),
        share.ravel(),
    )  # fmt: skip
    return Populations(
        np.repeat(np.arange(n), k), np.tile(np.arange(k), n),
        np.tile(np.array(voxels.motif.excitatory), n), np.tile(voxels.size, n),
        np.tile(voxels.degree, n).astype(np.int32), mixture,
    )  # fmt: skip
