"""Files that are damaged, hostile, or more than a network of ours can be are told, by field."""

import json
import resource

import h5py
import numpy as np
import pytest
import sonata
from sonata import rewrite, write_foreign

from dtbdask.brain import guard
from dtbdask.errors import DTBDaskError, InputFileError
from dtbdask.graph.sonata import importing as sonata_import
from dtbdask.graph.sonata import texts as sonata_texts
from dtbdask.graph.sonata.importing import import_sonata


@pytest.fixture
def config(tmp_path):
    return write_foreign(tmp_path / "foreign")


@pytest.fixture
def refuse(config, tmp_path, monkeypatch):
    """Import must fail with a message, as an error about a file, and write nothing."""
    monkeypatch.setattr(sonata_import, "create_import", sonata.InMemory)

    def check(told, path=config):
        with pytest.raises(DTBDaskError, match=told) as caught:
            import_sonata(path, tmp_path / "brain.zarr")
        assert isinstance(caught.value, InputFileError)
        assert str(config.parent) in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ["foreign"]

    return check


def hdf5(config, name):
    return h5py.File(config.parent / "network" / name, "r+")


# the configuration


def set_networks(**networks):
    return lambda value: value.update(networks=networks)


def set_file(path):
    return lambda value: value["networks"]["nodes"][0].update(nodes_file=path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: v.pop("networks"), "'networks' is not there"),
        (lambda v: v.update(networks=[]), "'networks' is not there, or not a JSON object"),
        (lambda v: v.update(manifest=3), "manifest must hold paths by name"),
        (lambda v: v["manifest"].update({"$X": 1}), "manifest must hold paths by name"),
        (set_networks(nodes={}), "networks.nodes must be a list"),
        (set_networks(nodes=[3]), "networks.nodes must be a list of JSON objects"),
        (set_networks(nodes=[]), "has 0 nodes"),
        (set_file(None), "networks.nodes.nodes_file is 'None'; expected a path"),
        (set_file("a" * 9999), "nodes_file is 'aaaa"),
        (set_file("a\0b"), "damaged, or not a configuration"),
        (set_file("$NOWHERE/x"), r"no variable \$NOWHERE; known are 'configdir'"),
        (set_file("/etc/passwd"), "leads to /etc/passwd, outside of the folder"),
        (set_file("../../x.h5"), r"leads to .*x\.h5, outside of the folder"),
        (set_file("$BASE_DIR/../../x.h5"), "outside of the folder"),
        (set_file("nowhere.h5"), "nowhere.h5: cannot be read: No such file"),
        (set_file("network"), "network: cannot be read: Is a directory"),
        (set_file("circuit_config.json"), "not an HDF5 file"),
        (lambda v: v["manifest"].update({"$BASE_DIR": "$BASE_DIR/x"}), "make no path"),
        (lambda v: v["manifest"].update({"$BASE_DIR": "$BASE_DIR$BASE_DIR"}), "make no path"),
        (lambda v: v.pop("components"), "'scnn1a.json', but the configuration says in none"),
        (lambda v: v.update(dtbdask="../../x"), "dtbdask leads to"),
    ],
)
def test_a_configuration_that_leads_nowhere_or_elsewhere(config, refuse, change, told):
    rewrite(config, change)
    refuse(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("{", "damaged, or not a JSON file"),
        ("[1]", "holds a JSON list, expected an object"),
        ("[" * 100_000, "damaged, or not a JSON file"),
        ("\udcff", "damaged, or not a text file"),
    ],
)
def test_a_configuration_that_is_no_json(config, refuse, text, told):
    config.write_bytes(text.encode(errors="surrogateescape"))
    refuse(told)


def test_a_symbolic_link_out_of_the_folder_is_not_followed(config, refuse):
    secret = config.parent.parent / "secret.h5"
    path = config.parent / "network" / "v1_nodes.h5"
    path.rename(secret)
    path.symlink_to(secret)
    with pytest.raises(InputFileError, match=r"secret\.h5, outside of the folder"):
        import_sonata(config, config.parent.parent / "brain.zarr")


def test_a_text_file_beyond_reason_is_not_read(refuse, monkeypatch):
    monkeypatch.setattr(sonata_texts, "TEXT_LIMIT", 100)
    refuse(r"circuit_config.json: has [\d,]+ bytes, at most 100")


