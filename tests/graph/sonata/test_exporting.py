"""What is written is SONATA as NEST, BMTK and libsonata read it, whole or not at all."""

import csv
import json

import h5py
import numpy as np
import pytest
from networks import FOUR, make_network
from sonata import rewrite

from dtbdask.errors import MissingDependencyError, StoreError, StoreExistsError
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.sonata import arrays as sonata_arrays
from dtbdask.graph.sonata import exporting as sonata_export
from dtbdask.graph.sonata import hdf5 as sonata_hdf5
from dtbdask.graph.sonata.exporting import export_sonata
from dtbdask.graph.sonata.models import NAMES, Model, to_nest
from dtbdask.graph.synapses import Held
from dtbdask.graph.wiring import InEdges

CHANGES = {"g_ampa": 0.003, "c": 0.25}, {"i_ext": 0.1, "ou_mean": 0.4, "v_th": -48.0}


def network():
    drift = {"v_l": np.linspace(-72, -68, 597), "ou_mean": np.linspace(0, 1, 597)}
    return make_network(neuron=drift, g_ampa=[0.002, 0.003] * 3, i_ext=0.125)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "sonata"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sonata_arrays, "EDGES_AT_ONCE", 1000)
        assert export_sonata(network(), path) == path / "circuit_config.json"
    return path


