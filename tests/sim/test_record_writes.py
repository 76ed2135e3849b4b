"""Rows reach the disk whole and in order, or the run ends and can be resumed."""

import dask
import numpy as np
import pytest
import zarr
from networks import make_network
from stores import same_arrays
from zarr.storage import LocalStore

from dtbdask import schema
from dtbdask.errors import StoreError
from dtbdask.sim import quantities
from dtbdask.sim.record import Column
from dtbdask.sim.recording import open_recording
from dtbdask.sim.restart import resume_run
from dtbdask.sim.session import Session

QUANTITIES = ("rate", "bold", "spikes")
CHUNK = 100


@pytest.fixture(scope="module")
def network():
    return make_network(noise_rate=0.002)


@pytest.fixture
def small(monkeypatch):
    """Chunks of so few spikes that some are full in every window."""
    rows = {"n_spikes": 30, "spike_neuron": CHUNK}
    monkeypatch.setattr(quantities, "ROWS", quantities.ROWS | rows)


def recorded(network, path, **options):
    with Session(network, seed=3, tr_s=0.02, **options) as session:
        return session.run(0.4, record=QUANTITIES, to=path, checkpoint_every=0.05)


def full(part, after):
    """`set` of a disk that is full once so many files of a part of the recording are written."""
    put, left = LocalStore.set, [None] * after

    async def failing(self, key, value):
        if key.startswith(part):
            if not left:
                raise OSError(28, "No space left on device")
            left.pop()
        await put(self, key, value)

    return failing


@pytest.mark.parametrize(
    ("part", "after"),
    [("spike_neuron/c/", 0), ("spike_neuron/c/", 7), ("n_spikes/zarr.json", 4), ("bold/c/", 0)],
)
def test_a_full_disk_ends_a_run_that_is_resumed_when_there_is_room(
    network, tmp_path, monkeypatch, small, part, after
):
    with dask.config.set({"dtbdask.session.window-steps": 40}):
        recorded(network, tmp_path / "meant.zarr", blocks=2)
        path, name = tmp_path / "run.zarr", part.partition("/")[0]
        with monkeypatch.context() as patched:
            patched.setattr(LocalStore, "set", full(part, after))
            with pytest.raises(StoreError, match=rf"run\.zarr/{name}: cannot be written.*No space"):
                recorded(network, path)
        with pytest.raises(StoreError, match="never completed"):
            open_recording(path)
        beginning = open_recording(path, live=True).to_xarray().load()
        resume_run(path, network)
    same_arrays(path, tmp_path / "meant.zarr")
    whole = open_recording(path).to_xarray()
    assert beginning.spike_step.size == beginning.spike_neuron.size
    for name in ("n_spikes", "spike_step", "spike_neuron"):
        there = beginning[name].values
        np.testing.assert_array_equal(there, whole[name][: there.size])


@pytest.mark.parametrize(("window_steps", "options"), [(7, {}), (150, {"blocks": 3}),
                                                       (400, {"threads": 2})])  # fmt: skip
def test_chunks_that_are_full_amid_a_window_leave_no_mark(
    network, tmp_path, small, window_steps, options
):
    with Session(network, seed=3) as session:
        meant = session.advance(400, spikes=True)
    with dask.config.set({"dtbdask.session.window-steps": window_steps}):
        recorded(network, tmp_path / "run.zarr", **options)
    found = open_recording(tmp_path / "run.zarr").to_xarray()
    assert meant.spike_step.size > 8 * CHUNK
    np.testing.assert_array_equal(found.spike_step, meant.spike_step)
    np.testing.assert_array_equal(found.spike_neuron, meant.spike_neuron)


@pytest.mark.parametrize("blocks", [1, 3])
def test_the_spikes_of_a_window_are_its_own(network, blocks):
    """The next window is gathered in the same memory."""
    with Session(network, seed=3, blocks=blocks) as session:
        one = session.advance(60, spikes=True)
        before = one.spike_step.copy(), one.spike_neuron.copy()
        session.advance(90)
        other = session.advance(200, spikes=True)
    assert (one.spike_step == before[0]).all()
    assert (one.spike_neuron == before[1]).all()
    assert 0 < before[0].size < other.spike_step.size
    assert other.spike_step.min() >= 150


def test_a_column_that_is_there_keeps_its_chunks_and_type(tmp_path):
    """As those of a recording that another version has begun."""
    group, spec = zarr.create_group(tmp_path / "column"), schema.RECORDING["spike_neuron"]
    narrow = schema.Array(spec.name, spec.dims, "uint32", spec.unit, spec.meaning)
    Column(group, narrow, (), 4).append(np.arange(9))
    column = Column(group, spec, (), 100, quick=True)
    assert column.written == 8
    column.cut(4, np.arange(4, 7))
    column.append(np.arange(7, 30))
    assert column.written == 28
    assert column.held.tolist() == [28, 29]
    column.finish()
    array = group[spec.name]
    assert (array.chunks, array.dtype) == ((4,), np.uint32)
    np.testing.assert_array_equal(array[:], np.arange(30))
