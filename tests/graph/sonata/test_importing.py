"""A network of somebody else's becomes ours: the same edges, by the rules, in any order of file."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import sonata
import zarr
from sonata import EDGE_TYPE, KIND, NSYNS, SOURCE, TARGET, WEIGHT, write_foreign

from dtbdask.errors import CapacityError, InputFileError, MissingDependencyError, StoreExistsError
from dtbdask.graph.sonata import hdf5 as sonata_hdf5
from dtbdask.graph.sonata import importing as sonata_import
from dtbdask.graph.sonata.importing import import_sonata

ORDER = [0, 2, 3, 1, 4, 5, 6, 7]
"""Nodes of the files by number of the neuron: v1 by type, then lgn."""
NEURON = np.argsort(ORDER)


def meant():
    """Synapses as (target, source, signed weight) in the order that the files give."""
    signed = np.where(EDGE_TYPE == 100, 0.0, -2.5)
    signed[EDGE_TYPE == 100] = WEIGHT
    signed[EDGE_TYPE == 101] *= NSYNS
    v1 = zip(NEURON[TARGET], NEURON[SOURCE], signed, strict=True)
    ends = NEURON[sonata.LGN_TARGET], NEURON[sonata.LGN_SOURCE + 5]
    lgn = zip(*ends, 4.0 * sonata.LGN_NSYNS, strict=True)
    return [tuple(map(float, edge)) for edge in (*v1, *lgn)]


def found(network):
    """The same of a network of ours."""
    edges = network.wiring.in_edges(0, network.n_neurons)
    target = np.repeat(np.arange(network.n_neurons), np.diff(edges.indptr))
    population = np.searchsorted(network.populations.first, edges.source, side="right") - 1
    sign = np.where(network.populations.excitatory[population], 1, -1)
    assert not edges.weight[:, 1].any()
    weight = sign * edges.weight[:, 0] * network.wiring.weight_scale
    return [tuple(map(float, edge)) for edge in zip(target, edges.source, weight, strict=True)]


@pytest.fixture
def config(tmp_path):
    return write_foreign(tmp_path / "foreign")


@pytest.fixture
def bring(config, tmp_path, monkeypatch):
    """Import into memory: a store costs some tenths of a second."""
    monkeypatch.setattr(sonata_import, "create_import", sonata.InMemory)
    return lambda path=config: import_sonata(path, tmp_path / "brain.zarr")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sonata")
    return import_sonata(write_foreign(folder / "foreign"), folder / "brain.zarr")


def test_the_synapses_are_those_of_the_files_in_their_order(network):
    assert found(network) == sorted(meant(), key=lambda edge: edge[0])
    assert network.wiring.weight_dtype == np.uint32
    assert network.wiring.weight_scale == 0.25  # the coarsest unit that is exact


@pytest.mark.parametrize("at_once", [1, 5])
def test_stretches_of_any_length_give_the_same_network(config, tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(sonata_import, "EDGES_AT_ONCE", at_once)
    network = import_sonata(config, tmp_path / "brain.zarr", chunk=3)
    assert found(network) == sorted(meant(), key=lambda edge: edge[0])


@pytest.mark.parametrize("sort", ["source", "scattered"])
def test_edges_sorted_otherwise_are_brought_into_the_order_of_targets(
    config, bring, monkeypatch, sort
):
    monkeypatch.setattr(sonata_import, "EDGES_AT_ONCE", 4)
    order = np.lexsort((TARGET, SOURCE)) if sort == "source" else np.arange(10) * 7 % 10
    path = config.parent / "network" / "v1_v1_edges.h5"
    with h5py.File(path, "r+") as file:
        group = file["edges/v1_to_v1"]
        names = [name for name in group if isinstance(group[name], h5py.Dataset)]
        for name in names:
            group[name][...] = group[name][...][order]
    edges = [*(meant()[i] for i in order), *meant()[10:]]
    assert found(bring()) == sorted(edges, key=lambda edge: edge[0])


def test_populations_are_node_populations_types_and_signs(network):
    assert network.labels == ("v1", "lgn")
    assert network.slots == ("Scnn1a", "PV cell", "type 100")
    assert network.population_labels == ["v1 Scnn1a", "v1 PV cell", "lgn type 100"]
    populations = network.populations
    assert populations.excitatory.tolist() == [True, False, True]
    assert populations.size.tolist() == [3, 2, 3]
    assert populations.degree.tolist() == [4, 3, 0]
    assert network.attributes["delay_ms"] == [1.0, 2.0]
    assert network.attributes["source"] == "SONATA foreign"


def test_parameters_of_nest_are_converted_and_absent_ones_are_nests_defaults(network):
    values = network.parameters.population
    for name, excites, inhibits in [
        ("c", 0.2, 0.1), ("g_l", 0.01, 16.6667 / 1000), ("v_l", -70, -70), ("v_th", -52, -55),
        ("v_reset", -60, -60), ("t_ref", 2, 1), ("i_ext", 0.05, 0), ("e_ampa", 0, 0),
        ("e_gaba_a", -85, -75), ("tau_ampa", 3, 0.2), ("tau_gaba_a", 2, 2), ("g_ampa", 1e-3, 1e-3),
        ("g_gaba_a", 1e-3, 1e-3), ("g_nmda", 0, 0), ("g_gaba_b", 0, 0), ("ou_mean", 0, 0),
        ("ou_sigma", 0, 0), ("noise_rate", 0, 0), ("excluded", 0, 0),
    ]:  # fmt: skip
        assert values[name][:2].tolist() == pytest.approx([excites, inhibits]), name


def test_virtual_nodes_are_silent_sources(network):
    parameters = network.parameters.population
    for name in ("g_ampa", "g_gaba_a", "ou_mean", "ou_sigma", "i_ext", "noise_rate"):
        assert parameters[name][2] == 0
    assert parameters["excluded"].tolist() == [0, 0, 1]
    assert parameters["v_l"][2] < parameters["v_th"][2]
    assert np.diff(network.wiring.in_edges(5, 8).indptr).tolist() == [0, 0, 0]
    assert network.attributes["scripted_population"] == [2]
    assert [part.tolist() for part in scripted(network)] == [[], []]


def give_spikes(config, node, time, **entry):
    """A configuration of a simulation with spikes for lgn."""
    columns = {"timestamps": np.array(time, float), "node_ids": np.array(node, np.int64)}
    sonata.write_hdf5(
        config.parent / "in.h5", {f"spikes/lgn/{name}": values for name, values in columns.items()}
    )
    given = {"input_type": "spikes", "module": "sonata", "input_file": "in.h5", "node_set": "lgn"}
    told = {"network": "circuit_config.json", "inputs": {"lgn": {**given, **entry}}}
    path = config.parent / "simulation_config.json"
    path.write_text(json.dumps(told))
    return path


def scripted(network):
    group = zarr.open_group(network.path, mode="r")
    return [group[f"spike_source/{name}"][...] for name in ("step", "neuron")]


@pytest.mark.parametrize("nodes", ["lgn", {"population": "lgn"}])
def test_virtual_nodes_play_back_the_spikes_of_a_simulation(config, tmp_path, nodes, caplog):
    path = give_spikes(config, [2, 0, 2, 2, 1], [7.0, 12.75, 0.5, 0.625, 7.999], node_set=nodes)
    network = import_sonata(path, tmp_path / "brain.zarr")
    assert [part.tolist() for part in scripted(network)] == [[0, 7, 7, 12], [7, 6, 7, 5]]
    assert "1 of 5 spikes share a step of 1 ms" in caplog.text
    assert found(network) == sorted(meant(), key=lambda edge: edge[0])


def test_the_configuration_of_all_leads_to_circuit_and_spikes(config, bring):
    give_spikes(config, [1], [3.0])
    whole = config.parent / "config.json"
    whole.write_text(json.dumps({"network": "circuit_config.json",
                                 "simulation": "simulation_config.json"}))  # fmt: skip
    step, neuron = bring(whole).attributes["sources"]
    assert (step.tolist(), neuron.tolist()) == ([3], [6])


@pytest.mark.parametrize(
    ("node", "time", "entry", "told"),
    [
        ([3], [1.0], {}, r"node_ids holds 3, which is no node of population 'lgn' \(3 nodes\)"),
        ([0], [-1.0], {}, r"timestamps\[0\] is no time"),
        ([0], [np.nan], {}, r"timestamps\[0\] is no time"),
        ([0, 1], [1.0], {}, "node_ids has 2 values, expected 1"),
        ([0], [1.0], {"node_set": "v1"}, "has no population 'v1'"),
        ([0], [1.0], {"node_set": "tw"}, "node population 'tw', which the network lacks"),
        ([0], [1.0], {"input_file": "../in.h5"}, "outside of the folder"),
    ],
)
def test_spikes_of_nobody_are_refused(config, bring, node, time, entry, told):
    with pytest.raises(InputFileError, match=told):
        bring(give_spikes(config, node, time, **entry))


def test_spikes_of_a_neuron_that_is_simulated_are_refused(config, bring):
    path = give_spikes(config, [0], [1.0], node_set="v1")
    with h5py.File(config.parent / "in.h5", "r+") as file:
        file.move("spikes/lgn", "spikes/v1")
    with pytest.raises(InputFileError, match="node 0 of population 'v1', which is no virtual node"):
        bring(path)


# the rules of sign


def test_without_ei_the_weights_tell_the_sign(config, bring):
    def drop(rows):
        return [{key: value for key, value in row.items() if key != "ei"} for row in rows]

    network = config.parent / "network"
    sonata.write_table(network / "v1_node_types.csv", drop(sonata.V1_TYPES))
    assert found(bring()) == sorted(meant(), key=lambda edge: edge[0])
    one = [dict(row, pop_name="both") for row in drop(sonata.V1_TYPES)[:1]]
    sonata.write_table(network / "v1_node_types.csv", one)  # a type of neurons of both signs
    sonata.write_nodes(network / "v1_nodes.h5", "v1", [100] * 5)
    both = bring()
    assert both.populations.excitatory.tolist() == [True, False, True]
    assert both.populations.slot.tolist() == [0, 0, 1]
    assert found(both) == sorted(meant(), key=lambda edge: edge[0])


@pytest.mark.parametrize("words", [("exc", "INHIBITS"), ("Excitatory", "'i'")])
def test_ei_of_a_node_goes_before_that_of_its_type(config, bring, words):
    network = config.parent / "network"
    sonata.write_table(
        network / "v1_node_types.csv", [dict(row, ei="e") for row in sonata.V1_TYPES]
    )
    each = np.array([words[int(kind == 101)] for kind in KIND], dtype=object)
    sonata.write_nodes(network / "v1_nodes.h5", "v1", KIND, {"0/ei": each})
    assert found(bring()) == sorted(meant(), key=lambda edge: edge[0])


def test_positive_weights_of_inhibitory_neurons_are_magnitudes(config, bring):
    rows = [dict(row, syn_weight=2.5 if row["edge_type_id"] == 101 else "NULL")
            for row in sonata.V1_EDGE_TYPES]  # fmt: skip
    sonata.write_table(config.parent / "network" / "v1_v1_edge_types.csv", rows)
    assert found(bring()) == sorted(meant(), key=lambda edge: edge[0])


# parameters of ours, of single nodes, of other models


def set_types(config, **columns):
    rows = [dict(row, **columns) for row in sonata.V1_TYPES]
    sonata.write_table(config.parent / "network" / "v1_node_types.csv", rows)


def test_without_a_template_parameters_have_our_names(config, bring):
    set_types(config, model_template="NULL")
    for name in ("scnn1a", "pv"):
        path = config.parent / "components" / "neurons" / f"{name}.json"
        path.write_text(json.dumps({"g_ampa": 0.5, "v_th": -45}))
    values = bring().parameters.population
    assert values["g_ampa"][:2].tolist() == [0.5, 0.5]
    assert values["v_th"][:2].tolist() == [-45, -45]
    assert values["ou_mean"][:2].tolist() == [0.5, 0.5]  # the default


def test_alpha_shaped_conductances_keep_their_area(config, bring, caplog):
    set_types(config, model_template="nest:iaf_cond_alpha")
    values = bring().parameters.population
    assert values["g_ampa"][:2].tolist() == pytest.approx([math.e / 1000] * 2)
    assert "alpha-shaped conductances" in caplog.text


def test_parameters_of_single_nodes_go_before_those_of_their_type(config, bring):
    c_m = np.array([150.0, 250.0, 350.0, 450.0, 550.0])
    sonata.write_nodes(
        config.parent / "network" / "v1_nodes.h5", "v1", KIND,
        {"0/dynamics_params/C_m": c_m, "0/dynamics_params/V_th": np.full(5, -53.0)},
    )  # fmt: skip
    own = bring().parameters.neuron
    assert own["c"].tolist() == pytest.approx([*(c_m[ORDER[:5]] / 1000), 0.5, 0.5, 0.5])
    assert own["v_th"].tolist() == [-53.0] * 5 + [-50.0] * 3
    assert set(own) == {"c", "v_th"}


def test_node_ids_need_not_be_contiguous_and_groups_may_be_several(config, bring):
    network = config.parent / "network"
    columns = {
        "node_id": np.array([7, 3, 9, 1, 20], np.uint64), "node_type_id": KIND.astype(np.uint64),
        "node_group_id": np.array([0, 1, 0, 0, 1]), "node_group_index": np.array([2, 0, 0, 1, 1]),
        "0/dynamics_params/C_m": np.array([1.0, 2.0, 3.0]), "1/y": np.zeros(2),
    }  # fmt: skip
    sonata.write_hdf5(network / "v1_nodes.h5", {f"nodes/v1/{k}": v for k, v in columns.items()})
    with h5py.File(network / "v1_v1_edges.h5", "r+") as file:
        for end in ("source", "target"):
            ids = file[f"edges/v1_to_v1/{end}_node_id"]
            ids[...] = columns["node_id"][ids[...].astype(int)]
    with h5py.File(network / "lgn_v1_edges.h5", "r+") as file:
        ids = file["edges/lgn_to_v1/target_node_id"]
        ids[...] = columns["node_id"][ids[...].astype(int)]
    brain = bring()
    assert found(brain) == sorted(meant(), key=lambda edge: edge[0])
    assert brain.parameters.neuron["c"].tolist() == pytest.approx(
        [0.003, 0.001, 0.002, 0.1, 0.1, 0.5, 0.5, 0.5]
    )


def test_columns_that_may_be_absent_have_their_defaults(config, bring):
    network = config.parent / "network"
    with h5py.File(network / "lgn_v1_edges.h5", "r+") as file:
        for name in ("edge_group_id", "edge_group_index"):
            del file[f"edges/lgn_to_v1/{name}"]
    with h5py.File(network / "lgn_nodes.h5", "r+") as file:
        for name in ("node_id", "node_group_id", "node_group_index", "0"):
            del file[f"nodes/lgn/{name}"]
    assert found(bring()) == sorted(meant(), key=lambda edge: edge[0])


def test_a_network_without_edges(config, bring):
    sonata.rewrite(config, lambda value: value["networks"].pop("edges"))
    network = bring()
    assert (network.n_neurons, network.n_synapses) == (8, 0)
    assert "delay_ms" not in network.attributes


def test_edges_that_are_not_enabled_are_left_out(config, bring):
    sonata.rewrite(config, lambda v: v["networks"]["edges"][1].update(enabled=False))
    assert found(bring()) == sorted(meant()[:10], key=lambda edge: edge[0])


def test_weights_that_are_no_multiples_of_a_unit_are_rounded_and_told(config, bring, caplog):
    with h5py.File(config.parent / "network" / "v1_v1_edges.h5", "r+") as file:
        file["edges/v1_to_v1/0/syn_weight"][0] = 0.1
    network = bring()
    assert "weights are rounded" in caplog.text
    exact = [(t, s, 0.1 if w == 0.25 else w) for t, s, w in meant()]
    exact = np.array(sorted(exact, key=lambda edge: edge[0]))
    assert np.abs(np.array(found(network)) - exact).max() <= network.wiring.weight_scale / 2
    assert network.wiring.weight_scale < 1e-5


# the store


def test_a_store_that_is_there_is_left_alone(config, network):
    with pytest.raises(StoreExistsError, match="pass overwrite"):
        import_sonata(config, network.path)
    assert found(network) == sorted(meant(), key=lambda edge: edge[0])


def test_a_full_disk_is_told_before_anything_is_written(config, tmp_path, monkeypatch):
    monkeypatch.setattr(sonata_import.shutil, "disk_usage", lambda path: SimpleNamespace(free=363))
    with pytest.raises(CapacityError, match=r"needs 364 bytes of disk.* 363 are free"):
        import_sonata(config, tmp_path / "new" / "brain.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["foreign"]


def test_nothing_temporary_is_left(network):
    folder = Path(network.path).parent
    assert sorted(path.name for path in folder.iterdir()) == ["brain.zarr", "foreign"]


def test_without_h5py_the_error_tells_how_to_get_it(bring, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(sonata_hdf5.importlib, "import_module", absent)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dtbdask\[formats\]'"):
        bring()
