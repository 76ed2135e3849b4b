"""A recorded run that was cut short is finished by `resume`, as if nothing had happened."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import done, figures, refused, snapshot
from networks import make_brain, make_network
from stores import arrays, same_arrays

from dtbdask import schema
from dtbdask.errors import InputError, StoreError, StoreExistsError
from dtbdask.graph.build import build
from dtbdask.sim import checkpoint
from dtbdask.sim.moments import Moments, beside, writing
from dtbdask.sim.record import Recorder
from dtbdask.sim.recording import open_recording
from dtbdask.sim.restart import resume_run
from dtbdask.sim.session import Session

SCRIPT = Path(__file__).resolve().parents[1] / "killed_runs.py"
RECIPE = {"neurons": 1500, "degree": 20, "seed": 4, "parameters": {"noise_rate": 0.002}}
QUANTITIES = ("rate", "bold", "spikes")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "net.zarr"
    return build(make_brain(3), path, synapses="procedural", **RECIPE)


class Cut(BaseException):
    """The end of a process."""


def cut_short(network, path, after, monkeypatch, **options):
    """A run of 0.8 s in windows of up to 0.5 s, which ends after some windows."""
    with Session(network, seed=3, tr_s=0.02) as session, monkeypatch.context() as patched:
        session.run(0.1)
        advance, left = session.advance, [None] * after

        def failing(*arguments, **keywords):
            if not left:
                raise Cut
            left.pop()
            return advance(*arguments, **keywords)

        patched.setattr(session, "advance", failing)
        with pytest.raises(Cut):
            session.run(0.8, record=QUANTITIES, to=path, **options)


@pytest.fixture(scope="module")
def meant(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("meant") / "run.zarr"
    with Session(network, seed=3, tr_s=0.02) as session:
        session.run(0.1)
        session.run(0.8, record=QUANTITIES, to=path)
    assert arrays(path)["spike_neuron"].size > 1000
    return path


def same_recording(path, meant):
    same_arrays(path, meant)
    roots = [schema.read_root(store) for store in (path, meant)]
    for root in roots:
        for name in ("made", "protocol", "again"):
            root.pop(name, None)
    assert roots[0] == roots[1]


# The law


@pytest.mark.parametrize("after", [0, 1, 2, 7])
@pytest.mark.parametrize("blocks", [1, 3])
def test_a_resumed_recording_is_that_of_an_undisturbed_run(
    network, meant, tmp_path, monkeypatch, after, blocks
):
    path = tmp_path / "run.zarr"
    cut_short(network, path, after, monkeypatch, checkpoint_every=0.11)
    with pytest.raises(StoreError, match=f"never completed.*dtbdask resume {path}"):
        open_recording(path)
    made = resume_run(path, blocks=blocks)
    assert made.path == path
    same_recording(path, meant)
    assert checkpoint.newest(beside(path)).exists()
    before = snapshot(tmp_path)
    resume_run(path)  # nothing is left to be done
    assert snapshot(tmp_path) == before


def test_a_run_may_be_cut_short_again_and_again(network, meant, tmp_path, monkeypatch):
    path = tmp_path / "run.zarr"
    cut_short(network, path, 2, monkeypatch, checkpoint_every=0.09)
    for _ in range(3):
        advance, left = Session.advance, [None, None]

        def failing(*arguments, advance=advance, left=left, **keywords):
            if not left:
                raise Cut
            left.pop()
            return advance(*arguments, **keywords)

        with monkeypatch.context() as patched:
            patched.setattr(Session, "advance", failing)
            with pytest.raises(Cut):
                resume_run(path)
    steps = {schema.read_root(store)["step"] for store in beside(path).iterdir()}
    assert steps == {100 + 7 * 90, 100 + 8 * 90}, "moments are those of the undisturbed run"
    resume_run(path)
    same_recording(path, meant)


def test_checkpoints_leave_no_mark_on_a_recording(network, meant, tmp_path):
    with Session(network, seed=3, tr_s=0.02) as session:
        session.run(0.1)
        session.run(0.8, record=QUANTITIES, to=tmp_path / "run.zarr", checkpoint_every=0.1,
                    checkpoint_wall=1e-6)  # fmt: skip
    same_recording(tmp_path / "run.zarr", meant)


@pytest.mark.parametrize("lost", ["bold", "population/size", "n_spikes"])
def test_a_recording_hardly_begun_is_resumed_too(network, meant, tmp_path, monkeypatch, lost):
    """Killed while its arrays were made."""

    def killing(group, spec, *arguments, **options):
        if spec.name == lost:
            raise Cut
        return create(group, spec, *arguments, **options)

    create, path = schema.create, tmp_path / "run.zarr"
    with Session(network, seed=3, tr_s=0.02) as session, monkeypatch.context() as patched:
        session.run(0.1)
        patched.setattr(schema, "create", killing)
        if lost == "bold":  # an array of the checkpoint, too
            patched.setattr(Recorder, "_lay_out", lambda *_: (_ for _ in ()).throw(Cut))
            patched.setattr(schema, "create", create)
        with pytest.raises(Cut):
            session.run(0.8, record=QUANTITIES, to=path, checkpoint_every=0.3)
    resume_run(path)
    same_recording(path, meant)


def test_a_torn_checkpoint_falls_back_on_the_one_before(
    network, meant, tmp_path, monkeypatch, caplog
):
    path = tmp_path / "run.zarr"
    cut_short(network, path, 6, monkeypatch, checkpoint_every=0.11)
    store = checkpoint.newest(beside(path))
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["dtbdask"]["status"] = "writing"
    (store / "zarr.json").write_text(json.dumps(root))
    with caplog.at_level(logging.WARNING):
        resume_run(path)
    assert f"{store.name}: this checkpoint was never completed" in caplog.text
    same_recording(path, meant)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_a_recording_is_that_of_an_undisturbed_run(
    network, tmp_path, kills
):
    words = [sys.executable, SCRIPT, network.path, tmp_path, str(kills), str(kills)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    finished, resumed = map(int, ended.stdout.splitlines()[-1].split())
    assert finished > 0
    assert resumed > 0
    for number in range(finished):
        same_arrays(tmp_path / f"{number}.zarr", tmp_path / "meant.zarr")


# The verb


def test_resume_resumes_and_tells_what_run_tells(network, tmp_path, monkeypatch):
    words = ["run", network.path, tmp_path / "run.zarr", "--seconds", 0.3, "--burn-in", 0.1,
             "--cluster", "none", "--record", "rate", "--checkpoint-every", 0.1]  # fmt: skip
    told = figures(*words)
    count = arrays(tmp_path / "run.zarr")["spike_count"]
    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "finish", lambda self: (_ for _ in ()).throw(Cut))
        with pytest.raises(Cut):
            done(*words, "--overwrite")
    refused(70, "never completed", "report", "--recording", tmp_path / "run.zarr")
    assert figures("resume", tmp_path / "run.zarr", "--cluster", "none") == told
    np.testing.assert_array_equal(arrays(tmp_path / "run.zarr")["spike_count"], count)
    assert figures("resume", tmp_path / "run.zarr", "--cluster", "none") == told


def test_a_network_that_was_moved_or_held_in_memory_is_given(meant, tmp_path, monkeypatch):
    held, path = make_network(noise_rate=0.002), tmp_path / "run.zarr"
    cut_short(held, path, 3, monkeypatch, checkpoint_every=0.1)
    before = snapshot(tmp_path)
    refused(70, "its network was held in memory; give the network", "resume", path,
            "--cluster", "none")  # fmt: skip
    other = schema.read_root(meant)["network"]
    refused(2, "another network: its n_neurons was 597", "resume", path, "--network", other,
            "--cluster", "none")  # fmt: skip
    assert snapshot(tmp_path) == before
    assert resume_run(path, held).to_xarray().sizes["step"] == 800


# Two writers

HOLD = """
import sys, time
from dtbdask.sim.moments import writing
with writing(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_that_another_process_writes_is_refused_until_that_is_dead(
    network, meant, tmp_path, monkeypatch
):
    path = tmp_path / "run.zarr"
    cut_short(network, path, 3, monkeypatch, checkpoint_every=0.1)
    before = snapshot(tmp_path)
    words = [sys.executable, "-c", HOLD, path]
    told = "run.zarr: somebody else is writing it"
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "held\n"
            refused(70, told, "resume", path, "--cluster", "none")
            with Session(network) as session, pytest.raises(StoreError, match=told):
                session.run(0.1, record=["rate"], to=path, checkpoint_every=0.1, overwrite=True)
        finally:
            other.kill()
    assert snapshot(tmp_path) == before
    resume_run(path)
    same_recording(path, meant)


def test_a_run_is_held_from_its_beginning_to_its_end(network, tmp_path, monkeypatch):
    path, advance = tmp_path / "run.zarr", Session.advance

    def trying(*arguments, **options):
        with pytest.raises(StoreError, match="somebody else is writing it"):
            resume_run(path)
        return advance(*arguments, **options)

    with Session(network) as session:
        monkeypatch.setattr(Session, "advance", trying)
        session.run(0.1, record=["rate"], to=path, checkpoint_every=0.05)
    before = snapshot(tmp_path)
    with writing(path):
        assert resume_run(path).path == path  # it is finished: nothing is written
    assert snapshot(tmp_path) == before


# Refusals


def test_what_cannot_be_resumed_is_refused(network, tmp_path, monkeypatch):
    refused(70, "no such store", "resume", tmp_path / "none.zarr")
    refused(70, "network store, expected a recording", "resume", network.path)
    cut_short(network, tmp_path / "run.zarr", 1, monkeypatch)
    refused(70, "kept no checkpoints", "resume", tmp_path / "run.zarr", "--cluster", "none")
    path = tmp_path / "other.zarr"
    cut_short(network, path, 3, monkeypatch, checkpoint_every=0.1)
    beside(path).rename(tmp_path / "moved")
    refused(70, "nothing is there", "resume", path, "--cluster", "none")
    cut_short(network, tmp_path / "third.zarr", 3, monkeypatch, checkpoint_every=0.1)
    beside(tmp_path / "third.zarr").rename(beside(path))
    refused(70, "nothing is there of this run", "resume", path, "--cluster", "none")


def test_checkpoints_of_another_run_are_replaced_only_when_asked(network, tmp_path):
    path = tmp_path / "run.zarr"
    with Session(network) as session:
        options = {"record": ["rate"], "to": path, "checkpoint_every": 0.05}
        session.run(0.1, **options)
        path.rename(tmp_path / "kept.zarr")
        before = snapshot(tmp_path)
        with pytest.raises(StoreExistsError, match="holds checkpoints of another run"):
            session.run(0.1, **options)
        assert snapshot(tmp_path) == before
        session.run(0.1, **options, overwrite=True)
    assert {schema.read_root(store)["step"] for store in beside(path).iterdir()} == {100, 150}


WRONG = [{"checkpoint_every": 0.0005}, {"checkpoint_every": 0}, {"checkpoint_wall": 0},
         {"checkpoint_wall": np.nan}]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_moments_are_refused_and_nothing_is_written(network, tmp_path, wrong):
    with Session(network) as session:
        with pytest.raises(InputError, match=next(iter(wrong))):
            session.run(0.1, record=["rate"], to=tmp_path / "run.zarr", **wrong)
        with pytest.raises(InputError, match="checkpoints of a run are kept beside its recording"):
            session.run(0.1, checkpoint_every=0.05)
        assert session.step == 0
    assert not list(tmp_path.iterdir())


def test_moments_of_the_clock_come_when_it_is_time(monkeypatch):
    clock = iter([0.0, 1.0, 2.5, 3.0, 4.6])
    monkeypatch.setattr("dtbdask.sim.moments.time.monotonic", lambda: next(clock))
    moments = Moments.of(None, 2.0, 1.0)
    assert moments.cut(500) == 500
    assert [moments.due(10) for _ in range(4)] == [False, True, False, True]
