"""The command line fails in one line, with a status, in time, and leaves what is there."""

import dask
import numpy as np
import pytest
from command import SIZE, call, done, figures, in_process, refused, snapshot

from dtbdask import schema
from dtbdask.brain.connectome import write_connectome
from dtbdask.sim.recording import open_recording
from dtbdask.sim.session import Session


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
