"""The configuration of a SONATA network: which files it is made of.

All files must lie in the folder of the configuration or below: a path that leads out of it, be it
absolute, by `..` or by a symbolic link, is refused.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dtbdask.brain.guard import decoding, listed
from dtbdask.errors import InputFileError
from dtbdask.graph.sonata.texts import Row, read_json, read_table

logger = logging.getLogger(__name__)

PATH_LIMIT = 4096
"""Characters that a path may have."""

OURS = "dtbdask"
"""Key of the configuration, and root of the file names, of what only this package reads."""

KIND, FORMAT = "sonata", 1
"""What the file of that key is, and its version; a larger one is refused by name."""

SPIKE_MODULES = ("h5", "sonata")
"""What BMTK calls the readers of files of spikes."""

_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


@dataclass(frozen=True)
class Part:
    """A file of nodes or edges and the rows of its table of types."""

    data: Path
    table: Path
    rows: list[Row]

    def types(self, key: str, population: str) -> dict[int, Row]:
        """Rows that hold for a population, by type.

        Parameters
        ----------
        key : {"node_type_id", "edge_type_id"}
        population : str
        """
        found: dict[int, Row] = {}
        for row in self.rows:
            if row.get("population", population) != population:
                continue
            text = row.get(key, "")
            number = int(text) if text.isdecimal() and len(text) < 19 else -1
            if number < 0:
                raise InputFileError(
                    f"{self.table}: {key} is {text[:80]!r} in a row; expected a whole number"
                )
            if number in found:
                raise InputFileError(f"{self.table}: {key} {number} is there twice")
            found[number] = row
        return found


@dataclass(frozen=True)
class Input:
    """A file of spikes and the node population that plays them back."""

    path: Path
    population: str


@dataclass(frozen=True)
class Circuit:
    """A network as its configuration tells it.

    Attributes
    ----------
    path : Path
        Of the configuration.
    nodes, edges : list of Part
    neuron_models, synapse_models : Path or None
        Folders of the parameter files.
    marks : mapping
        What `export_sonata` noted beside a network of ours; empty for another.
    inputs : list of Input
        What a simulation configuration gives its virtual nodes.
    """

    path: Path
    nodes: list[Part]
    edges: list[Part]
    neuron_models: Path | None
    synapse_models: Path | None
    marks: dict[str, Any]
    inputs: list[Input]


def read_circuit(path: str | Path) -> Circuit:
    """Read a circuit configuration, or the one that a configuration of a simulation names.

    Parameters
    ----------
    path : path
        Of the JSON file.

    Raises
    ------
    InputFileError
        Missing, damaged, incomplete, or with a path that leads out of its folder.
    """
    path = Path(path)
    root = path.parent.resolve()
    config = _Config.read(path, root)
    inputs = config.inputs()
    if "networks" not in config.value and "network" in config.value:
        for key in ("simulation", "network"):
            if key in config.value:
                inner = _Config.read(config.resolve(config.value[key], key), root)
                inputs += inner.inputs()
        config = inner
    networks = config.section(config.value, "networks", required=True)
    components = config.section(config.value, "components")
    folders = [
        config.resolve(components[key], key) if components.get(key) else None
        for key in ("point_neuron_models_dir", "synaptic_models_dir")
    ]
    marks = config.value.get(OURS)
    return Circuit(
        config.path,
        config.parts(networks, "nodes"),
        config.parts(networks, "edges"),
        folders[0],
        folders[1],
        {} if marks is None else _read_marks(config.resolve(marks, OURS)),
        inputs,
    )


def _read_marks(path: Path) -> dict[str, Any]:
    marks = read_json(path)
    kind, version = marks.get("kind"), marks.get("format")
    if kind != KIND or not isinstance(version, int) or version > FORMAT:
        raise InputFileError(
            f"{path}: is of kind {kind!r} and format {version!r}; this version reads {KIND!r} up "
            f"to {FORMAT}"
        )
    return marks


@dataclass(frozen=True)
class _Config:
    """A configuration file, with its variables."""

    path: Path
    root: Path
    value: dict[str, Any]
    variables: dict[str, str]

    @classmethod
    def read(cls, path: Path, root: Path) -> _Config:
        value = read_json(path)
        manifest = value.get("manifest", {})
        texts = manifest.values() if isinstance(manifest, dict) else [None]
        if not all(isinstance(text, str) and len(text) <= PATH_LIMIT for text in texts):
            raise InputFileError(f"{path}: manifest must hold paths by name")
        variables = {"configdir": str(path.parent.resolve())}
        variables |= {name.strip("${}"): text for name, text in manifest.items()}
        return cls(path, root, value, variables)

    def section(self, value: dict[str, Any], key: str, required: bool = False) -> dict[str, Any]:
        found = value.get(key)
        if not isinstance(found, dict) and (required or found is not None):
            raise InputFileError(f"{self.path}: {key!r} is not there, or not a JSON object")
        return found or {}

    def parts(self, networks: dict[str, Any], kind: str) -> list[Part]:
        entries = networks.get(kind, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputFileError(f"{self.path}: networks.{kind} must be a list of JSON objects")
        keys = (f"{kind}_file", f"{kind[:-1]}_types_file")
        parts = []
        for entry in (entry for entry in entries if entry.get("enabled", True)):
            data, table = (self.resolve(entry.get(key), f"networks.{kind}.{key}") for key in keys)
            parts.append(Part(data, table, read_table(table)))
        return parts

    def inputs(self) -> list[Input]:
        """Spikes for virtual nodes; a warning about inputs of other kinds."""
        found = []
        for name, entry in self.section(self.value, "inputs").items():
            known = isinstance(entry, dict) and entry.get("module") in SPIKE_MODULES
            if not known or entry.get("input_type") != "spikes":
                logger.warning("%s: input %r is no file of spikes; not read", self.path, name[:80])
                continue
            nodes = entry.get("node_set")
            population = nodes.get("population") if isinstance(nodes, dict) else nodes
            path = self.resolve(entry.get("input_file"), f"inputs.{name[:80]}.input_file")
            found.append(Input(path, str(population)))
        return found

    def resolve(self, text: Any, field: str) -> Path:
        """Path of a file of the network, inside the folder of the configuration."""
        if not isinstance(text, str) or not 0 < len(text) <= PATH_LIMIT:
            raise InputFileError(f"{self.path}: {field} is {str(text)[:80]!r}; expected a path")
        expanded = text
        for _ in range(len(self.variables) + 1):
            expanded = _VARIABLE.sub(lambda match: self._variable(match[1], field), expanded)
            if "$" not in expanded or len(expanded) > PATH_LIMIT:
                break
        if "$" in expanded or len(expanded) > PATH_LIMIT:
            raise InputFileError(
                f"{self.path}: {field}: the variables of {text[:80]!r} make no path"
            )
        with decoding(self.path, f"a configuration: {field}"):
            found = (self.path.parent / expanded).resolve()
        if not found.is_relative_to(self.root):
            raise InputFileError(
                f"{self.path}: {field} leads to {found}, outside of the folder of the "
                f"configuration, {self.root}; copy the files there and use a relative path"
            )
        return found

    def _variable(self, name: str, field: str) -> str:
        if name not in self.variables:
            known = listed(self.variables)
            raise InputFileError(f"{self.path}: {field}: no variable ${name}; known are {known}")
        return self.variables[name]
