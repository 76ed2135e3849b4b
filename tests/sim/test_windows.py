"""Windows leave no mark on what a run gives, and are written while the next one is simulated."""

import threading

import dask
import numpy as np
import pytest
from networks import make_network

from dtbdask.errors import StoreError
from dtbdask.sim.record import Recorder
from dtbdask.sim.session import Session


@pytest.fixture(scope="module")
def network():
    return make_network()


def lengths(session):
    """Steps of the windows that a session makes from now on."""
    advance, made = session.advance, []

    def counting(n_steps, **options):
        made.append(n_steps)
        return advance(n_steps, **options)

    session.advance = counting
    return made


@pytest.mark.parametrize("quick", [0, 60])
def test_windows_that_are_over_soon_become_longer(network, tmp_path, quick):
    options = {"dtbdask.session.window-seconds": quick, "dtbdask.session.window-steps": 10}
    with dask.config.set(options), Session(network, seed=3, tr_s=0.02) as session:
        made = lengths(session)
        data = session.run(0.15, record=["rate", "bold", "spikes"], to=tmp_path / "run").to_xarray()
    assert made == ([10, 20, 40, 80] if quick else [10] * 15)
    with Session(network, seed=3, tr_s=0.02) as session:
        window = session.advance(150, spikes=True)
    np.testing.assert_array_equal(data.spike_count, window.spike_count[:, 0])
    np.testing.assert_array_equal(data.bold, window.bold[:, 0])
    np.testing.assert_array_equal(data.spike_neuron, window.spike_neuron)


@pytest.mark.parametrize(
    "options", [{}, {"blocks": 3}, {"members": 3}, {"members": 3, "threads": 2}]
)
def test_counts_can_be_summed_over_a_window(network, options):
    with Session(network, seed=3, tr_s=0.02, **options) as session:
        each = session.advance(50), session.advance(70)
    with Session(network, seed=3, tr_s=0.02, **options) as session:
        summed = session.advance(50, summed=True), session.advance(70, summed=True)
    for one, other in zip(each, summed, strict=True):
        np.testing.assert_array_equal(other.spike_count[0], one.spike_count.sum(axis=0))
        np.testing.assert_array_equal(other.bold, one.bold)


def test_a_window_is_written_while_the_next_is_simulated(network, tmp_path, monkeypatch):
    take, met = Recorder.take, threading.Barrier(2, timeout=30)

    def meeting(recorder, window):
        if window.first_step == 0:
            met.wait()
        take(recorder, window)

    monkeypatch.setattr(Recorder, "take", meeting)
    with dask.config.set({"dtbdask.session.window-steps": 10}), Session(network) as session:
        advance = session.advance

        def meeting_too(n_steps, **options):
            if session.step == 10:
                met.wait()
            return advance(n_steps, **options)

        session.advance = meeting_too
        data = session.run(0.03, record=["rate"], to=tmp_path / "run").to_xarray()
    assert data.sizes["step"] == 30


def test_a_window_that_cannot_be_written_ends_the_run(network, tmp_path, monkeypatch):
    def failing(recorder, window):
        raise StoreError("no room")

    monkeypatch.setattr(Recorder, "take", failing)
    with dask.config.set({"dtbdask.session.window-steps": 10}), Session(network) as session:
        made = lengths(session)
        with pytest.raises(StoreError, match="no room"):
            session.run(0.1, record=["rate"], to=tmp_path / "run")
    assert len(made) == 2


def test_what_ends_a_run_is_told_and_not_what_fails_after_it(network, tmp_path, monkeypatch):
    def failing(recorder, window):
        raise StoreError("no room")

    monkeypatch.setattr(Recorder, "take", failing)
    with dask.config.set({"dtbdask.session.window-steps": 10}), Session(network) as session:
        advance = session.advance

        def interrupted(n_steps, **options):
            if session.step:
                raise KeyboardInterrupt
            return advance(n_steps, **options)

        session.advance = interrupted
        with pytest.raises(KeyboardInterrupt):
            session.run(0.1, record=["rate"], to=tmp_path / "run")
