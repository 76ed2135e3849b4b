"""The command line does what the library does, and fails in one line, with a status, in time."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from distributed import Client, LocalCluster

from dtbdask import cli, schema
from dtbdask.assim.cycle import assimilate
from dtbdask.assim.observe import Observation
from dtbdask.graph.build import build
from dtbdask.graph.connectome import write_connectome
from dtbdask.graph.network import open_network
from dtbdask.graph.synthetic import synthetic_connectome
from dtbdask.sim.record import open_recording
from dtbdask.sim.session import Session

ORACLE = Path(__file__).resolve().parents[2] / "shared" / "oracle" / "n2k"
VERBS = {"bench", "build", "demo", "doctor", "inspect", "report", "run", "verify-dtb"}
SIZE = ["--neurons", "1600", "--degree", "20", "--seed", "7"]


@pytest.fixture(autouse=True)
def _own_log():
    """The command line has a log of its own; other tests are spared it."""
    ours = logging.getLogger("dtbdask")
    handlers, level = ours.handlers[:], ours.level
    ours.handlers.clear()
    yield
    ours.handlers[:], ours.level = handlers, level


def call(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def done(*words):
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def figures(*words):
    """What a verb prints with `--json`: that and nothing else."""
    return json.loads(done(*words, "--json"))


def refused(code, told, *words):
    """Fails with this status and one line, below it the problems of a connectome; no traceback."""
    result = call(*words)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    line, *problems = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert all(problem.startswith("- ") for problem in problems)
    assert told in result.stderr


def in_process(*words):
    command = [Path(sys.executable).with_name("dtbdask"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def snapshot(folder):
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def brain():
    return synthetic_connectome(8, frames=20, seed=1)


@pytest.fixture(scope="module")
def made(brain, tmp_path_factory):
    """Folder with a connectome, and what `build` and `run` made and said of it."""
    folder = tmp_path_factory.mktemp("made")
    write_connectome(brain, folder / "brain.npz")
    told = {
        "build": figures("build", folder / "brain.npz", folder / "net.zarr", *SIZE),
        "run": figures(
            "run", folder / "net.zarr", folder / "rest.zarr", "--seconds", 0.5, "--burn-in", 0.2,
            "--tr", 0.1, "--seed", 3, "--record", "rate, bold,spikes", "--cluster", "none",
        ),
    }  # fmt: skip
    return folder, told


# Help


def test_help_lists_the_verbs_and_each_explains_itself():
    listed = done("--help")
    assert set(cli.main.commands) >= VERBS
    for name, command in cli.main.commands.items():
        assert f"\n  {name} " in listed
        said = done(name, "-h")
        assert said == done(name, "--help")
        assert command.help.splitlines()[0] in said
        for option in command.params:
            assert all(word in said for word in option.opts if word.startswith("--"))


def test_every_verb_with_figures_gives_them_as_json():
    with_figures = {
        name
        for name, command in cli.main.commands.items()
        if any("--json" in option.opts for option in command.params)
    }
    assert with_figures >= VERBS - {"report"}


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
    for one, other in zip(network.synapse_arrays(), meant.synapse_arrays(), strict=True):
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


@pytest.fixture(scope="module")
def posterior(made):
    folder, _ = made
    y = 0.02 + 0.001 * np.random.default_rng(2).normal(size=(5, 8))
    seen = Observation(y, np.full(8, 1e-5), 0.02)
    network = open_network(folder / "net.zarr")
    assimilate(network, seen, to=folder / "fit.zarr", members=3, warm_up_frames=0,
               gamma_shape=None)  # fmt: skip
    return folder / "fit.zarr"


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
        elif isinstance(value, int) and not isinstance(value, bool):
            assert f"{value:,}" in said


def test_names_with_brackets_are_shown_as_they_are(made, tmp_path, monkeypatch):
    """Square brackets are markup to the library that prints tables."""
    monkeypatch.setenv("COLUMNS", "400")
    path = tmp_path / "net [bold] and [/more].zarr"
    done("build", made[0] / "brain.npz", path, *SIZE, "--procedural")
    assert done("inspect", path).count("net [bold] and [/more].zarr") == 2


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


def test_a_network_is_replaced_only_when_asked(made, tmp_path):
    folder, _ = made
    words = ["build", folder / "brain.npz", tmp_path / "net.zarr", *SIZE, "--procedural"]
    done(*words)
    before = snapshot(tmp_path)
    refused(70, "overwrite", *words)
    assert snapshot(tmp_path) == before
    assert figures(*words, "--overwrite", "--seed", 8)["seed"] == 8


def test_a_recording_is_replaced_only_when_asked(made, tmp_path):
    folder, _ = made
    words = ["run", folder / "net.zarr", tmp_path / "rest.zarr", "--cluster", "none",
             "--burn-in", 0, "--record", "rate"]  # fmt: skip
    done(*words, "--seconds", 0.1)
    before = snapshot(tmp_path)
    refused(70, "overwrite", *words, "--seconds", 0.2)
    assert snapshot(tmp_path) == before
    done(*words, "--seconds", 0.2, "--overwrite")
    assert open_recording(tmp_path / "rest.zarr").to_xarray().sizes["step"] == 200


@pytest.mark.parametrize("kind", ["file", "folder", "store"])
def test_what_is_not_of_the_kind_is_never_replaced(made, tmp_path, kind):
    folder, _ = made
    path = tmp_path / "precious"
    if kind == "store":
        schema.commit(schema.create_store(path, "posterior", {}))
    elif kind == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("years")
    else:
        path.write_text("years")
    before = snapshot(tmp_path)
    run = ["run", folder / "net.zarr", path, "--seconds", 0.1, "--burn-in", 0, "--cluster", "none"]
    for words in (["build", folder / "brain.npz", path, *SIZE], run):
        for overwrite in ([], ["--overwrite"]):
            refused(70, "untouched", *words, *overwrite)
            assert snapshot(tmp_path) == before


# Errors: one line, a status, nothing written

BUILD = {
    "degree beyond the neurons": (2, "degree", {"--degree": 5000}),
    "degree zero": (2, "degree", {"--degree": 0}),
    "no neurons": (2, "neurons", {"--neurons": 0}),
    "neurons nan": (2, "neurons", {"--neurons": "nan"}),
    "neurons infinite": (2, "neurons", {"--neurons": "inf"}),
    "unknown layout": (2, "cortex", {"--layout": "cortex"}),
    "negative seed": (2, "seed", {"--seed": -1}),
    "huge seed": (2, "seed", {"--seed": 2**64}),
}


@pytest.mark.parametrize(("code", "told", "changed"), BUILD.values(), ids=BUILD)
def test_a_wrong_build_is_refused(made, tmp_path, code, told, changed):
    options = dict(zip(SIZE[::2], SIZE[1::2], strict=True)) | changed
    words = [word for pair in options.items() for word in pair]
    refused(code, told, "build", made[0] / "brain.npz", tmp_path / "net.zarr", *words)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def bad(brain, tmp_path):
    """Folder of connectomes that are none."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "text.npz").write_text("not an archive")
    (folder / "text.mat").write_text("not a matrix")
    (folder / "brain.docx").write_text("of all things")
    np.savez(folder / "other.npz", something=np.ones(3))
    np.savez(folder / "objects.npz", connection=np.array([{}, []], dtype=object))
    np.savez(folder / "negative.npz", connection=-np.ones((3, 3)), grey_matter=np.ones(3))
    alone = brain["connection"].values.copy()
    alone[5] = 0
    np.savez(folder / "alone.npz", connection=alone, grey_matter=brain["grey_matter"].values)
    return folder


