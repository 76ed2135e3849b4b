"""Checking a network: its store, its tables, and every synapse against the laws of its recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from dtbdask import schema
from dtbdask.errors import InputError, StoreError
from dtbdask.graph.checking import damage
from dtbdask.graph.checking.agreement import matrix_findings, weight_findings
from dtbdask.graph.checking.census import count
from dtbdask.graph.checking.consistency import (
    indptr_findings,
    mixture_findings,
    parameter_findings,
    population_findings,
)
from dtbdask.graph.checking.examine import Examiner
from dtbdask.graph.checking.findings import Finding, Findings, Listed, Places
from dtbdask.graph.checking.synapse_ranges import STRETCH, in_degree, reader
from dtbdask.graph.network import Network, digest_of
from dtbdask.graph.parameters import PARAMETERS
from dtbdask.graph.population import Populations
from dtbdask.graph.store import parameter_array, read_parameters, read_populations
from dtbdask.graph.synapses import FromRecipe
from dtbdask.graph.wiring import Recipe


def verify(network: Network | str | Path, *, deep: bool = False) -> Findings:
    """Check a network as far as it can be read, and go on after each fault.

    Of a store: the commit mark; every array and chunk, present and with its checksum; tables that
    fit together; parameters within their bounds; the checksum of the recipe. Of the synapses:
    sources that exist, no self edge, no source twice for one target, in-degrees, and weights in
    their range. Of a network that follows a recipe also: who hears whom, as often as its shares
    say, and uniform weights. Memory holds a few chunks, the counts between populations (16 bytes
    for each pair that has synapses) and, of an imported network, 8 bytes for each neuron.

    Parameters
    ----------
    network : Network or path
        A store may be damaged or incomplete.
    deep : bool
        Compare each stored synapse with the one the recipe makes; other networks have nothing to
        compare.

    Returns
    -------
    Findings
        Its figures: `synapses` and `chunks` looked at, `weight_range` and `weight_mean` in units of
        the weight scale. Of a network with a recipe also `matrix_entries`, those between
        populations expected to have at least `dtbdask.graph.checking.agreement.EXPECTED` synapses;
        `matrix_largest_z` among them, with `matrix_largest_entry`; `matrix_threshold_z`, beyond
        which an entry is a finding; `false_alarm_probability` that a sound network has one; and
        `matrix_crowded_rows`, populations that were left out.

    Raises
    ------
    StoreError
        There is no dtbdask network at the path.
    """
    path = network.path if isinstance(network, Network) else str(network)
    log = _Log()
    if path:
        examiner = _of_store(Path(path), log, deep)
    else:
        assert isinstance(network, Network)
        examiner = _in_memory(network, log)
    matrix = None
    if examiner is not None:
        census = count(examiner)
        log.add(census.found)
        log.figures |= census.figures
        matrix = census.matrix
        if matrix is not None and examiner.recipe is not None:
            names = examiner.places.names
            log.add(matrix_findings(matrix, examiner.recipe, names, log.figures))
            log.add(weight_findings(census.histogram, examiner.recipe.weights))
    return Findings(path or "network in memory", tuple(log.found), log.figures, matrix)


@dataclass
class _Log:
    """What is found on the way."""

    found: list[Finding] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, findings: Iterable[Finding]) -> bool:
        """Take findings; whether there were none."""
        before = len(self.found)
        self.found += findings
        return len(self.found) == before


def _of_store(path: Path, log: _Log, deep: bool) -> Examiner | None:
    """Look at all of a store but its synapses, and tell how to look at these."""
    root = schema.read_root(path)
    if root["kind"] != "network":
        raise StoreError(f"{path}: a dtbdask {root['kind']} store, expected a network store")
    group = zarr.open_group(path, mode="r", zarr_format=3)
    log.add(_commit_findings(root))
    if not log.add(damage.root_findings(root)):
        return None
    specs = damage.expected(path, root)
    broken = {name for name in specs
              if not log.add(damage.array_findings(group, name, specs[name]))}  # fmt: skip
    whole = [name for name in specs if name not in broken and name not in damage.SYNAPSES]
    broken |= {name for name in whole if not log.add(damage.table_findings(group, name))}
    recipe, places = _tables(group, root, log, broken)
    if root["synapses"] == "procedural":
        return _procedural(recipe, places)
    if broken & set(damage.SYNAPSES):
        return None
    return _stored(group, log, recipe, places, deep)


def _commit_findings(root: Mapping[str, Any]) -> Iterator[Finding]:
    if root.get("status") != "complete":
        again = "the same build resumes it"
        if root.get("synapses") == "imported":
            again = "import it again, with overwrite"
        told = f"this network was never completed (what else is missing follows); {again}"
        yield Finding("commit", "root attribute", told)


def _tables(
    group: zarr.Group, root: Mapping[str, Any], log: _Log, broken: set[str]
) -> tuple[Recipe | None, Places]:
    """Recipe and names of a store, as far as its tables are sound."""
    follows = root["synapses"] != "imported"
    parameters = None
    if not any("/parameter/" in name for name in broken):
        parameters = read_parameters(group)
    if any(name.startswith(("population/", "mixture/")) and "/parameter/" not in name
           for name in broken):  # fmt: skip
        return None, Places()
    populations = read_populations(group)
    if not log.add(_population_tables(populations, root["labels"], root["slots"], follows)):
        return None, Places()
    if parameters is not None:
        arrays = {f"{dimension}/{name}": parameter_array(root, dimension, name)
                  for dimension in ("population", "neuron") for name in PARAMETERS}  # fmt: skip
        log.add(parameter_findings(parameters, populations.size, arrays))
    given = (root["seed"] or 0, tuple(root["weights"]))
    try:
        recipe = Recipe.make(populations, *given)
    except (InputError, IndexError) as error:
        log.add([Finding("root", "root attribute", str(error))])
        return None, Places()
    if parameters and digest_of(populations, parameters, *given) != root["recipe_sha256"]:
        told = "populations, mixture, parameters, seed or weights are not those it was made with"
        log.add([Finding("recipe checksum", "tables and root attribute", told)])
    places = _places(populations, root["labels"], root["slots"])
    if follows:
        return recipe, replace(places, targets=recipe)
    if "synapse/indptr" in broken:
        return None, places
    indptr = schema.read(group, "synapse/indptr")
    if log.add(indptr_findings(indptr, populations, root["largest_degree"])):
        places = replace(places, targets=Listed(indptr))
    return None, places


def _population_tables(
    populations: Populations, labels: Sequence[str], slots: Sequence[str], follows: bool
) -> Iterator[Finding]:
    yield from population_findings(populations, len(labels), len(slots), recipe=follows)
    yield from mixture_findings(populations.mixture, populations.size.size, recipe=follows)


def _places(populations: Populations, labels: Sequence[str], slots: Sequence[str]) -> Places:
    where = zip(populations.voxel, populations.slot, strict=True)
    first = np.append(populations.first, populations.n_neurons)
    return Places(None, first, [f"{labels[v]} {slots[s]}" for v, s in where])


def _procedural(recipe: Recipe | None, places: Places) -> Examiner | None:
    if recipe is None:
        return None
    return Examiner(int(recipe.first_synapse[-1]), STRETCH, places, recipe, recipe.synapses)


def _stored(
    group: zarr.Group, log: _Log, recipe: Recipe | None, places: Places, deep: bool
) -> Examiner:
    source, weight = (schema.array(group, name) for name in damage.SYNAPSES)
    n, chunk = int(source.shape[0]), int(source.chunks[0])
    if weight.shape != (n, 2) or weight.chunks != (chunk, 2):
        told = f"{weight.shape} in chunks of {weight.chunks}; expected {(n, 2)} of {(chunk, 2)}"
        log.add([Finding("array", "array 'synapse/weight'", told)])
    if places.targets is not None and (meant := _total(places.targets)) != n:
        told = f"{n:,} synapses; the in-degrees of the neurons make {meant:,}"
        log.add([Finding("in-degree", "array 'synapse/source'", told)])
        places = replace(places, targets=None)
    absent = {name: damage.absent_chunks(group, name) for name in damage.SYNAPSES}
    for name, chunks in absent.items():
        for low, high in damage.runs(chunks):
            which = f"chunk {low}" if low == high else f"chunks {low} to {high}"
            where = places.synapses(low * chunk, min((high + 1) * chunk, n))
            place = f"array {name!r}, {which} ({where})"
            log.add([Finding("missing chunk", place, "no file is there")])
    lost = {name: frozenset(chunks) for name, chunks in absent.items()}
    return Examiner(n, chunk, places, recipe, group=group, absent=lost, deep=deep)


def _total(targets: Recipe | Listed) -> int:
    return int(targets.first_synapse[-1] if isinstance(targets, Recipe) else targets.indptr[-1])


def _in_memory(network: Network, log: _Log) -> Examiner | None:
    """Look at all of a network in memory but its synapses, and tell how to look at these."""
    populations, synapses = network.populations, network.wiring
    recipe = synapses.recipe if isinstance(synapses, FromRecipe) else None
    follows = recipe is not None
    sound = log.add(_population_tables(populations, network.labels, network.slots, follows))
    if not sound:
        return None
    log.add(parameter_findings(network.parameters, populations.size))
    targets: Recipe | Listed | None = recipe
    if recipe is None:
        degree = in_degree(synapses, 0, network.n_neurons)
        targets = Listed(np.concatenate([[0], np.cumsum(degree)]))
    places = replace(_places(populations, network.labels, network.slots), targets=targets)
    return Examiner(network.n_synapses, STRETCH, places, recipe, reader(synapses))
