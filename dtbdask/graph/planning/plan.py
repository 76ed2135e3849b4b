"""What a network and its run will need, before anything is written or allocated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import psutil
from dask.system import CPU_COUNT
from numpy.typing import ArrayLike

from dtbdask.brain.connectome import validate_connectome
from dtbdask.errors import InputError, whole_number
from dtbdask.graph.layouts import Layout, Motif, describe, layout_of
from dtbdask.graph.network import synapses_per_chunk
from dtbdask.graph.parameters import Parameters, known
from dtbdask.graph.planning.anatomy import Anatomy
from dtbdask.graph.planning.audience import Audience, audience
from dtbdask.graph.planning.disk import Disk, disk_of_equals, disk_of_recipe
from dtbdask.graph.planning.equal_voxels import EqualVoxels
from dtbdask.graph.planning.figures import BlockMemory, BuildMemory, Figure, Plan, Traffic, amount
from dtbdask.graph.planning.footprint import Footprint, Run, footprint, growth
from dtbdask.graph.population import MOST_NEURONS, populate
from dtbdask.graph.wiring import Recipe

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Plan", "plan"]

SPIKE_BYTES = 4
"""A spike travels to a block as a position in its list."""
MANY_FILES = 1_000_000


@dataclass(frozen=True)
class Subject:
    """What is planned.

    Attributes
    ----------
    name : str
    anatomy : Anatomy
    disk : Disk
    listen : callable
        What blocks own and hear, by their number.
    remarks : tuple of str
    """

    name: str
    anatomy: Anatomy
    disk: Disk
    listen: Callable[[int], Audience]
    remarks: tuple[str, ...] = ()


def plan(
    source: xr.Dataset | None = None,
    *,
    neurons: float,
    degree: float = 100,
    layout: str | Layout | Motif = "voxel",
    voxels: float | None = None,
    partners: float | None = None,
    synapses: str = "stored",
    chunk: int | None = None,
    min_size: int = 0,
    seed: int = 0,
    weights: tuple[int, int] = (0, 255),
    speed: float | None = None,
    parameters: Mapping[str, ArrayLike] | None = None,
    gamma: Mapping[str, float] | None = None,
    blocks: int = 1,
    threads: int = 1,
    members: int = 1,
    dtype: str = "float32",
    device: str = "cpu",
    dt_ms: float = 1.0,
    rate_hz: float = 7.0,
    workers_per_host: int | None = None,
) -> Plan:
    """Tell what a network and its run will need; nothing is written.

    Of a brain, populations and synapses are exact; bytes on disk come from wiring and packing some
    synapses, and everything else from formulas. Of a number of voxels all is formulas, of any size.

    Memory of a build counts from what this process holds when the plan is made: by then the kernels
    are compiled, or read from their cache, and the codecs are loaded, as in the process of a user
    who plans and then builds. Its threads are those that Dask would use now.

    Parameters
    ----------
    source : xarray.Dataset, optional
        Brain, from `read_connectome`; or else give `voxels`.
    neurons, degree, layout, synapses, chunk, min_size, seed, weights, speed, gamma
        As in `build`; without a brain, any number of neurons.
    parameters : mapping of str to float or (population,) float, optional
        As in `build`: which receptors are on. Without a brain, a population is a slot.
    voxels : int, optional
        Voxels, all alike, of a brain that is not given.
    partners : int, optional
        Other voxels from which each of these hears, in equal shares; by default 13 for 90 voxels,
        growing with the square root (`dtbdask.graph.planning.equal_voxels.usual_partners`).
    blocks : int
        One on each worker.
    threads, members, dtype, dt_ms
        As in `Session`; members are those that one block holds. Delays are in steps of `dt_ms` too.
    device : {"cpu", "cuda"}
        Whose memory a block needs: a worker's, or a device's.
    rate_hz : float
        Mean firing rate, Hz.
    workers_per_host : int, optional
        For the two-level grid; by default the square root of the blocks, which makes peers fewest.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        A value is wrong, or `build` would refuse this network.
    """
    run = _run(threads, members, dtype, device)
    if not (np.isfinite(rate_hz) and rate_hz >= 0 and 0 < dt_ms <= 10):
        raise InputError(
            f"rate_hz is {rate_hz} and dt_ms {dt_ms}; expected 0 Hz or more, and up to 10 ms"
        )
    if synapses not in ("stored", "procedural"):
        raise InputError(f"synapses is {synapses!r}; use 'stored' or 'procedural'")
    size = synapses_per_chunk(chunk)
    common: dict[str, Any] = {
        "weights": _weights(weights), "gamma": {known(k).name: v for k, v in (gamma or {}).items()},
        "parameters": parameters, "size": size, "stored": synapses == "stored",
    }  # fmt: skip
    if source is not None and voxels is None and partners is None:
        subject = _of_brain(source, neurons, degree, layout, min_size, speed, dt_ms, seed, **common)
    elif source is None and voxels is not None and speed is None:
        equal = EqualVoxels.make(
            voxels, neurons, degree, layout, min_size=min_size, partners=partners
        )
        subject = _of_equals(equal, **common)
    else:
        raise InputError("plan: give a brain, or voxels (and perhaps partners) without speed")
    anatomy = subject.anatomy
    blocks = whole_number("blocks", blocks, 1, anatomy.most_blocks)
    heard = subject.listen(blocks)
    memory = footprint(anatomy, heard, blocks, run)
    return Plan(
        source=subject.name, neurons=anatomy.neurons, populations=anatomy.populations,
        synapses=anatomy.synapses, degree=int(degree), layout=str(describe(layout)),
        kind=synapses, blocks=blocks, threads=run.threads, members=run.members,
        rate_hz=float(rate_hz), disk=subject.disk, build=_build(anatomy),
        owned={"neurons": Figure.of(heard.neurons), "synapses": Figure.of(heard.synapses)},
        block=BlockMemory(**{name: Figure.of(getattr(memory, name)) for name in _MEMORY}),
        traffic=_traffic(heard, blocks, rate_hz, dt_ms, run.members, workers_per_host),
        remarks=(*subject.remarks, *_remarks(subject, heard, blocks, memory)),
        anatomy=anatomy, run=run, listen=subject.listen,
    )  # fmt: skip


_MEMORY = ("edges", "rows", "state", "tables", "held", "running", "loading", "need")


def _run(threads: float, members: float, dtype: str, device: str) -> Run:
    if device not in ("cpu", "cuda"):
        raise InputError(f"device is {device!r}; use 'cpu' or 'cuda'")
    if dtype not in ("float32", "float64"):
        raise InputError(f"dtype is {dtype!r}; use 'float32' or 'float64'")
    return Run(
        whole_number("threads", threads, 1),
        whole_number("members", members, 1, 2**16 - 1),
        dtype,
        device,
    )


def _weights(weights: tuple[int, int]) -> tuple[int, int]:
    low = whole_number("weights[0]", weights[0], 0, 255)
    return low, whole_number("weights[1]", weights[1], low, 255)


def _of_brain(
    source: xr.Dataset, neurons: float, degree: float, layout: str | Layout | Motif, min_size: int,
    speed: float | None, dt_ms: float, seed: int, *, weights: tuple[int, int],
    gamma: dict[str, float], parameters: Mapping[str, ArrayLike] | None, size: int, stored: bool,
) -> Subject:  # fmt: skip
    brain = validate_connectome(source)
    populations = populate(
        brain, neurons, degree, layout, min_size=min_size, speed=speed, dt_ms=dt_ms
    )
    recipe = Recipe.make(populations, seed, weights)
    values = Parameters.make(populations.size.size, parameters)
    anatomy = Anatomy.of_populations(
        populations, values, own=len(gamma), chunk=size if stored else 0
    )
    slots = layout_of(layout).slots
    disk = disk_of_recipe(populations, recipe, values, brain, slots=slots, gamma=gamma, chunk=size)
    name = f"{brain.sizes['voxel']:,} voxels, {brain.attrs.get('source', '') or 'of a brain'}"
    return Subject(name, anatomy, disk, partial(audience, populations))


def _of_equals(
    equal: EqualVoxels, *, weights: tuple[int, int], gamma: dict[str, float],
    parameters: Mapping[str, ArrayLike] | None, size: int, stored: bool,
) -> Subject:  # fmt: skip
    values = Parameters.make(len(equal.motif.slots), parameters)
    anatomy = Anatomy.of_equals(equal, values, own=len(gamma), chunk=size if stored else 0)
    disk = disk_of_equals(equal, weights=weights, gamma=gamma, chunk=size)
    remarks = [
        f"assumed: voxels all alike, each hearing {equal.partners:,} others, drawn at random, in "
        "equal shares; the brain itself is not counted"
    ]
    if equal.n_neurons > MOST_NEURONS:
        remarks.append(
            f"this version numbers at most {MOST_NEURONS:,} neurons and cannot build this network; "
            "on disk sources are taken to have 64 bits"
        )
    return Subject(f"{equal.voxels:,} voxels", anatomy, disk, equal.audience, tuple(remarks))


def _build(anatomy: Anatomy) -> BuildMemory:
    threads = int(dask.config.get("num_workers", None) or CPU_COUNT)
    present = int(psutil.Process().memory_info().rss)
    return BuildMemory(present, growth(anatomy, threads), threads)


def _traffic(
    heard: Audience, blocks: int, rate_hz: float, dt_ms: float, members: int, hosted: int | None
) -> Traffic:
    row = isqrt(blocks - 1) + 1 if hosted is None else whole_number("workers_per_host", hosted, 1)
    row = min(row, blocks)
    spikes = heard.sent * (rate_hz * dt_ms / 1000 * members)
    steps = 1000 / dt_ms
    return Traffic(
        peers=blocks - 1, peers_in_grid=ceil(blocks / row) + row - 2, workers_per_host=row,
        foreign=Figure.of(heard.foreign), spikes=Figure.of(spikes),
        bytes_per_step=Figure.of(SPIKE_BYTES * spikes),
        bytes_per_second=Figure.of(SPIKE_BYTES * steps * spikes),
    )  # fmt: skip


def _remarks(subject: Subject, heard: Audience, blocks: int, memory: Footprint) -> list[str]:
    remarks = []
    if heard.looked_at < blocks:
        remarks.append(
            f"foreign neurons were reckoned for {heard.looked_at:,} of the {blocks:,} blocks"
        )
    files, kept = subject.disk.files, subject.anatomy.chunk
    if kept and files > MANY_FILES:
        remarks.append(f"{files:,} files: give a larger chunk than {kept:,} synapses")
    for name, part in (("everyone", memory.everyone), ("peers", memory.peers)):
        if part.max() > memory.need.max() / 2:
            remarks.append(f"{amount(float(part.max()))} of a block's need {_WHY[name]}")
    return remarks


_WHY = {
    "everyone": "tell where all neurons of the network are",
    "peers": "tell which of its neurons each other block hears",
}