CONNECTOMES = {
    "nowhere.npz": (65, "nowhere.npz"), "nowhere.mat": (65, "nowhere.mat"),
    "text.npz": (65, "text.npz"), "text.mat": (65, "text.mat"), "objects.npz": (65, "objects.npz"),
    "other.npz": (2, "connection"), "brain.docx": (2, ".docx"), "negative.npz": (2, "connection"),
    "alone.npz": (2, "5"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), CONNECTOMES.items(), ids=CONNECTOMES)
def test_a_bad_connectome_is_refused(bad, tmp_path, name, expected):
    before = snapshot(tmp_path)
    refused(*expected, "build", bad / name, tmp_path / "net.zarr", *SIZE)
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "net.zarr").exists()


def test_a_voxel_that_hears_nobody_is_dropped_only_when_asked(bad, tmp_path):
    words = ["build", bad / "alone.npz", tmp_path / "net.zarr", *SIZE, "--isolated", "drop"]
    assert figures(*words)["voxels"] == 7


RUN = {
    "unknown quantity": (2, "'speed'", ["--record", "rate,speed"]),
    "no quantity": (2, "record", ["--record", ""]),
    "no time": (2, "seconds", ["--seconds", 0]),
    "half a step": (2, "seconds", ["--seconds", 0.1005]),
    "infinite time": (2, "seconds", ["--seconds", "inf"]),
    "negative burn-in": (2, "seconds", ["--burn-in", -1]),
    "half a frame": (2, "tr_s", ["--tr", 0.0005]),
    "negative seed": (2, "seed", ["--seed", -1]),
    "unknown cluster": (2, "'laptop'", ["--cluster", "laptop"]),
    "no worker": (2, "workers", ["--cluster", "local", "--workers", 0]),
}