# tables of types and parameters


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_type": "biophysical"}, "node_type_id 100: model_type 'biophysical' cannot be"),
        ({"model_type": "single_compartment"}, "'single_compartment' cannot be represented"),
        ({"model_type": "NULL"}, "model_type None cannot be represented"),
        ({"model_template": "nest:iaf_psc_alpha"}, "'nest:iaf_psc_alpha' cannot be represented"),
        ({"model_template": "nrn:IntFire1"}, "'nrn:IntFire1' cannot .* read are nest:iaf_cond_exp"),
        ({"model_template": "NULL"}, "unknown parameter 'C_m' of our neuron; known are 'c',"),
        ({"ei": "x"}, "ei is 'x'; expected a word that begins with e or i"),
        ({"ei": "e"}, r"node 1 of population 'v1' \(.* 101\) has negative weights, but exc"),
        ({"dynamics_params": "nothing.json"}, "nothing.json: cannot be read"),
        ({"dynamics_params": "../../../secret.json"}, "is not in .*neurons"),
        ({"dynamics_params": "/etc/passwd"}, "'/etc/passwd' is not in"),
        ({"node_type_id": "x"}, "node_type_id is 'x' in a row; expected a whole number"),
        ({"node_type_id": -3}, "node_type_id is '-3' in a row"),
        ({"node_type_id": 10**30}, "node_type_id is '1000000000"),
        ({"node_type_id": 100}, "node_type_id 100 is there twice"),
        ({"node_type_id": 102}, "holds 101, which v1_node_types.csv lacks|holds 100, which"),
        ({"population": "other"}, "holds 100, which v1_node_types.csv lacks"),
    ],
)
def test_node_types_that_cannot_be_represented(config, refuse, change, told):
    rows = [dict(row) for row in sonata.V1_TYPES]
    for row in rows[1:] if "node_type_id" in change else rows:
        row.update(change)
    sonata.write_table(config.parent / "network" / "v1_node_types.csv", rows)
    refuse(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        (" \n", "without a line of column names"),
        ("node_type_id node_type_id\n1 2\n", "two columns have the same name"),
        ("node_type_id ei\n100\n", "row 1 has 1 fields, the header 2"),
        ('node_type_id ei\n100 "e\n', "damaged, or not a table"),
        ("ei\ne\n", "node_type_id is '' in a row"),
    ],
)
def test_a_table_that_is_none(config, refuse, text, told):
    (config.parent / "network" / "v1_node_types.csv").write_text(text)
    refuse(f"v1_node_types.csv: .*{told}")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"C_m": "200"}, "'C_m' is not a number"),
        ({"C_m": True}, "'C_m' is not a number"),
        ({"C_m": 10**400}, "damaged, or not parameters"),
        ({"C_m": float("nan")}, "c of population 0 is nan"),
        ({"C_m": -1.0}, "c of population 0 is -0.001"),
        ({"V_th": -60.0}, "v_reset of population 0 is -60 mV, not below its v_th"),
        ({"tau_m": 20.0}, "unknown parameter 'tau_m' of iaf_cond_exp; known are 'C_m'"),
    ],
)
def test_parameters_that_are_none(config, refuse, value, told):
    (config.parent / "components" / "neurons" / "scnn1a.json").write_text(json.dumps(value))
    refuse(told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_template": "stdp_synapse"}, "'stdp_synapse' cannot be represented"),
        ({"model_template": "Exp2Syn"}, "edge_type_id 100: model_template 'Exp2Syn'"),
        ({"weight_function": "gaussianLL"}, "weight_function 'gaussianLL' is code, not data"),
        ({"receptor_type": 2}, "receptor_type is 2; receptor ports cannot be represented"),
        ({"is_gap_junction": "True"}, "gap junctions cannot be represented"),
        ({"delay": -1.0}, "delay of an edge is -1; expected 0 ms or more"),
        ({"delay": "inf"}, "delay of an edge is inf"),
        ({"delay": "soon"}, "delay is 'soon'; expected a number"),
        ({"syn_weight": "strong"}, "syn_weight is 'strong'; expected a number"),
        ({"syn_weight": "NULL"}, "syn_weight of an edge is missing; expected a finite number"),
        ({"syn_weight": "inf"}, "syn_weight of an edge is inf"),
        ({"nsyns": -1}, "nsyns of an edge is -1"),
        ({"edge_type_id": 7}, "holds 100, which its table of edge types lacks"),
        ({"dynamics_params": "plastic.json"}, "unknown parameter 'tau_plus' of a static synapse"),
        ({"dynamics_params": "port.json"}, "receptor_type is 1.0; receptor ports"),
    ],
)
def test_edge_types_that_cannot_be_represented(config, refuse, change, told):
    folder = config.parent / "components" / "synapses"
    (folder / "plastic.json").write_text('{"tau_plus": 20.0}')
    (folder / "port.json").write_text('{"receptor_type": 1}')
    row = dict(sonata.LGN_EDGE_TYPES[0])
    row.update(change)
    sonata.write_table(config.parent / "network" / "lgn_v1_edge_types.csv", [row])
    if "nsyns" in change:
        with hdf5(config, "lgn_v1_edges.h5") as file:
            del file["edges/lgn_to_v1/0/nsyns"]
    refuse(told)


