"""The pyramid tells the truth: at every level and in every view it counts the spikes there."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import random_spikes, write_recording

from dtbdask import schema
from dtbdask.errors import InputError, StoreError
from dtbdask.sim import pyramid, pyramid_build
from dtbdask.sim.pyramid import FEWEST, SPIKES_A_BIN, Level, levels, open_pyramid
from dtbdask.sim.pyramid_build import build_pyramid


def brute(step, neuron, level, shape):
    """Counts of a level, spike by spike."""
    count = np.zeros(level.shape(*shape), np.int64)
    np.add.at(count, (step // level.steps, neuron // level.neurons), 1)
    return count


@pytest.fixture
def small(monkeypatch):
    """Pieces, chunks and tables so small that every seam is crossed."""
    monkeypatch.setattr(pyramid_build, "READ", 97)
    monkeypatch.setattr(pyramid_build, "HELD", 300)
    monkeypatch.setattr(pyramid_build, "CHUNK", 64)
    monkeypatch.setattr(pyramid_build, "CHUNK_ROWS", 8)
    monkeypatch.setattr(pyramid, "COARSEST", 2)
    monkeypatch.setattr(pyramid, "TILES", 4)


def recorded(path, n_steps, size, rate_hz, seed):
    step, neuron = random_spikes(n_steps, sum(size), rate_hz, seed)
    return step, neuron, write_recording(path, step, neuron, n_steps=n_steps, size=size)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n_steps=st.integers(1, 200), size=st.lists(st.integers(1, 60), min_size=2, max_size=2),
    rate_hz=st.sampled_from([0.0, 1.0, 30.0]), seed=st.integers(0, 99),
)  # fmt: skip
def test_every_level_is_what_counting_gives(tmp_path_factory, small, n_steps, size, rate_hz, seed):
    path = tmp_path_factory.mktemp("rec") / "r.zarr"
    step, neuron, _ = recorded(path, n_steps, size, rate_hz, seed)
    made = build_pyramid(path)
    assert made.n_spikes == step.size
    shape = (n_steps, sum(size))
    for level in made.levels:
        rows, columns = level.shape(*shape)
        count = made.counts(level, (0, rows), (0, columns))
        assert count.sum() == step.size
        np.testing.assert_array_equal(count, brute(step, neuron, level, shape))


def test_silence_after_a_burst_is_written_as_zeros(tmp_path, small):
    path = write_recording(tmp_path / "r.zarr", [0, 0, 150], [3, 5, 9], n_steps=200, size=[30, 10])
    made = build_pyramid(path)
    schema.open_store(path / "pyramid", "pyramid")  # no chunk is missing
    assert [made.counts(level, (0, level.shape(200, 40)[0]), (0, level.shape(200, 40)[1])).sum()
            for level in made.levels] == [3] * len(made.levels)  # fmt: skip


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    step, neuron, path = recorded(
        tmp_path_factory.mktemp("one") / "r.zarr", 3000, [300, 100, 200, 50], 25.0, 5
    )
    return step, neuron, build_pyramid(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_view_counts_its_spikes_and_is_small(one, data):
    step, neuron, made = one

    def span(n):
        low = data.draw(st.integers(0, n - 1))
        return low, data.draw(st.integers(low + 1, n))

    most = (data.draw(st.integers(16, 200)), data.draw(st.integers(16, 200)))
    steps, neurons = span(made.n_steps), span(made.n_neurons)
    view = made.view(steps, neurons, most)
    assert view.steps[0] <= steps[0] < steps[1] <= view.steps[1]
    assert view.neurons[0] <= neurons[0] < neurons[1] <= view.neurons[1]
    assert view.count.shape[0] <= most[0] + 1
    assert view.count.shape[1] <= most[1] + 1
    inside = (
        (step >= view.steps[0]) & (step < view.steps[1])
        & (neuron >= view.neurons[0]) & (neuron < view.neurons[1])
    )  # fmt: skip
    assert view.count.sum() == inside.sum()


def test_zooming_in_never_makes_bins_wider(one):
    _, _, made = one
    last = None
    for part in (1, 2, 4, 8, 16, 32):
        level = made.choose((0, 3000 // part), (0, 650 // part), (64, 64))
        if last is not None:
            assert level.steps * level.neurons <= last.steps * last.neurons
        last = level


@given(n_steps=st.integers(1, 10**7), n_neurons=st.integers(1, 10**8),
       n_spikes=st.integers(0, 10**10))  # fmt: skip
def test_levels_are_bounded_by_the_spikes_and_one_always_fits_a_screen(
    n_steps, n_neurons, n_spikes
):
    made = levels(n_steps, n_neurons, n_spikes)
    bins = [np.prod(level.shape(n_steps, n_neurons), dtype=float) for level in made]
    assert max(bins) <= max(FEWEST, n_spikes / SPIKES_A_BIN)
    assert min(bins) <= pyramid.COARSEST**2
    assert len(made) <= 150


def test_what_is_there_is_not_built_again_unless_asked(tmp_path, monkeypatch):
    _, _, path = recorded(tmp_path / "r.zarr", 100, [20, 10], 30.0, 1)
    assert open_pyramid(path) is None
    build_pyramid(path)
    made = schema.read_root(path / "pyramid")
    build_pyramid(path)
    assert schema.read_root(path / "pyramid") == made
    monkeypatch.setattr(schema, "provenance", lambda: {"made": "later"})
    build_pyramid(path, overwrite=True)
    assert schema.read_root(path / "pyramid")["made"] == "later"
    assert [p.name for p in tmp_path.iterdir()] == ["r.zarr"]


def test_a_build_that_fails_leaves_the_recording_as_it_was(tmp_path, monkeypatch):
    _, _, path = recorded(tmp_path / "r.zarr", 100, [20, 10], 30.0, 1)
    monkeypatch.setattr(pyramid_build._Writer, "finish", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_pyramid(path)
    assert [p.name for p in tmp_path.iterdir()] == ["r.zarr"]
    assert open_pyramid(path) is None
    schema.open_store(path, "recording")


def test_a_damaged_chunk_is_named(tmp_path):
    _, _, path = recorded(tmp_path / "r.zarr", 300, [40, 10], 30.0, 1)
    made = build_pyramid(path)
    level = made.levels[0]
    chunk = path / "pyramid" / level.name / "c" / "0" / "0"
    chunk.write_bytes(b"\x00" + chunk.read_bytes()[1:])
    with pytest.raises(StoreError, match="count/0-0"):
        open_pyramid(path).view((0, 300), (0, 50))
    chunk.unlink()
    with pytest.raises(StoreError, match="damaged"):
        open_pyramid(path)


def test_a_recording_without_spikes_has_none(tmp_path):
    group = schema.create_store(tmp_path / "r.zarr", "recording", {})
    schema.commit(group)
    with pytest.raises(InputError, match="record spikes"):
        build_pyramid(tmp_path / "r.zarr")


def test_widths_are_powers_of_four():
    assert [(Level(a, a).steps, Level(a, a).neurons) for a in range(3)] == [
        (1, 1),
        (4, 4),
        (16, 16),
    ]
