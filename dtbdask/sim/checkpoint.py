"""Checkpoints: all that the next step of a session depends on, at rest, by global neuron.

A folder holds two generations, each a store of its own. A new one takes the place of the older, so
that whenever a process dies there is a complete one; the newest complete one counts. What is in it
belongs to the network and the run, never to blocks, workers or threads.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from dtbdask import schema
from dtbdask.errors import InputError, StoreError, StoreExistsError, writable
from dtbdask.graph.identity import IDENTITY
from dtbdask.graph.parameters import PARAMETERS, Parameters
from dtbdask.graph.ranges import spread
from dtbdask.sim.block import Block
from dtbdask.sim.bold import Haemodynamics

Floats = NDArray[np.float64]
logger = logging.getLogger(__name__)

GENERATIONS = ("0.zarr", "1.zarr")
"""Names of the two stores in a folder of checkpoints."""

OF_SESSION = ("seed", "members", "dtype", "dt_ms", "t_steps", "tr_s")
"""What a session must have in common with a checkpoint, besides the network."""

VALUES_PER_CHUNK = 1 << 20


@dataclass(frozen=True)
class Changes:
    """Parameters that are no longer those of the network.

    Attributes
    ----------
    population : dict of (population,) or (member, population) float64
        Bases.
    neuron : dict of (neuron,) float64
        Bases of single neurons; only from the gang that has the first one.
    multiplier : dict of (member, population) float64
    by_neuron : tuple of str
        All parameters that have a base for each neuron, be it the network's.
    shape : (2,) int
        Number of members and of populations.
    """

    population: dict[str, Floats]
    neuron: dict[str, Floats]
    multiplier: dict[str, Floats]
    by_neuron: tuple[str, ...]
    shape: tuple[int, int]


def changes(block: Block) -> Changes:
    """What was done to the parameters of a block."""
    spec, now, then = block.spec, block.parameters, block.spec.network.parameters
    shape = (spec.members, spec.network.populations.size.size)
    first = spec.ranges[0, 0] == 0 and spec.first_member == 0
    return Changes(
        population={
            name: np.broadcast_to(value, shape) if value.ndim > 1 else value
            for name, value in now.population.items()
            if value is not then.population[name]
        },
        neuron={
            name: value
            for name, value in now.neuron.items()
            if first and value is not then.neuron.get(name)
        },
        multiplier={k: np.broadcast_to(value, shape) for k, value in block.multiplier.items()},
        by_neuron=tuple(now.neuron),
        shape=shape,
    )


def joined(parts: list[Changes], members: int) -> Changes:
    """The changes of all gangs, which have all members or share them out.

    A gang whose members are all multiplied by one does not name the multiplier.
    """
    if members == 1:
        parts = [part for part in parts if part.neuron] or parts
        return parts[0]

    population = {
        name: np.concatenate([part.population[name] for part in parts]) if base.ndim > 1 else base
        for name, base in parts[0].population.items()
    }
    neuron = {name: value for part in parts for name, value in part.neuron.items()}
    multiplier = {
        name: np.concatenate([part.multiplier.get(name, np.ones(part.shape)) for part in parts])
        for name in dict.fromkeys(name for part in parts for name in part.multiplier)
    }
    return Changes(population, neuron, multiplier, parts[0].by_neuron, (members, parts[0].shape[1]))


def check(path: Path, root: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another network or of a session made otherwise.

    Parameters
    ----------
    path : path
        Of the store.
    root : mapping
        Its root attribute.
    here : mapping
        What `identity` and the session say.

    Raises
    ------
    InputError
        Names the first thing that differs, what it was and what it is.
    """
    for name, value in here.items():
        if (found := root.get(name)) != value:
            of = "network" if name in IDENTITY else "run"
            raise InputError(
                f"{path}: checkpoint of another {of}: its {name} was {found}, here it is {value}"
            )