def test_a_neuron_with_weights_of_both_signs_is_refused(config, refuse):
    network = config.parent / "network"
    sonata.write_table(network / "v1_node_types.csv", [dict(r, ei="NULL") for r in sonata.V1_TYPES])
    with hdf5(config, "v1_v1_edges.h5") as file:
        file["edges/v1_to_v1/0/syn_weight"][0] = -1.0  # of node 0, which excites otherwise
    refuse("node 0 of population 'v1' .* has negative weights, but has positive ones too")


# HDF5


def change_dataset(name, make, **told):
    def change(file):
        old = file[name]
        values, attributes = old[...], dict(old.attrs)
        del file[name]
        file[name] = make(values)
        file[name].attrs.update(attributes | told)

    return change


def set_value(name, place, value):
    def change(file):
        file[name][place] = value

    return change


def link(name, make):
    def change(file):
        del file[name]
        file[name] = make(file)

    return change


V1, LGN = "edges/v1_to_v1", "nodes/lgn"
EDGES, NODES = "v1_v1_edges.h5", "lgn_nodes.h5"

FILES = {
    "no nodes": (NODES, lambda f: f.pop("nodes"), "holds no node population"),
    "no edges": (EDGES, lambda f: f.pop("edges"), "lacks the group /edges"),
    "a dataset for a group": (EDGES, lambda f: f.create_dataset("edges/x", data=1), "not a group"),
    "no types": (NODES, lambda f: f.pop(f"{LGN}/node_type_id"), "lacks 'node_type_id'; found"),
    "no targets": (EDGES, lambda f: f.pop(f"{V1}/target_node_id"), "lacks 'target_node_id'"),
    "no edge types": (EDGES, lambda f: f.pop(f"{V1}/edge_type_id"), "lacks 'edge_type_id'"),
    "no group": (EDGES, lambda f: f.pop(f"{V1}/0"), "lacks the group 0, which edge_group_id"),
    "no node group": (NODES, lambda f: f.pop(f"{LGN}/0"), "lacks the group 0, which node_group_id"),
    "objects": (EDGES, change_dataset(f"{V1}/0/syn_weight", lambda v: v.astype("S")), "dtype |S"),
    "text": (
        EDGES, change_dataset(f"{V1}/0/syn_weight", lambda v: np.array(["x"] * v.size, object)),
        "syn_weight has dtype object; expected numbers",
    ),
    "complex": (EDGES, change_dataset(f"{V1}/0/syn_weight", lambda v: v + 1j), "expected numbers"),
    "real ids": (EDGES, change_dataset(f"{V1}/source_node_id", np.float64), "expected integers"),
    "a table": (EDGES, change_dataset(f"{V1}/source_node_id", lambda v: v[:, None]), "shape"),
    "a scalar": (EDGES, change_dataset(f"{V1}/source_node_id", lambda v: v[0]), "shape"),
    "short": (EDGES, change_dataset(f"{V1}/source_node_id", lambda v: v[:-1]), "9 values, exp"),
    "short weights": (EDGES, change_dataset(f"{V1}/0/syn_weight", lambda v: v[:-1]), "index is 5"),
    "no number": (EDGES, set_value(f"{V1}/0/syn_weight", 2, np.nan), "syn_weight of an edge"),
    "infinite": (EDGES, set_value(f"{V1}/0/syn_weight", 2, -np.inf), "syn_weight of an edge is"),
    "source": (EDGES, set_value(f"{V1}/source_node_id", 3, 5), "holds 5, which is no node of"),
    "huge source": (EDGES, set_value(f"{V1}/source_node_id", 3, 2**64 - 1), "which is no node of"),
    "target": (EDGES, set_value(f"{V1}/target_node_id", 3, 9), "holds 9, .* 'v1' .5 nodes"),
    "edge type": (EDGES, set_value(f"{V1}/edge_type_id", 3, 102), "holds 102, which its table"),
    "group": (EDGES, set_value(f"{V1}/edge_group_id", 3, 4), "lacks the group 4"),
    "group index": (EDGES, set_value(f"{V1}/edge_group_index", 3, 77), "edge_group_index is 77"),
    "node type": (NODES, set_value(f"{LGN}/node_type_id", 0, 9), "holds 9, which lgn_node_types"),
    "two of an id": (NODES, set_value(f"{LGN}/node_id", 1, 2), "node_id holds 2 twice"),
    "node group index": (
        "v1_nodes.h5",
        lambda f: (
            f.create_dataset("nodes/v1/0/dynamics_params/C_m", data=np.ones(5)),
            set_value("nodes/v1/node_group_index", 2, 5)(f),
        ),
        "C_m has 5 values, but a group index is 5",
    ),
    "parameter": (
        "v1_nodes.h5",
        lambda f: f.create_dataset("nodes/v1/0/dynamics_params/tau_m", data=np.ones(5)),
        "unknown parameter 'tau_m' of iaf_cond_exp",
    ),
    "parameter that is none": (
        "v1_nodes.h5",
        lambda f: f.create_dataset("nodes/v1/0/dynamics_params/C_m", data=[1, 2, np.nan, 4, 5]),
        r"C_m\[2\] is nan; expected a number",
    ),
    "another model": (
        "v1_nodes.h5", lambda f: f.create_dataset("nodes/v1/0/model_type", data=np.ones(5)),
        "0/model_type gives single nodes another model",
    ),
    "sections": (
        EDGES, lambda f: f.create_dataset(f"{V1}/0/afferent_section_id", data=np.ones(6)),
        "has afferent_section_id: places on sections cannot be represented",
    ),
    "no population": (
        EDGES, lambda f: f[f"{V1}/source_node_id"].attrs.pop("node_population"),
        "source_node_id lacks the text attribute 'node_population'",
    ),
    "number for a population": (
        EDGES, lambda f: f[f"{V1}/source_node_id"].attrs.update(node_population=3),
        "lacks the text attribute",
    ),
    "unknown population": (
        EDGES, lambda f: f[f"{V1}/source_node_id"].attrs.update(node_population="v2"),
        "is of node population 'v2'; known are v1, lgn",
    ),
    "onto a virtual node": (
        EDGES, change_dataset(f"{V1}/target_node_id", lambda v: v % 3, node_population="lgn"),
        r"target_node_id\[0\] is a virtual node",
    ),
    "external link": (
        EDGES, link(f"{V1}/source_node_id", lambda f: h5py.ExternalLink("/etc/x.h5", "/x")),
        "source_node_id is a link, which may lead elsewhere",
    ),
    "external group": (
        EDGES, link(f"{V1}/0", lambda f: h5py.ExternalLink("/etc/x.h5", "/x")), "0 is a link",
    ),
    "soft link": (
        EDGES, link(f"{V1}/source_node_id", lambda f: h5py.SoftLink("/edges")), "is a link",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_an_hdf5_file_that_contradicts_itself_or_its_tables(config, refuse, name):
    file, change, told = FILES[name]
    with hdf5(config, file) as opened:
        change(opened)
    refuse(told)


def recreate(config, **how):
    """Create the sources anew, in another manner of storage."""
    with hdf5(config, "v1_v1_edges.h5") as file:
        del file["edges/v1_to_v1/source_node_id"]
        dataset = file["edges/v1_to_v1"].create_dataset("source_node_id", dtype="u8", **how)
        dataset.attrs["node_population"] = "v1"


def test_values_in_other_files_are_not_read(config, refuse):
    recreate(config, shape=(10,), external=[("/etc/passwd", 0, 80)])
    refuse("keeps its values in other files")


def test_virtual_datasets_are_not_read(config, refuse):
    layout = h5py.VirtualLayout(shape=(10,), dtype="u8")
    layout[...] = h5py.VirtualSource("/etc/x.h5", "x", shape=(10,))
    with hdf5(config, "v1_v1_edges.h5") as file:
        del file["edges/v1_to_v1/source_node_id"]
        file["edges/v1_to_v1"].create_virtual_dataset("source_node_id", layout)
    refuse("keeps its values in other files")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"shape": (10,)}, "nothing was ever written"),
        ({"shape": (10,), "chunks": (4,)}, "has 0 of its 3 chunks; an absent chunk is not taken"),
        ({"shape": (10**12,), "chunks": (10**6,)}, "0 of its 1,000,000 chunks"),
        ({"shape": (2**28,), "chunks": (2**28,)}, "chunks of 2,147,483,648 bytes"),
    ],
)
def test_values_that_nobody_wrote_are_not_zeros(config, refuse, how, told):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    recreate(config, **how)
    refuse(told)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB


def test_columns_that_do_not_fit_memory_are_not_read(config, refuse, monkeypatch):
    monkeypatch.setattr(guard, "SIZE_LIMIT", 300)
    refuse(r"v1_nodes.h5: would unpack to 320 bytes; at most 300")
    monkeypatch.setattr(guard, "SIZE_LIMIT", 400)
    with hdf5(config, "v1_nodes.h5") as file:
        file["nodes/v1/0/dynamics_params/C_m"] = np.ones(51)
    refuse(r"v1_nodes.h5: would unpack to 408 bytes; at most 400")


def test_two_files_with_one_population_are_refused(config, refuse):
    rewrite(
        config, lambda value: value["networks"].update(nodes=value["networks"]["nodes"][:1] * 2)
    )
    refuse("node population 'v1' is in two files")
