"""The command line does what the library does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from command import SIZE, call, done, figures, in_process
from distributed import Client, LocalCluster

from dtbdask import cli
from dtbdask.graph.build import build
from dtbdask.graph.network import open_network
from dtbdask.sim.recording import open_recording
from dtbdask.sim.session import Session

ORACLE = Path(__file__).resolve().parents[3] / "shared" / "oracle" / "n2k"
VERBS = {
    "bench", "build", "demo", "doctor", "export", "export-dtb", "import", "import-dtb", "inspect",
    "modify", "plan", "report", "run", "verify", "verify-dtb",
}  # fmt: skip


def test_help_lists_the_verbs_and_each_explains_itself():
    listed = done("--help")
    assert set(cli.main.commands) >= VERBS
    for name, command in cli.main.commands.items():
        assert f"\n  {name} " in listed
        said = done(name, "-h")
        assert said == done(name, "--help")
        assert " ".join(command.help.split()) in " ".join(said.split())
        for option in command.params:
            assert all(word in said for word in option.opts if word.startswith("--"))


def test_every_verb_with_figures_gives_them_as_json():
    with_figures = {
        name
        for name, command in cli.main.commands.items()
        if any("--json" in option.opts for option in command.params)
    }
    assert with_figures >= VERBS - {"report", "export", "export-dtb"}


def test_the_program_is_installed_and_quick_to_help():
    result = in_process("--help")
    assert result.returncode == 0
    assert "Usage: dtbdask" in result.stdout
    assert result.stderr == ""
    heavy = "[m for m in ('numba', 'distributed', 'zarr', 'holoviews') if m in sys.modules]"
    code = f"import sys, dtbdask.cli; print({heavy})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


# The way from a connectome to a report


def test_build_builds_what_the_library_builds(made, brain, tmp_path):
    folder, told = made
    told = told["build"]
    meant = build(brain, tmp_path / "net.zarr", neurons=1600, degree=20, seed=7)
    network = open_network(folder / "net.zarr")
    assert network.attributes["recipe_sha256"] == meant.attributes["recipe_sha256"]
    for name in ("source", "weight"):
        one, other = network.synapses[name], meant.synapses[name]
        np.testing.assert_array_equal(one, other)
    assert told == network.summary()
    assert told["neurons"] == meant.n_neurons
    assert told["synapses"] == meant.n_synapses == 20 * meant.n_neurons
    assert (told["voxels"], told["populations"], told["seed"]) == (8, 16, 7)
    assert told["synapses_are"] == "stored"
    assert told["layout"] == "voxel"
    assert told["source"] == brain.attrs["source"]


def test_procedural_synapses_are_not_stored(made, tmp_path):
    folder, _ = made
    told = figures("build", folder / "brain.npz", tmp_path / "net.zarr", *SIZE, "--procedural")
    assert told["synapses_are"] == "procedural"
    assert not (tmp_path / "net.zarr" / "synapse").exists()


def test_run_runs_what_the_library_runs(made, tmp_path):
    folder, told = made
    network = open_network(folder / "net.zarr")
    with Session(network, seed=3, tr_s=0.1) as session:
        session.run(0.2)
        meant = session.run(0.5, record=["rate", "bold", "spikes"], to=tmp_path / "rest.zarr")
    found = open_recording(folder / "rest.zarr").to_xarray()
    for name, values in meant.to_xarray().items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    rate = float(found["spike_count"].sum()) / network.n_neurons / 0.5
    assert rate > 1
    recording = str(folder / "rest.zarr")
    assert told["run"] == {"recording": recording, "seconds": 0.5, "mean_rate_hz": rate}


def test_a_cluster_that_runs_gives_the_same_recording(made, tmp_path):
    folder, _ = made
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, protocol="tcp://",
                     host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster),
    ):  # fmt: skip
        told = figures(
            "run", folder / "net.zarr", tmp_path / "rest.zarr", "--seconds", 0.2, "--burn-in", 0,
            "--record", "rate", "--cluster", cluster.scheduler_address,
        )  # fmt: skip
    with Session(open_network(folder / "net.zarr")) as session:
        meant = session.run(0.2, record=["rate"], to=tmp_path / "meant.zarr").to_xarray()
    found = open_recording(tmp_path / "rest.zarr").to_xarray()
    assert set(found.data_vars) == {"spike_count"}
    np.testing.assert_array_equal(found["spike_count"], meant["spike_count"])
    assert told["mean_rate_hz"] > 0


def test_a_rate_is_told_only_if_recorded(made, tmp_path):
    folder, _ = made
    told = figures(
        "run", folder / "net.zarr", tmp_path / "rest.zarr", "--seconds", 0.1, "--burn-in", 0,
        "--tr", 0.1, "--record", "bold", "--cluster", "none",
    )  # fmt: skip
    assert set(told) == {"recording", "seconds"}


def test_timing_is_told_if_asked_for(made, tmp_path):
    folder, _ = made
    words = ("run", folder / "net.zarr", tmp_path / "rest.zarr", "--seconds", 0.1, "--burn-in", 0.1,
             "--record", "rate", "--cluster", "none", "--timing")  # fmt: skip
    told = figures(*words)["timing"]
    assert told["n_steps"] == 200
    assert told["slowest_block"] == 0
    assert told["compute_ms"][0] > 0
    result = call(*words, "--overwrite")
    assert "Time of a step" in result.output
    assert "slowest block" in result.output


def test_inspect_says_what_a_store_holds(made, posterior):
    folder, told = made
    assert figures("inspect", folder / "net.zarr") == told["build"]
    recording = figures("inspect", folder / "rest.zarr")
    assert recording["kind"] == "recording"
    assert recording["status"] == "complete"
    assert (recording["seed"], recording["n_steps"], recording["tr_s"]) == (3, 500, 0.1)
    assert recording["n_neurons"] == told["build"]["neurons"]
    fit = figures("inspect", posterior)
    assert (fit["kind"], fit["method"], fit["members"]) == ("posterior", "dhmda", 3)
    assert fit["scores"] == xr.open_zarr(posterior, consolidated=False).attrs["dtbdask"]["scores"]


@pytest.mark.parametrize("store", ["net.zarr", "rest.zarr", "fit.zarr"])
def test_inspect_prints_a_table_for_the_eye(made, posterior, store, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    said = done("inspect", made[0] / store)
    for name, value in figures("inspect", made[0] / store).items():
        assert name.replace("_", " ") in said
        if isinstance(value, str):
            assert value in said
        elif isinstance(value, int) and not isinstance(value, bool) and name != "bytes_on_disk":
            assert f"{value:,}" in said


def test_names_with_brackets_are_shown_as_they_are(made, tmp_path, monkeypatch):
    """Square brackets are markup to the library that prints tables."""
    monkeypatch.setenv("COLUMNS", "400")
    path = tmp_path / "net [bold] and [/more].zarr"
    done("build", made[0] / "brain.npz", path, *SIZE, "--procedural")
    assert done("inspect", path).count("net [bold] and [/more].zarr") == 1


def test_report_draws_what_is_given(made, posterior, tmp_path):
    folder, _ = made
    said = done(
        "report", "--out", tmp_path / "page.html", "--connectome", folder / "brain.npz",
        "--recording", folder / "rest.zarr", "--posterior", posterior, "--title", "A test & more",
    )  # fmt: skip
    assert said.strip() == str(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "A test &amp; more" in page
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    assert len(page) > 100_000


# Other figures


def test_the_doctor_speaks_json_and_its_status_is_his_verdict():
    result = call("doctor", "--json")
    found = json.loads(result.stdout)
    assert set(found) == {"healthy", "checks"}
    assert result.exit_code == (0 if found["healthy"] else 1)
    for check in found["checks"]:
        assert set(check) == {"name", "status", "found", "hint", "required"}
    assert {"dtbdask", "numba", "zarr"} <= {check["name"] for check in found["checks"]}


@pytest.mark.skipif(not ORACLE.exists(), reason="shared/oracle/n2k is not here")
def test_verify_dtb_measures_the_distance_from_dtb():
    found = figures("verify-dtb", ORACLE, "--dtype", "float64", "--blocks", 2)
    assert set(found) == {"first_different_step", "max_abs_dv_mv", "rate_relative_error"}
    assert found["first_different_step"] is None
    assert found["max_abs_dv_mv"] <= 1e-3
    assert found["rate_relative_error"] <= 0.02


# What is there already