def newest(path: str | Path, run: str = "") -> Path:
    """The newest complete generation of a folder; others are told and ignored.

    Parameters
    ----------
    path : path
        Folder of generations, or one of them.
    run : str
        Only those of the run with this id.

    Raises
    ------
    StoreError
        There is none; says what is wrong with those there are.
    """
    folder = Path(path).absolute()
    if (folder / "zarr.json").exists():
        schema.open_store(folder, "checkpoint")
        return folder
    whole, torn = _generations(folder)
    mine = [store for store, root in whole if run in ("", root["run"])]
    if not mine:
        why = "; ".join(torn) or "nothing is there" + (" of this run" if whole else "")
        raise StoreError(f"{folder}: no complete checkpoint: {why}")
    for fault in torn:
        logger.warning("%s; it is ignored, and %s is used", fault, mine[-1].name)
    return mine[-1]


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds checkpoints already, unless they may be replaced."""
    if not overwrite and any((folder / name).exists() for name in GENERATIONS):
        raise StoreExistsError(
            f"{folder} holds checkpoints of another run; it was left untouched; pass overwrite to "
            "replace them"
        )


def write(
    path: str | Path,
    about: Mapping[str, Any],
    changed: Changes,
    balloon: Floats,
    fields: Iterable[tuple[str, tuple[str, str], NDArray[Any]]],
    held: Mapping[str, NDArray[Any]],
) -> Path:
    """Write a new generation in place of the older one.

    Parameters
    ----------
    path : path
        Folder of generations.
    about : mapping
        `identity`, step, run and settings of the session.
    changed : Changes
    balloon : (quantity, member, voxel) float64
    fields : iterable of (name, (unit, meaning), (..., member, neuron))
        State at rest of all neurons; taken one after the other.
    held : mapping of str to (row, ...)
        Rows that belong to the recording and are not yet in it.

    Returns
    -------
    pathlib.Path
        Of the store.

    Raises
    ------
    StoreError
        The disk is full, or may not be written; the generation before stays.
    """
    with writable(path):
        folder = Path(path).absolute()
        whole, _ = _generations(folder)
        number = whole[-1][1]["generation"] + 1 if whole else 0
        store = folder / next(n for n in GENERATIONS if not whole or n != whole[-1][0].name)
        _discard(store)
        again = "the generation before it may be whole"
        root = {**about, "generation": number, "by_neuron": changed.by_neuron, "again": again}
        group = schema.create_store(store, "checkpoint", root)
        schema.write(group, schema.CHECKPOINT["balloon"], balloon)
        for kind in ("population", "neuron", "multiplier"):
            for name, values in getattr(changed, kind).items():
                schema.write(group, _parameter(kind, name, values.ndim), values)
        for name, values in held.items():
            spec = schema.RECORDING[name]
            held_spec = schema.Array(f"held/{name}", spec.dims, spec.dtype, spec.unit, spec.meaning)
            schema.write(group, held_spec, values)
        names = [_write_field(group, *field) for field in fields]
        schema.update_root(group, fields=names)
        schema.commit(group)
        return store


def put(path: str, blocks: list[Block], haemodynamics: Haemodynamics | None) -> None:
    """Have blocks go on from a checkpoint; all is read before anything is changed.

    Parameters
    ----------
    path : str
        Of the store.
    blocks : list of Block
        Any blocks of the network.
    haemodynamics : Haemodynamics, optional
        Of the members of the blocks.
    """
    group = schema.open_store(path, "checkpoint")
    root = schema.root_of(group)
    read = [
        (
            *_parameters(group, root, block),
            {name: _own(group, name, block, root) for name in root["fields"]},
        )
        for block in blocks
    ]
    balloon = schema.read(group, "balloon")
    for block, (parameters, multiplier, fields) in zip(blocks, read, strict=True):
        block.go_on(root["step"], parameters, multiplier, fields)
    if haemodynamics is not None:
        haemodynamics.balloon.put(balloon[:, _members(blocks[0])])


def _generations(folder: Path) -> tuple[list[tuple[Path, dict[str, Any]]], list[str]]:
    """Complete stores of a folder with their roots, oldest first; and faults of the others."""
    whole, torn = [], []
    for store in (folder / name for name in GENERATIONS):
        if store.exists():
            try:
                whole.append((store, schema.root_of(schema.open_store(store, "checkpoint"))))
            except StoreError as error:
                torn.append(str(error))
    return sorted(whole, key=lambda found: found[1]["generation"]), torn


def _discard(store: Path) -> None:
    """Remove a generation so that, whenever this is cut short, what is left is torn or empty."""
    if store.is_dir() and all(file.suffix == ".partial" for file in store.iterdir()):
        shutil.rmtree(store)  # a process died before it had written anything
    if schema.check_free(store, "checkpoint", overwrite=True):
        schema.update_root(zarr.open_group(store, mode="r+", zarr_format=3), status="writing")
        for inside in store.iterdir():
            if inside.is_dir():
                shutil.rmtree(inside)
        shutil.rmtree(store)


def _parameter(kind: str, name: str, ndim: int) -> schema.Array:
    spec = PARAMETERS[name]
    if kind == "multiplier":
        return schema.Array(
            f"multiplier/{name}", ("member", "population"), "float64", "1", f"of {name}"
        )
    dims = ("member", kind) if ndim > 1 else (kind,)
    return schema.Array(f"parameter/{kind}/{name}", dims, "float64", spec.unit, spec.meaning)


def _write_field(group: zarr.Group, name: str, about: tuple[str, str], values: NDArray[Any]) -> str:
    """Write a field with the neuron first, so that ranges of neurons are rows."""
    rows = values.T
    dims = ("neuron", "member", *(f"axis_{k}" for k in range(rows.ndim - 2)))
    chunk = max(1, VALUES_PER_CHUNK // int(np.prod(rows.shape[1:])))
    spec = schema.Array(f"state/{name}", dims, rows.dtype.name, *about)
    schema.write(group, spec, rows, chunk)
    return name


def _own(group: zarr.Group, name: str, block: Block, root: Mapping[str, Any]) -> NDArray[Any]:
    """Values of a field for the neurons and members of a block: (..., member, neuron)."""
    array = schema.array(group, f"state/{name}")
    if array.shape[:2] != (root["n_neurons"], root["members"]):
        raise StoreError(f"{group.store_path}: damaged, state {name!r} has shape {array.shape}")
    own, chunk = spread(block.spec.ranges), array.chunks[0]
    out = np.empty((own.size, block.spec.members, *array.shape[2:]), array.dtype)
    for start in range(own[0] // chunk * chunk, own[-1] + 1, chunk):
        low, high = np.searchsorted(own, [start, start + chunk])
        if low < high:
            rows = schema.read(group, f"state/{name}", start, start + chunk)
            out[low:high] = rows[own[low:high] - start, _members(block)]
    return out.T


def _members(block: Block) -> slice:
    return slice(block.spec.first_member, block.spec.first_member + block.spec.members)


def _parameters(
    group: zarr.Group, root: Mapping[str, Any], block: Block
) -> tuple[Parameters, dict[str, Floats]]:
    """Parameters and multipliers of the members of a block."""

    def stored(path: str) -> dict[str, Floats]:
        found = {}
        for name in PARAMETERS:
            if f"{path}/{name}" in group:
                values = schema.read(group, f"{path}/{name}")
                found[name] = values[_members(block)] if values.ndim > 1 else values
        return found

    base = block.spec.network.parameters
    kept = {name: base.neuron[name] for name in root["by_neuron"] if name in base.neuron}
    parameters = Parameters(
        {**base.population, **stored("parameter/population")},
        {**kept, **stored("parameter/neuron")},
    )
    return parameters, stored("multiplier")
