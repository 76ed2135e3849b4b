"""A disk that is full, or may not be written any more, ends a run by name; it is resumed later."""

import os
import subprocess
from contextlib import nullcontext

import dask
import pytest
from networks import make_network
from stores import same_arrays

from dtbdask.cluster import connect
from dtbdask.errors import StoreError
from dtbdask.sim.restart import resume_run
from dtbdask.sim.session import Session

OPTIONS = {"record": ("rate", "spikes"), "checkpoint_every": 0.1}


def mount(folder, options):
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path):
    """A file system of 6 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or not mount(folder, "size=6m"):
        pytest.skip("needs root, and leave to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder):
    with (folder / "other").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 12))
        except OSError:
            pass


def free(folder):
    (folder / "other").unlink()


def lock(folder):
    assert mount(folder, "remount,ro")


def unlock(folder):
    assert mount(folder, "remount,rw")


@pytest.mark.parametrize(("cluster", "harm", "mend"), [(False, fill, free), (True, lock, unlock)])
def test_what_cannot_be_written_is_told_and_the_run_is_resumed(
    disk, tmp_path, monkeypatch, cluster, harm, mend
):
    network = make_network(voxels=4, neurons=2400, degree=30, seed=4, noise_rate=0.01)
    with Session(network, seed=3) as session:
        session.run(0.5, to=tmp_path / "meant", **OPTIONS)
    advance, harmed = Session.advance, []

    def harming(self, n_steps, **options):
        if self.step >= 200 and not harmed:
            harmed.append(harm(disk))
        return advance(self, n_steps, **options)

    place = connect("local", workers=2, processes=False) if cluster else nullcontext()
    with (
        place as client,
        dask.config.set({"dtbdask.session.window-steps": 50}),
        Session(network, client, seed=3) as session,
        monkeypatch.context() as patched,
    ):
        patched.setattr(Session, "advance", harming)
        with pytest.raises(StoreError, match=r"No space left|Read-only file system"):
            session.run(0.5, to=disk / "run", **OPTIONS)
        patched.undo()
        mend(disk)
        assert session.advance(1).spike_count.sum() >= 0  # the session itself is whole
        resume_run(disk / "run", network, client)
    same_arrays(disk / "run", tmp_path / "meant")
