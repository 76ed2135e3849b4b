"""A small SONATA network of somebody else's, in the layout that BMTK's builder writes."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np

from dtbdask.graph.network import Network
from dtbdask.graph.synapses import Held
from dtbdask.graph.wiring import InEdges

CONFIG = {
    "manifest": {"$BASE_DIR": "${configdir}", "$NETWORK_DIR": "$BASE_DIR/network"},
    "components": {
        "point_neuron_models_dir": "$BASE_DIR/components/neurons",
        "synaptic_models_dir": "$BASE_DIR/components/synapses",
    },
    "networks": {
        "nodes": [
            {
                "nodes_file": f"$NETWORK_DIR/{name}_nodes.h5",
                "node_types_file": f"$NETWORK_DIR/{name}_node_types.csv",
            }
            for name in ("v1", "lgn")
        ],
        "edges": [
            {
                "edges_file": f"$NETWORK_DIR/{name}_v1_edges.h5",
                "edge_types_file": f"$NETWORK_DIR/{name}_v1_edge_types.csv",
            }
            for name in ("v1", "lgn")
        ],
    },
    "target_simulator": "NEST",
}

SCNN1A = {"C_m": 200.0, "g_L": 10.0, "V_th": -52.0, "tau_syn_ex": 3.0, "I_e": 50.0}
PV = {"C_m": 100.0, "t_ref": 1.0, "E_in": -75.0, "V_m": -65.0}

V1_TYPES = [
    {"node_type_id": 100, "ei": "e", "pop_name": "Scnn1a", "model_type": "point_neuron",
     "model_template": "nest:iaf_cond_exp", "dynamics_params": "scnn1a.json"},
    {"node_type_id": 101, "ei": "i", "pop_name": "PV cell", "model_type": "point_process",
     "model_template": "nest:iaf_cond_exp", "dynamics_params": "pv.json"},
]  # fmt: skip
LGN_TYPES = [{"node_type_id": 100, "model_type": "virtual", "ei": "e"}]
V1_EDGE_TYPES = [
    {"edge_type_id": 100, "target_query": "*", "source_query": "ei=='e'", "delay": 1.5,
     "model_template": "static_synapse", "dynamics_params": "static.json", "syn_weight": "NULL"},
    {"edge_type_id": 101, "target_query": "ei=='e'", "source_query": "ei=='i'", "delay": 2.0,
     "model_template": "static_synapse", "dynamics_params": "static.json", "syn_weight": -2.5},
]  # fmt: skip
LGN_EDGE_TYPES = [
    {"edge_type_id": 100, "target_query": "ei=='e'", "source_query": "*", "delay": 1.0,
     "model_template": "nest:static_synapse", "syn_weight": 4.0},
]  # fmt: skip

KIND = np.array([100, 101, 100, 100, 101])
"""Types of the nodes of v1, whose neurons are not in the order of their types."""
SOURCE = np.array([0, 2, 3, 1, 4, 4, 0, 3, 0, 1])
TARGET = np.array([1, 1, 1, 2, 2, 3, 3, 4, 0, 0])
EDGE_TYPE = np.where(KIND[SOURCE] == 100, 100, 101)
WEIGHT = np.array([0.25, 1.5, 0.0, 3.75, 0.5, 2.0])
"""Of the excitatory synapses, in their order."""
NSYNS = np.array([1, 2, 1, 3])
"""Of the inhibitory ones."""
LGN_SOURCE, LGN_TARGET, LGN_NSYNS = np.array([2, 0, 2]), np.array([0, 3, 3]), np.array([1, 2, 3])


def write_table(path, rows):
    """A table of types as BMTK writes it."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, delimiter=" ")
        table.writerow(rows[0])
        table.writerows([row[name] for name in rows[0]] for row in rows)


def write_hdf5(path, columns, attributes=()):
    """Datasets by path, packed, in a file marked as SONATA."""
    with h5py.File(path, "w") as file:
        file.attrs["magic"], file.attrs["version"] = np.uint32(0x0A7A), np.uint32([0, 1])
        for name, values in columns.items():
            packed = {"compression": "gzip"} if np.size(values) else {}
            file.create_dataset(name, data=values, **packed)
        for name, key, value in attributes:
            file[name].attrs[key] = value