@pytest.mark.parametrize(("code", "told", "changed"), RUN.values(), ids=RUN)
def test_a_wrong_run_is_refused(made, tmp_path, code, told, changed):
    words = ["run", made[0] / "net.zarr", tmp_path / "rest.zarr", "--cluster", "none",
             "--seconds", 0.1, "--burn-in", 0.1]  # fmt: skip
    refused(code, told, *words, *changed)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong", [["--record", "speed"], ["--seconds", 0.0005], ["--seconds", 0.1]], ids=str
)
def test_a_wrong_run_is_refused_before_the_burn_in(made, monkeypatch, wrong):
    """The last of them is right, but there is a recording already."""

    def never(*_, **__):
        raise AssertionError("the burn-in was run first")

    monkeypatch.setattr(Session, "advance", never)
    result = call("run", made[0] / "net.zarr", made[0] / "rest.zarr", "--cluster", "none", *wrong)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (2, 70)


def test_a_cluster_that_does_not_answer_is_one_line_too(made, tmp_path):
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        refused(69, "127.0.0.1:9", "run", made[0] / "net.zarr", tmp_path / "rest.zarr",
                "--cluster", "tcp://127.0.0.1:9")  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_stores_that_are_none_are_refused(made, tmp_path):
    folder, _ = made
    nowhere, out = tmp_path / "nowhere.zarr", tmp_path / "out"
    for words in (
        ["inspect", nowhere],
        ["inspect", folder],
        ["inspect", folder / "brain.npz"],
        ["run", nowhere, out, "--cluster", "none"],
        ["run", folder / "rest.zarr", out, "--cluster", "none"],
        ["report", "--out", out, "--recording", nowhere],
        ["report", "--out", out, "--recording", folder / "net.zarr"],
        ["report", "--out", out, "--posterior", folder / "rest.zarr"],
    ):
        refused(70, str(words[-1] if words[0] == "report" else words[1]), *words)
    refused(65, "nowhere.npz", "report", "--out", out, "--connectome", tmp_path / "nowhere.npz")
    assert not list(tmp_path.iterdir())


def test_a_damaged_network_is_refused(made, tmp_path):
    path = tmp_path / "net.zarr"
    done("build", made[0] / "brain.npz", path, *SIZE)
    next(file for file in (path / "synapse" / "source" / "c").rglob("*") if file.is_file()).unlink()
    refused(70, "damaged", "inspect", path)
    refused(70, "damaged", "run", path, tmp_path / "rest.zarr", "--cluster", "none")


def test_a_report_of_nothing_or_to_nowhere_is_refused(made, tmp_path):
    refused(2, "", "report", "--out", tmp_path / "page.html")
    result = call(
        "report", "--out", tmp_path / "no" / "page.html", "--connectome", made[0] / "brain.npz"
    )
    if result.exit_code:
        assert isinstance(result.exception, SystemExit), repr(result.exception)
        assert not list(tmp_path.iterdir())
    else:
        assert (tmp_path / "no" / "page.html").exists()


def test_a_folder_that_is_no_dtb_network_is_refused(tmp_path):
    refused(65, "nowhere", "verify-dtb", tmp_path / "nowhere")
    refused(65, "block_0.npz", "verify-dtb", tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [["--neurons", -5], ["--degree", 0], ["--repeats", 0], ["--threads", -1],
     ["--data", "nowhere.docx"]],
    ids=str,
)  # fmt: skip
def test_a_wrong_bench_is_refused(wrong):
    refused(2, wrong[0].strip("-") if wrong[0] != "--data" else ".docx",
            "bench", "--neurons", 2000, "--degree", 10, "--repeats", 1, *wrong)  # fmt: skip


def test_a_demo_that_cannot_be_is_refused(brain, tmp_path):
    out = tmp_path / "demo"
    refused(65, "nowhere.npz", "demo", "--out", out, "--data", tmp_path / "nowhere.npz")
    write_connectome(brain.drop_vars("bold_rest"), tmp_path / "mute.npz")
    refused(2, "bold_rest", "demo", "--tiny", "--out", out, "--data", tmp_path / "mute.npz")
    assert not out.exists()


def test_a_demo_does_not_replace_a_file(brain, tmp_path):
    out = tmp_path / "thesis.txt"
    out.write_text("years")
    write_connectome(brain, tmp_path / "brain.npz")
    refused(70, "thesis.txt", "demo", "--tiny", "--out", out, "--data", tmp_path / "brain.npz")
    assert out.read_text() == "years"


@pytest.mark.parametrize(
    "words",
    [["fly"], ["build"], ["build", "one.npz"], ["run", "net.zarr"], ["inspect"], ["run", "--fly"],
     ["build", "a.npz", "b.zarr", "--neurons", "many"], ["verify-dtb", ".", "--dtype", "float16"],
     ["build", "a.npz", "b.zarr", "--isolated", "keep"], ["bench", "--neurons", "1.5"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_words_are_wrong_usage(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: ")
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("code", "words"),
    [(2, ["build", "brain.docx", "net.zarr"]), (65, ["build", "nowhere.npz", "net.zarr"]),
     (70, ["inspect", "nowhere.zarr"]), (2, ["fly"])],
)  # fmt: skip
def test_the_program_ends_with_these_statuses(code, words):
    result = in_process(*words)
    assert result.returncode == code
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == (1 if words != ["fly"] else 4)
