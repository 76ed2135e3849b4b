"""A network of ours written in SONATA, the format of the Allen Institute, BMTK and NEST.

    circuit_config.json      where everything is; nest.SonataNetwork and BMTK read it
    simulation_config.json   a run of a second for either of them
    dtbdask.json             what only this package reads: labels, slots, scale of the weights
    network/nodes.h5         the node population "brain", and node_types.csv, a type per population
    network/edges.h5         the edge population "brain_to_brain", by ascending target, with both
                             indices, and edge_types.csv, a type for either sign
    components/              parameters: of NEST's model, and all of ours

What an edge has: `syn_weight` in nS as `iaf_cond_exp` takes it (fast receptor, signed), and the two
integers of ours, `dtbdask_weight_fast` and `dtbdask_weight_slow`. The delay is in the table of edge
types; a network with axonal delays has them edge by edge. See `dtbdask.graph.sonata.models` for
NEST's neuron and what it lacks.

Memory holds some tens of bytes for each neuron and some hundred for each synapse of a stretch (see
`dtbdask.graph.sonata.arrays`); the files have some 52 bytes for each synapse.
"""

from __future__ import annotations

import csv
import json
import logging
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dtbdask import schema
from dtbdask.errors import InputFileError, StoreError, StoreExistsError
from dtbdask.graph.network import Network
from dtbdask.graph.sonata.arrays import FIRST_TYPE, write_edges, write_nodes
from dtbdask.graph.sonata.files import FORMAT, KIND, OURS
from dtbdask.graph.sonata.hdf5 import load_h5py
from dtbdask.graph.sonata.models import DELAY_MS, DIFFERENCES, NEST_MODEL, to_nest
from dtbdask.graph.sonata.texts import read_json

logger = logging.getLogger(__name__)


def export_sonata(network: Network, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write a network in SONATA.

    Parameters
    ----------
    network : Network
    folder : path
        To be made; it appears whole or not at all.
    overwrite : bool
        Replace a folder that this function wrote. Anything else at `folder` is never touched.

    Returns
    -------
    Path
        Of its `circuit_config.json`, which NEST, BMTK and `import_sonata` take.

    Raises
    ------
    StoreExistsError
        Something is at `folder` already; it was left untouched.
    StoreError
        The folder cannot be written.
    MissingDependencyError
        h5py is not installed.
    """
    h5py = load_h5py()
    folder = Path(folder)
    for name in ("g_nmda", "g_gaba_b", "noise_rate"):
        if network.parameters.on(name):
            logger.warning("%s is not zero everywhere; NEST's %s lacks it", name, NEST_MODEL)
    if network.attributes.get("scripted_population"):
        logger.warning("the spikes that some populations play back are not written")
    with _whole(folder, overwrite=overwrite) as part:
        (part / "network").mkdir()
        files = _write_components(network, part / "components")
        _write_tables(network, part / "network", files)
        with h5py.File(part / "network" / "nodes.h5", "w") as file:
            write_nodes(network, file)
        with h5py.File(part / "network" / "edges.h5", "w") as file:
            write_edges(network, file, part)
        _write_texts(network, part)
    return folder / "circuit_config.json"


@contextmanager
def _whole(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Make a folder that appears under its name once it is complete."""
    _refuse_taken(folder, overwrite=overwrite)
    part, old = (
        folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.{end}") for end in ("new", "old")
    )
    try:
        part.mkdir(parents=True)
        yield part
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"cannot write a SONATA network at {folder}: {error}") from error
    finally:
        for rest in (part, old):
            shutil.rmtree(rest, ignore_errors=True)