def write_edges(path, name, source, target, edge_type, group, index, groups):
    """An edge population "<source population>_to_<target population>"."""
    ends = name.split("_to_")
    columns = {
        "source_node_id": source.astype(np.uint64), "target_node_id": target.astype(np.uint64),
        "edge_type_id": edge_type.astype(np.uint32), "edge_group_id": group.astype(np.uint16),
        "edge_group_index": index.astype(np.uint32), **groups,
    }  # fmt: skip
    attributes = [
        (f"edges/{name}/{end}_node_id", "node_population", population)
        for end, population in zip(("source", "target"), ends, strict=True)
    ]
    write_hdf5(path, {f"edges/{name}/{key}": v for key, v in columns.items()}, attributes)


def write_nodes(path, name, kind, groups=None):
    """A node population."""
    n = len(kind)
    columns = {
        "node_id": np.arange(n, dtype=np.uint64), "node_type_id": np.asarray(kind, np.uint64),
        "node_group_id": np.zeros(n, np.uint32), "node_group_index": np.arange(n, dtype=np.uint64),
        **(groups or {}),
    }  # fmt: skip
    write_hdf5(path, {f"nodes/{name}/{key}": values for key, values in columns.items()})
    with h5py.File(path, "r+") as file:
        file.require_group(f"nodes/{name}/0")


def write_foreign(folder):
    """Five neurons in two types and three virtual nodes; the path of the configuration."""
    folder = Path(folder)
    network, neurons, synapses = (
        folder / name for name in ("network", "components/neurons", "components/synapses")
    )
    for part in (network, neurons, synapses):
        part.mkdir(parents=True)
    (folder / "circuit_config.json").write_text(json.dumps(CONFIG))
    for path, value in {
        neurons / "scnn1a.json": SCNN1A, neurons / "pv.json": PV, synapses / "static.json": {},
    }.items():  # fmt: skip
        path.write_text(json.dumps(value))
    write_table(network / "v1_node_types.csv", V1_TYPES)
    write_table(network / "lgn_node_types.csv", LGN_TYPES)
    write_table(network / "v1_v1_edge_types.csv", V1_EDGE_TYPES)
    write_table(network / "lgn_v1_edge_types.csv", LGN_EDGE_TYPES)
    write_nodes(network / "v1_nodes.h5", "v1", KIND, {"0/x": np.linspace(0, 1, KIND.size)})
    write_nodes(network / "lgn_nodes.h5", "lgn", [100] * 3)
    group = (EDGE_TYPE == 101).astype(int)
    index = np.where(group, np.cumsum(group) - 1, np.cumsum(1 - group) - 1)
    write_edges(
        network / "v1_v1_edges.h5", "v1_to_v1", SOURCE, TARGET, EDGE_TYPE, group, index,
        {"0/syn_weight": WEIGHT, "1/nsyns": NSYNS.astype(np.uint32)},
    )  # fmt: skip
    write_edges(
        network / "lgn_v1_edges.h5", "lgn_to_v1", LGN_SOURCE, LGN_TARGET, np.full(3, 100),
        np.zeros(3), np.arange(3), {"0/nsyns": LGN_NSYNS.astype(np.uint32)},
    )  # fmt: skip
    return folder / "circuit_config.json"


class InMemory:
    """Stands for a store: takes the synapses and holds them."""

    def __init__(
        self, path, populations, parameters, labels, in_degree, *, weight_dtype, weight_scale,
        attributes, sources=None, overwrite=False, chunk=None,
    ):  # fmt: skip
        self.told = (populations, parameters, tuple(labels), {**attributes, "sources": sources})
        self.indptr = np.concatenate([[0], np.cumsum(in_degree)])
        self.scale = weight_scale
        self.parts = [(np.empty(0, np.uint32), np.empty((0, 2), weight_dtype))]

    def append(self, source, weight):
        assert weight.dtype == self.parts[0][1].dtype
        self.parts.append((source, weight))

    def finish(self):
        populations, parameters, labels, attributes = self.told
        source, weight = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        assert (source.dtype, source.size) == (np.uint32, self.indptr[-1])
        synapses = Held(InEdges(self.indptr, source, weight), self.scale)
        return Network(populations, parameters, synapses, labels, attributes)


def rewrite(path, change):
    """Let `change` alter the JSON of a file."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
