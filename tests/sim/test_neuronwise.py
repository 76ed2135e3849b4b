"""What is written down for single neurons is what their populations say, to the bit."""

import numpy as np
import pytest
from networks import make_network

from dtbdask.kernels import Coefficient, Features
from dtbdask.sim import neuronwise as tables
from dtbdask.sim.model import Coefficients
from dtbdask.sim.neuronwise import MOST, SHORT, neuronwise
from dtbdask.sim.session import Session
from dtbdask.sim.stimuli import DBS

MEMBERS, VOXELS = 3, 4
OPTIONS = {"seed": 5, "members": MEMBERS, "tr_s": 0.02}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Nothing is too small."""
    monkeypatch.setattr(tables, "FEW", 0)


def shown(monkeypatch, short, stimuli=(), **options):
    """What a session shows of members, populations and neurons that differ."""
    monkeypatch.setattr(tables, "SHORT", short)
    draw, every = np.random.default_rng(2), np.arange(MEMBERS)
    factor = draw.uniform(0.5, 2, (2, MEMBERS, 2 * VOXELS))
    with Session(make_network(voxels=VOXELS, noise_rate=0.01), **OPTIONS, **options) as session:
        session.set("g_ampa", 5.0, how="gamma")
        session.set("g_ampa", factor[0], member=every, how="multiply")
        session.set("ou_mean", 0.5 * factor[1], member=every)
        session.set("noise_rate", np.linspace(0, 0.05, 2 * VOXELS))
        session.stimulate(*stimuli)
        window = session.advance(60, spikes=True)
        crew = session._crew
        for gang in getattr(crew, "_gangs", None) or [crew._gang]:
            assert (gang.blocks[0].neuronwise is None) == (short == 0)
        states = [session.state(name) for name in ("v", "ou", "refractory", "j_ampa", "j_gaba_a")]
    assert window.spike_count.sum() > 100
    return [window.spike_count, window.spike_neuron, window.bold, *states]


@pytest.mark.parametrize("options", [{}, {"t_steps": 2}, {"threads": 6}], ids=str)
def test_what_differs_and_how_it_is_run(monkeypatch, options):
    found, meant = (shown(monkeypatch, short, **options) for short in (10**9, 0))
    for one, other in zip(found, meant, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_stimulus_comes_and_goes(monkeypatch):
    """Populations are stimulated for half of the steps, and not after."""
    pulses = DBS(
        population="region 1", amplitude=2, frequency_hz=200, pulse_width_ms=1, duration_ms=30
    )
    found, meant = (shown(monkeypatch, short, [pulses]) for short in (10**9, 0))
    for one, other in zip(found, meant, strict=True):
        np.testing.assert_array_equal(one, other)


def coefficients(n_populations, *varied):
    """Coefficients of two members of which some differ between populations."""
    value = np.ones((2, n_populations, len(Coefficient)), np.float32)
    for k in varied:
        value[:, :, k] = np.arange(n_populations)
    features = Features((True, False, True, False), True, False, (-1,) * len(Coefficient))
    return Coefficients(value, np.zeros((0, 4 * n_populations), np.float32), features)


def test_only_what_differs_is_written_down():
    population = np.repeat(np.arange(5), 4)
    table = neuronwise(coefficients(5, Coefficient.OU_MEAN, Coefficient.G), population, 5)
    assert table.stop.tolist() == [20]
    assert np.flatnonzero(np.array(table.features.slots) >= 0).tolist() == [
        Coefficient.OU_MEAN, Coefficient.G
    ]  # fmt: skip
    np.testing.assert_array_equal(table.factor, np.tile(population, (2, 2)))
    assert (table.value == 1).all()


def test_long_stretches_stay(monkeypatch):
    population = np.repeat(np.arange(3), SHORT)
    assert neuronwise(coefficients(3, 1), population, 3) is None
    assert neuronwise(coefficients(3, 1), population[1:], 3) is not None
    monkeypatch.setattr(tables, "FEW", 2 * population.size - 1)
    assert neuronwise(coefficients(3, 1), population[1:], 3) is None


def test_what_differs_in_all_stays_in_stretches():
    population = np.repeat(np.arange(5), 4)
    assert neuronwise(coefficients(5, *range(MOST)), population, 5) is not None
    assert neuronwise(coefficients(5, *range(MOST + 1)), population, 5) is None