def table(path):
    """Rows of a table separated by spaces."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=" "))


def datasets(path):
    """All datasets of a file by path."""
    found = {}
    with h5py.File(path) as file:
        assert file.attrs["magic"] == 0x0A7A
        assert file.attrs["magic"].dtype == np.uint32
        assert file.attrs["version"].tolist() == [0, 1]
        assert file.attrs["version"].dtype == np.uint32
        file.visititems(
            lambda name, node: found.update({name: node[...]}) if hasattr(node, "dtype") else None
        )
    return found


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# the files


def test_the_configuration_leads_to_every_file_by_relative_paths(folder):
    config = json.loads((folder / "circuit_config.json").read_text())
    base = config["manifest"]
    assert base["$BASE_DIR"] == "."
    parts = [path for kind in ("nodes", "edges") for path in config["networks"][kind][0].values()]
    for path in (*parts, *config["components"].values(), config["dtbdask"]):
        for name in ("$NETWORK_DIR", "$COMPONENT_DIR"):
            path = path.replace(name, base[name])
        path = path.replace("$BASE_DIR", base["$BASE_DIR"])
        assert not path.startswith("/")
        assert (folder / path).exists(), path
    assert config["target_simulator"] == "NEST"
    run = json.loads((folder / "simulation_config.json").read_text())
    assert run["network"] == "$BASE_DIR/circuit_config.json"
    assert run["run"]["dt"] == 0.1
    assert "iaf_cond_exp" in (folder / "README.txt").read_text()


def test_there_is_a_node_type_for_each_population(folder):
    rows = table(folder / "network" / "node_types.csv")
    assert [row["node_type_id"] for row in rows] == [str(100 + p) for p in range(6)]
    assert [row["pop_name"] for row in rows] == network().population_labels
    assert [row["ei"] for row in rows] == ["e", "i"] * 3
    assert {row["model_type"] for row in rows} == {"point_process"}
    assert {row["model_template"] for row in rows} == {"nest:iaf_cond_exp"}
    neurons = folder / "components" / "neurons"
    assert len(list(neurons.iterdir())) == 4  # a set of parameters is written once
    values = json.loads((neurons / rows[0]["dynamics_params"]).read_text())
    assert values == {
        "C_m": 500.0, "g_L": 25.0, "E_L": -70.0, "V_th": -50.0, "V_reset": -55.0, "t_ref": 2.0,
        "I_e": 625.0, "E_ex": 0.0, "E_in": -70.0, "tau_syn_ex": 2.0, "tau_syn_in": 20.0,
    }  # fmt: skip
    own = json.loads((neurons / rows[1]["dtbdask_params"]).read_text())
    assert own == {name: v[1] for name, v in network().parameters.population.items()}


def test_the_nodes_are_the_neurons_in_their_order(folder):
    given, found = network(), datasets(folder / "network" / "nodes.h5")
    kinds = {"node_id": "u8", "node_type_id": "u8", "node_group_id": "u4", "node_group_index": "u8"}
    for name, kind in kinds.items():
        assert found[f"nodes/brain/{name}"].dtype == np.dtype(kind)
    np.testing.assert_array_equal(found["nodes/brain/node_id"], np.arange(597))
    np.testing.assert_array_equal(found["nodes/brain/node_group_index"], np.arange(597))
    assert not found["nodes/brain/node_group_id"].any()
    population = np.repeat(np.arange(6), given.populations.size)
    np.testing.assert_array_equal(found["nodes/brain/node_type_id"], 100 + population)


def test_values_of_single_neurons_are_there_in_both_units(folder):
    given, found = network(), datasets(folder / "network" / "nodes.h5")
    own = {name.split("/0/")[1]: values for name, values in found.items() if "/0/" in name}
    assert set(own) == {
        "dtbdask_v_l", "dtbdask_ou_mean", "dynamics_params/E_L", "dynamics_params/I_e",
    }  # fmt: skip
    for name in ("v_l", "ou_mean"):
        np.testing.assert_array_equal(own[f"dtbdask_{name}"], given.parameters.neuron[name])
    np.testing.assert_array_equal(own["dynamics_params/E_L"], given.parameters.neuron["v_l"])
    current = 1000 * (0.125 + given.parameters.neuron["ou_mean"])
    np.testing.assert_allclose(own["dynamics_params/I_e"], current)


def test_the_edges_are_the_synapses_with_weights_as_nest_takes_them(folder):
    given = network()
    edges = given.wiring.in_edges(0, 597)
    target = np.repeat(np.arange(597), np.diff(edges.indptr))
    with h5py.File(folder / "network" / "edges.h5") as file:
        for end in ("source", "target"):
            assert file[f"edges/brain_to_brain/{end}_node_id"].attrs["node_population"] == "brain"
    found = datasets(folder / "network" / "edges.h5")
    found = {name.removeprefix("edges/brain_to_brain/"): v for name, v in found.items()}
    excites = np.repeat(given.populations.excitatory, given.populations.size)[edges.source]
    g_ampa = np.repeat(given.parameters.population["g_ampa"], given.populations.size)[target]
    for name, values in {
        "source_node_id": edges.source, "target_node_id": target, "edge_group_id": 0 * target,
        "edge_group_index": np.arange(target.size), "edge_type_id": np.where(excites, 100, 101),
        "0/dtbdask_weight_fast": edges.weight[:, 0], "0/dtbdask_weight_slow": edges.weight[:, 1],
    }.items():  # fmt: skip
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    np.testing.assert_allclose(
        found["0/syn_weight"],
        1000 * np.where(excites, g_ampa, -0.01) * edges.weight[:, 0] / 255, rtol=1e-6,
    )  # fmt: skip
    kinds = {name: values.dtype.str[1:] for name, values in found.items() if name[:3] != "ind"}
    assert kinds == {
        "source_node_id": "u8", "target_node_id": "u8", "edge_type_id": "u4", "edge_group_id": "u2",
        "edge_group_index": "u8", "0/syn_weight": "f4", "0/dtbdask_weight_fast": "u1",
        "0/dtbdask_weight_slow": "u1",
    }  # fmt: skip
    rows = table(folder / "network" / "edge_types.csv")
    assert [(row["edge_type_id"], row["source_query"]) for row in rows] == [
        ("100", "ei=='e'"), ("101", "ei=='i'"),
    ]  # fmt: skip
    assert {(row["model_template"], float(row["delay"])) for row in rows} == {("static_synapse", 1)}
    assert (folder / "components" / "synapses" / rows[0]["dynamics_params"]).read_text() == "{}\n"


def through(index, node):
    """Edges of a node by an index."""
    first, last = index["node_id_to_range"][node]
    return [e for low, high in index["range_to_edge_id"][first:last] for e in range(low, high)]


def test_both_indices_find_the_edges_of_every_node(folder):
    with h5py.File(folder / "network" / "edges.h5") as file:
        group = file["edges/brain_to_brain"]
        for end, name in [("source", "source_to_target"), ("target", "target_to_source")]:
            ids = group[f"{end}_node_id"][...]
            index = {key: node[...] for key, node in group[f"indices/{name}"].items()}
            np.testing.assert_array_equal(index["node_id_to_ranges"], index["node_id_to_range"])
            assert (np.diff(index["range_to_edge_id"]) > 0).all()
            assert index["range_to_edge_id"].dtype == np.int64
            for node in range(597):
                assert through(index, node) == np.flatnonzero(ids == node).tolist()


def test_neurons_without_synapses_have_empty_ranges(tmp_path):
    edges = InEdges(np.array([0, 0, 2, 2]), np.array([2, 0], np.uint32), np.full((2, 2), 7, "u1"))
    one = np.zeros(1, np.int64)
    populations = Populations.bare(one, one, np.array([True]), np.array([3]), [2])
    given = network()
    bare = type(given)(populations, Parameters.make(1), Held(edges, 0.5), ("a",), {"slots": ("E",)})
    export_sonata(bare, tmp_path / "sonata")
    with h5py.File(tmp_path / "sonata" / "network" / "edges.h5") as file:
        group = file["edges/brain_to_brain/indices"]
        for name, meant in [
            ("source_to_target", [[1], [], [0]]),
            ("target_to_source", [[], [0, 1], []]),
        ]:
            index = {key: node[...] for key, node in group[name].items()}
            assert [through(index, node) for node in range(3)] == meant


def test_stretches_of_any_length_give_the_same_bytes(folder, tmp_path):
    export_sonata(network(), tmp_path / "sonata")
    one, other = files(folder), files(tmp_path / "sonata")
    assert set(one) == set(other)
    assert {name for name in one if one[name] != other[name]} <= {
        path
        for path in one
        if path.name == "dtbdask.json"  # it has the date
    }


def test_names_that_a_table_cannot_hold_are_written_in_escapes(tmp_path):
    given = network()
    odd = type(given)(
        given.populations, given.parameters, given.wiring, ('a "b"', "ü\n", " c"),
        given.attributes,
    )  # fmt: skip
    export_sonata(odd, tmp_path / "sonata")
    text = (tmp_path / "sonata" / "network" / "node_types.csv").read_bytes()
    assert text.decode("ascii").count("\n") == 7
    names = [row["pop_name"] for row in table(tmp_path / "sonata" / "network" / "node_types.csv")]
    assert names == ['a "b" E', 'a "b" I', r"\xfc\n E", r"\xfc\n I", " c E", " c I"]


# units


def test_conversion_to_nest_and_back_loses_nothing_that_nest_has():
    given = {name: values[0] for name, values in Parameters.make(1).population.items()}
    for changed in CHANGES:
        full = {**given, **changed}
        back = Model("iaf_cond_exp").values(to_nest(full), "here")
        current = full.pop("i_ext") + full["ou_mean"]
        assert back["i_ext"] == pytest.approx(current)
        for name in (name.ours for key, name in NAMES.items() if key != "I_e"):
            assert back[name] == pytest.approx(full[name], rel=1e-15), name


def test_what_nest_lacks_is_told(tmp_path, caplog):
    export_sonata(make_network(noise_rate=0.01, **FOUR), tmp_path / "sonata")
    for name in ("g_nmda", "g_gaba_b", "noise_rate"):
        assert f"{name} is not zero everywhere; NEST's nest:iaf_cond_exp lacks it" in caplog.text


# whole or not at all


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    given = make_network(voxels=1, neurons=20, degree=3)
    path = tmp_path / "sonata"
    path.mkdir()
    export_sonata(given, path)  # an empty folder is no obstacle
    before = files(path)
    with pytest.raises(
        StoreExistsError, match=r"is a SONATA network of dtbdask; .* pass overwrite"
    ):
        export_sonata(given, path)
    assert files(path) == before
    export_sonata(make_network(voxels=2, neurons=40, degree=3), path, overwrite=True)
    assert len(table(path / "network" / "node_types.csv")) == 4
    rewrite(path / "dtbdask.json", lambda value: value.update(kind="other"))
    with pytest.raises(StoreExistsError, match="is not a SONATA network of dtbdask"):
        export_sonata(given, path, overwrite=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreExistsError, match="choose another path"):
        export_sonata(given, tmp_path / "file", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "sonata"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_export_that_breaks_off_leaves_what_was_there(tmp_path, monkeypatch, overwrite):
    given, path = make_network(voxels=1, neurons=20, degree=3), tmp_path / "sonata"
    if overwrite:
        export_sonata(given, path)
    before = files(tmp_path)

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sonata_export, "write_edges", fail)
    with pytest.raises(StoreError, match=r"cannot write a SONATA network at .*sonata: .*No space"):
        export_sonata(given, path, overwrite=overwrite)
    assert files(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["sonata"] * overwrite


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="cannot write a SONATA network"):
        export_sonata(network(), tmp_path / "file" / "sonata")


def test_without_h5py_nothing_is_begun(tmp_path, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(sonata_hdf5.importlib, "import_module", absent)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dtbdask\[formats\]'"):
        export_sonata(network(), tmp_path / "sonata")
    assert list(tmp_path.iterdir()) == []
