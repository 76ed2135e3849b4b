"""Verbs on networks: planned, built, shown, checked, edited, and exchanged with other programs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import call, done, figures, refused, snapshot

from dtbdask.graph.network import open_network

COLUMN = ["--neurons", 6000, "--degree", 20, "--layout", "column", "--seed", 3]


@pytest.fixture(scope="module")
def column(made, tmp_path_factory):
    """A network of columns, with a parameter set, gamma factors and one value of its own."""
    folder, _ = made
    path = tmp_path_factory.mktemp("column") / "column.zarr"
    done(
        "build", folder / "brain.npz", path, *COLUMN, "--parameter-set", "column",
        "--set", "v_l=-72", "--gamma", "g_ampa=5", "--min-size", 8,
    )  # fmt: skip
    return path


def synapses(path):
    network = open_network(path)
    edges = network.wiring.in_edges(0, network.n_neurons)
    return edges.indptr, edges.source, edges.weight


def same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_build_takes_layout_parameter_set_values_and_factors(column):
    network = open_network(column)
    assert network.population_labels[0].endswith(" L2/3E")
    assert network.parameters.population["g_ampa"][0] == 0.00994619
    assert (network.parameters.population["v_l"] == -72).all()
    assert set(network.parameters.neuron) == {"g_ampa"}
    assert network.populations.size.min() >= 8


def test_a_plan_of_a_brain_foretells_the_network(made, column):
    folder, _ = made
    told = figures("plan", folder / "brain.npz", *COLUMN[:-2], "--workers", 2)
    network = open_network(column)
    assert abs(told["neurons"] / network.n_neurons - 1) < 0.01
    assert told["blocks"] == 2


def test_a_plan_of_a_whole_brain_needs_no_connectome():
    told = figures(
        "plan", "--neurons", "86e9", "--degree", 556, "--workers", 14012, "--voxels", 22703
    )
    assert told["neurons"] == pytest.approx(86e9, rel=1e-6)
    assert told["synapses"] == pytest.approx(86e9 * 556, rel=1e-6)
    assert any("cannot build" in remark for remark in told["remarks"])


def test_a_plan_that_does_not_fit_says_what_would():
    result = call("plan", "--neurons", 1e7, "--voxels", 90, "--memory-per-worker", "4 GB")
    assert result.exit_code == 71, result.output
    assert "its worker has 4.0 GB; use at least" in result.stderr


def test_inspect_shows_slots_and_what_departs_from_defaults(column, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    shown = done("inspect", column)
    for text in ("L2/3E", "L6I", "v_l", "-72", "by neuron"):
        assert text in shown
    assert figures("inspect", column)["populations"] == 64


def test_verify_is_silent_about_a_sound_network_and_names_damage(column, tmp_path):
    assert figures("verify", column, "--deep")["ok"]
    broken = shutil.copytree(column, tmp_path / "broken.zarr")
    chunk = next(
        path for path in sorted((broken / "synapse/source/c").rglob("*")) if path.is_file()
    )
    damaged = bytearray(chunk.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    chunk.write_bytes(damaged)
    result = call("verify", broken)
    assert result.exit_code == 1
    assert "synapse/source" in result.stdout
    assert "neuron" in result.stdout


def test_modify_edits_what_is_named_and_no_synapse(column, tmp_path):
    path = shutil.copytree(column, tmp_path / "mine.zarr")
    before = snapshot(path / "synapse")
    done("modify", path, "g_gaba_a", 2, "--multiply", "--population", "L5E")
    one, other = (open_network(p) for p in (column, path))
    l5e = np.array([label.endswith("L5E") for label in one.population_labels])
    factor = other.parameters.population["g_gaba_a"] / one.parameters.population["g_gaba_a"]
    np.testing.assert_array_equal(factor, np.where(l5e, 2.0, 1.0))
    assert snapshot(path / "synapse") == before
    assert other.attributes["modified"][0]["parameter"] == "g_gaba_a"
    refused(2, "g_gaba_x", "modify", path, "g_gaba_x", 1)
    refused(2, "L9E", "modify", path, "g_gaba_a", 1, "--population", "L9E")


def test_a_network_goes_to_dtb_and_comes_back(column, tmp_path):
    folder = tmp_path / "module" / "uint8"
    assert done("export-dtb", column, folder, "--blocks", 3).strip() == str(folder)
    assert len(list(folder.glob("block_*.npz"))) == 3
    figures("import-dtb", folder, tmp_path / "back.zarr", "--slots", 10)
    again = tmp_path / "again" / "uint8"
    done("export-dtb", tmp_path / "back.zarr", again)
    for block in folder.glob("block_*.npz"):
        with np.load(block) as meant, np.load(again / block.name) as found:
            for name in meant.files:
                np.testing.assert_array_equal(found[name], meant[name], err_msg=name)
    refused(70, "untouched", "export-dtb", column, folder)


def test_a_network_goes_to_sonata_and_comes_back(column, tmp_path):
    config = Path(done("export", column, tmp_path / "circuit").strip())
    assert json.loads(config.read_text())["networks"]
    figures("import", config, tmp_path / "back.zarr")
    same(synapses(tmp_path / "back.zarr"), synapses(column))
    refused(65, "circuit_config", "import", tmp_path / "circuit_config.json", tmp_path / "no.zarr")


@pytest.mark.parametrize("option", ["--set", "--gamma"])
def test_a_value_without_a_number_is_refused(made, tmp_path, option):
    folder, _ = made
    refused(
        2, "<name>=<number>", "build", folder / "brain.npz", tmp_path / "a.zarr", option, "g_ampa"
    )
    assert not (tmp_path / "a.zarr").exists()
