"""Changing parameters of a stored network; its synapses and all else stay as they are.

A network is at every moment either as before or as after. The new version of an array is made in a
workshop, a folder inside the folder of another array, where Zarr sees no members; what does not
change is linked, not written. Whole, it is moved to a new name beside the old one. The one write
that counts is that of the root attribute, in which the array's new name, the checksum and the
history change together. Only then the old version is moved away and removed. What an interruption
leaves is seen by nobody, and the next modification removes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray

from dtbdask import schema
from dtbdask.errors import InputError
from dtbdask.graph.alone import alone
from dtbdask.graph.checking.consistency import of_neurons, reset_findings
from dtbdask.graph.network import Network, digest_of, open_network
from dtbdask.graph.parameters import PARAMETERS, Parameters, check, known
from dtbdask.graph.selection import choose, choose_populations, tell
from dtbdask.graph.store import NEURONS_PER_CHUNK, parameter_array, parameter_spec

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WORKSHOP = Path("population", "size", ".modify")
"""Where new versions are made, and old ones removed."""


def modify(
    path: str | Path,
    parameter: str,
    value: ArrayLike,
    *,
    population: str | ArrayLike | None = None,
    neuron: ArrayLike | None = None,
    how: Literal["assign", "multiply"] = "assign",
) -> Network:
    """Change a parameter of a stored network, for all of it or a part.

    Parameters
    ----------
    path : path
        Of the network.
    parameter : str
        One of `dtbdask.graph.parameters.PARAMETERS`.
    value : float or (chosen,) float
        One value, or one for each population or neuron that is chosen, in the order of indices as
        given or else of the network.
    population : str, sequence of str, (index,) int or (population,) bool, optional
        Populations, all of whose neurons change: by the name of a population ("Thalamus_L E"), a
        slot ("L5E"), a voxel, or "E" or "I"; by index; or by mask. By default all.
    neuron : (index,) int or (neuron,) bool, optional
        Single neurons, instead of populations. The parameter has values by neuron from then on.
    how : {"assign", "multiply"}
        Replace the values, or multiply those that are stored now: a factor of 2 twice makes 4.

    Returns
    -------
    Network
        The network as it is now. Its attribute `modified` is the history: when, parameter, what was
        chosen, how, and the value or its digest.

    Raises
    ------
    InputError
        An unknown name, a value of the wrong shape or beyond its bounds, or a reset potential that
        is not below the threshold; nothing was changed.
    StoreError
        No such network, or it is being modified by somebody else.
    """
    known(parameter)
    if how not in ("assign", "multiply"):
        raise InputError(f"how is {how!r}; use 'assign' or 'multiply'")
    if population is not None and neuron is not None:
        raise InputError("population and neuron are both given; choose by one of them")
    path = Path(path)
    schema.read_root(path)
    with alone(path, f"{path}: it is being modified by somebody else; try again"):
        network = open_network(path)
        changed = _changed(network, parameter, value, population, neuron, how)
        after = _after(network, parameter, changed)
        chosen = (
            {"neuron": tell(neuron)} if neuron is not None else {"population": tell(population)}
        )
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"when": when, "parameter": parameter, **chosen, "how": how, "value": tell(value)}
        _write(path, network, parameter, changed, after, entry)
        return open_network(path)


def _changed(
    network: Network, parameter: str, value: ArrayLike, population: Any, neuron: Any, how: str
) -> dict[str, Floats]:
    """New values of a parameter, of populations or of neurons or of both."""
    size, now = network.populations.size, network.parameters

    def changed(values: Floats, at: Ints, given: Floats) -> Floats:
        values = values.copy()
        values[at] = given if how == "assign" else values[at] * given
        return values

    if neuron is not None:
        at = choose("neuron", neuron, network.n_neurons)
        given = _given(parameter, value, at.size)
        return {"neuron": changed(of_neurons(now, parameter, size), at, given)}
    at = choose_populations(network, population)
    given = _given(parameter, value, at.size)
    made = {"population": changed(now.population[parameter], at, given)}
    if parameter in now.neuron:
        order = np.argsort(at)
        chosen = np.zeros(size.size, bool)
        chosen[at] = True
        theirs = np.flatnonzero(np.repeat(chosen, size))
        each = np.repeat(given[order], size[at[order]])
        made["neuron"] = changed(now.neuron[parameter], theirs, each)
    return made


def _given(parameter: str, value: ArrayLike, n: int) -> Floats:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{parameter}: {value!r} is not a number or an array of them") from error
    if array.shape not in ((), (n,)):
        raise InputError(
            f"{parameter}: value has shape {array.shape}; expected one value, or ({n},) for those "
            "that are chosen"
        )
    return np.broadcast_to(array, (n,))


def _after(network: Network, parameter: str, changed: Mapping[str, Floats]) -> Parameters:
    """All parameters as they will be, checked."""
    now = network.parameters
    for dimension, values in changed.items():
        check(parameter, values, values.size, dimension)
    population = {**now.population, **_named(parameter, changed.get("population"))}
    neuron = {**now.neuron, **_named(parameter, changed.get("neuron"))}
    after = Parameters(population, {name: neuron[name] for name in PARAMETERS if name in neuron})
    if parameter in ("v_reset", "v_th"):
        for finding in reset_findings(after, network.populations.size):
            raise InputError(f"{parameter}: {finding.place}: {finding.told}")
    return after


def _named(parameter: str, values: Floats | None) -> dict[str, Floats]:
    return {} if values is None else {parameter: values}


def _write(
    path: Path,
    network: Network,
    parameter: str,
    changed: Mapping[str, Floats],
    after: Parameters,
    entry: Mapping[str, Any],
) -> None:
    root = dict(network.attributes)
    history = [*root.get("modified", []), entry]
    _sweep(path, root)
    group = zarr.open_group(path, mode="r+", zarr_format=3)
    revised = dict(root.get("revised", {}))
    for dimension, values in changed.items():
        usual = f"{dimension}/parameter/{parameter}"
        before = getattr(network.parameters, dimension).get(parameter)
        now = path / parameter_array(root, dimension, parameter)
        if before is None or not now.exists():
            group.require_group(f"{dimension}/parameter")
            made = _new(path, dimension, parameter, values)
        else:
            made = _revision(now, before, values, path / WORKSHOP / dimension)
        revised[usual] = f"{usual}.{len(history)}"
        made.rename(path / revised[usual])
    given = (root["seed"] or 0, tuple(root["weights"]))
    digest = digest_of(network.populations, after, *given)
    schema.update_root(group, revised=revised, modified=history, recipe_sha256=digest)
    _sweep(path, schema.root_of(group))


def _new(path: Path, dimension: str, parameter: str, values: Floats) -> Path:
    """Make an array of the values of all neurons or populations in the workshop."""
    workshop = zarr.open_group(path / WORKSHOP, mode="a", zarr_format=3)
    spec = replace(parameter_spec(dimension, parameter), name=f"new_{dimension}")
    schema.write(workshop, spec, values, chunk=NEURONS_PER_CHUNK)
    return path / WORKSHOP / spec.name


def _revision(now: Path, before: Floats, values: Floats, made: Path) -> Path:
    """Make a new version of an array in the workshop; chunks that stay the same are linked."""
    (made / "c").mkdir(parents=True)
    shutil.copyfile(now / "zarr.json", made / "zarr.json")
    opened: Any = zarr.open_array(made, mode="r+", zarr_format=3)
    array = opened.with_config({"write_empty_chunks": True})  # an absent chunk would be damage
    width = array.chunks[0]
    for chunk, start in enumerate(range(0, values.size, width)):
        part = slice(start, min(start + width, values.size))
        if np.array_equal(before[part].view(np.int64), values[part].view(np.int64)):
            _link(now / "c" / str(chunk), made / "c" / str(chunk))
        else:
            array[part] = values[part]
    return made


def _link(old: Path, new: Path) -> None:
    """Give a file a second name, or copy it where the file system knows no such thing."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)


def _sweep(path: Path, root: Mapping[str, Any]) -> None:
    """Remove versions of arrays that the root does not name, and what an interruption left."""
    workshop = path / WORKSHOP
    if workshop.exists():
        shutil.rmtree(workshop)
    for unfinished in path.glob("zarr.*.partial"):
        unfinished.unlink()
    current = {parameter_array(root, dimension, name)
               for dimension, name in product(("population", "neuron"), PARAMETERS)}  # fmt: skip
    for dimension in ("population", "neuron"):
        folder = path / dimension / "parameter"
        for array in sorted(folder.iterdir()) if folder.exists() else ():
            known_name = array.name.partition(".")[0] in PARAMETERS
            if known_name and f"{dimension}/parameter/{array.name}" not in current:
                workshop.mkdir(exist_ok=True)
                array.rename(workshop / f"{dimension} {array.name}")
    if workshop.exists():
        shutil.rmtree(workshop)