def _refuse_taken(folder: Path, *, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        ours = read_json(folder / f"{OURS}.json").get("kind") == KIND
    except InputFileError:
        ours = False
    if ours and overwrite:
        return
    what = "a SONATA network of dtbdask" if ours else "not a SONATA network of dtbdask"
    hint = "pass overwrite to replace it" if ours else "choose another path"
    raise StoreExistsError(f"{folder} exists already and is {what}; it was left untouched; {hint}")


def _write_components(network: Network, folder: Path) -> list[tuple[str, str]]:
    """Write each set of parameters once; the names of NEST's file and ours for each population."""
    for name in ("neurons", "synapses"):
        (folder / name).mkdir(parents=True)
    _write_json(folder / "synapses" / "static.json", {})
    table = network.parameters.population
    numbers: dict[tuple[float, ...], int] = {}
    files = []
    for values in zip(*(table[name].tolist() for name in table), strict=True):
        new = len(numbers)
        number = numbers.setdefault(values, new)
        names = (f"neuron_{number}.json", f"{OURS}_{number}.json")
        files.append(names)
        if number == new:
            own = dict(zip(table, values, strict=True))
            _write_json(folder / "neurons" / names[0], to_nest(own))
            _write_json(folder / "neurons" / names[1], own)
    return files


def _write_tables(network: Network, folder: Path, files: list[tuple[str, str]]) -> None:
    """Write `node_types.csv` and `edge_types.csv`."""
    header = ["node_type_id", "pop_name", "ei", "model_type", "model_template", "dynamics_params",
              *(f"{OURS}_{name}" for name in ("params", "voxel", "slot"))]  # fmt: skip
    populations = network.populations
    rows = zip(populations.excitatory, populations.voxel, populations.slot, files, strict=True)
    labels = [label.encode("unicode_escape").decode() for label in network.population_labels]
    _write_csv(folder / "node_types.csv", header, (
        [FIRST_TYPE + number, labels[number], "e" if excites else "i", "point_process", NEST_MODEL,
         *names, voxel, slot]
        for number, (excites, voxel, slot, names) in enumerate(rows)
    ))  # fmt: skip
    header = ["edge_type_id", "target_query", "source_query", "model_template", "delay",
              "dynamics_params"]  # fmt: skip
    _write_csv(folder / "edge_types.csv", header, (
        [FIRST_TYPE + place, "*", f"ei=='{ei}'", "static_synapse", DELAY_MS, "static.json"]
        for place, ei in enumerate("ei")
    ))  # fmt: skip


def _write_texts(network: Network, folder: Path) -> None:
    parts = {
        kind: [{
            f"{kind}_file": f"$NETWORK_DIR/{kind}.h5",
            f"{kind[:-1]}_types_file": f"$NETWORK_DIR/{kind[:-1]}_types.csv",
        }]
        for kind in ("nodes", "edges")
    }  # fmt: skip
    _write_json(folder / "circuit_config.json", {
        "manifest": {
            "$BASE_DIR": ".",
            "$NETWORK_DIR": "$BASE_DIR/network",
            "$COMPONENT_DIR": "$BASE_DIR/components",
        },
        "components": {
            "point_neuron_models_dir": "$COMPONENT_DIR/neurons",
            "synaptic_models_dir": "$COMPONENT_DIR/synapses",
        },
        "networks": parts,
        "target_simulator": "NEST",
        OURS: f"$BASE_DIR/{OURS}.json",
    })  # fmt: skip
    _write_json(folder / "simulation_config.json", {
        "manifest": {"$BASE_DIR": ".", "$OUTPUT_DIR": "$BASE_DIR/output"},
        "network": "$BASE_DIR/circuit_config.json",
        "target_simulator": "NEST",
        "run": {"tstop": 1000.0, "dt": 0.1},
        "output": {"output_dir": "$OUTPUT_DIR", "log_file": "log.txt", "spikes_file": "spikes.h5"},
    })  # fmt: skip
    _write_json(folder / f"{OURS}.json", {
        "kind": KIND, "format": FORMAT, **schema.provenance(),
        "source": str(network.attributes.get("source", "")),
        "weight_dtype": network.wiring.weight_dtype.name,
        "weight_scale": float(network.wiring.weight_scale),
        "labels": list(network.labels), "slots": list(network.slots),
    })  # fmt: skip
    (folder / "README.txt").write_text(DIFFERENCES, encoding="ascii")


def _write_csv(path: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    with path.open("w", encoding="ascii", newline="") as file:
        table = csv.writer(file, delimiter=" ", lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="ascii")
