"""A stimulus is the same currents set by hand at each step, for any blocks, windows and threads."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import make_network

from dtbdask.errors import InputError
from dtbdask.sim.session import Session
from dtbdask.sim.stimuli import DBS, Background, Pulse, Series, Sinusoid, Step, bind, drive_of

SEED, STEPS = 11, 90
STIMULI = (
    Step(population="region 0", amplitude=0.3, onset_ms=5, duration_ms=20),
    Pulse(population="I", amplitude=1.5, width_ms=2, period_ms=7.5, onset_ms=10, duration_ms=60),
    DBS(population=[4], amplitude=2.0, frequency_hz=130, pulse_width_ms=1, onset_ms=20,
        duration_ms=40),
    Sinusoid(population=["region 1", "region 2 I"], amplitude=0.4, frequency_hz=40, onset_ms=0,
             duration_ms=70),
    Series(population="E", values=[0.1, -0.2, 0.5], sampling_ms=6.5, amplitude=2, onset_ms=33),
)  # fmt: skip


@pytest.fixture(scope="module")
def network():
    return make_network(i_ext=0.05)


def by_hand(stimuli, dt_ms=1.0):
    """Current of each step and population, added up stimulus by stimulus and step by step."""
    reach = {"region 0": [0, 1], "I": [1, 3, 5], "E": [0, 2, 4]}
    made = np.zeros((STEPS, 6))
    for s in stimuli:
        at = s.population if isinstance(s.population, list) else reach[s.population]
        at = [2, 3, 5] if at[0] == "region 1" else at
        start = round(s.onset_ms / dt_ms)
        for k in range(STEPS - start):
            if k < round((s.onset_ms + s.duration_ms) / dt_ms) - start:
                made[start + k, at] += value(s, k, dt_ms)
    return made


def value(s, k, dt_ms):
    t = k * dt_ms
    if isinstance(s, Step):
        return s.amplitude
    if isinstance(s, Sinusoid):
        return s.amplitude * np.sin(2 * np.pi * (t * s.frequency_hz / 1000) + s.phase)
    if isinstance(s, Series):
        return s.amplitude * s.values[int(t // s.sampling_ms)]
    period = s.period_ms if isinstance(s, Pulse) else 1000 / s.frequency_hz
    width = s.width_ms if isinstance(s, Pulse) else s.pulse_width_ms
    begins = [np.rint(n * period / dt_ms) for n in range(200)]
    return s.amplitude * any(b <= k < b + round(width / dt_ms) for b in begins)


def stepped(network, currents, **options):
    """Spikes and V of a session whose i_ext is set before each step."""
    with Session(network, seed=SEED, **options) as session:
        found = []
        for row in currents:
            session.set("i_ext", network.parameters.population["i_ext"] + row)
            found.append(session.advance(1, spikes=True))
        return joined(found), session.state("v")


def stimulated(network, stimuli, pieces=(STEPS,), **options):
    with Session(network, seed=SEED, **options) as session:
        session.stimulate(*stimuli)
        found = [session.advance(n, spikes=True) for n in pieces]
        return joined(found), session.state("v")


def joined(windows):
    return [
        np.concatenate([getattr(window, name) for window in windows])
        for name in ("spike_count", "spike_step", "spike_neuron")
    ]


def same(one, other):
    for found, expected in zip((*one[0], one[1]), (*other[0], other[1]), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def meant(network):
    return stepped(network, by_hand(STIMULI))


@pytest.mark.parametrize("pieces", [[STEPS], [1] * STEPS, [7, 26, 30, 27]])
@pytest.mark.parametrize(("blocks", "threads"), [(1, 1), (3, 1), (1, 2)])
def test_stimuli_are_the_currents_set_by_hand(network, meant, blocks, threads, pieces):
    found = stimulated(network, STIMULI, pieces, blocks=blocks, threads=threads)
    same(found, meant)
    plain = stimulated(network, ())
    assert plain[0][2].size > 100
    assert not np.array_equal(found[0][2], plain[0][2])


@pytest.mark.parametrize("stimulus", STIMULI, ids=lambda s: type(s).__name__)
def test_each_stimulus_is_its_definition(network, stimulus):
    for dt_ms in (1.0, 0.5):
        drive = drive_of([bind(stimulus, network, 0, dt_ms)], 0, STEPS, dt_ms)
        found = drive.current[:, drive.group]
        np.testing.assert_array_equal(found, by_hand([stimulus], dt_ms))
        assert found.any()


def test_sub_steps_and_double_precision_do_not_mind(network):
    options = {"t_steps": 2, "dtype": "float64", "dt_ms": 0.5}
    currents = by_hand(STIMULI, dt_ms=0.5)
    same(stimulated(network, STIMULI, [50, 40], **options), stepped(network, currents, **options))


def test_members_all_get_the_stimuli(network):
    with Session(network, seed=SEED, members=2) as session:
        session.set("i_ext", 0.1, member=1)
        session.stimulate(*STIMULI)
        found = session.advance(STEPS).spike_count
    with Session(network, seed=SEED, members=2) as session:
        base = np.repeat([[0.05], [0.1]], 6, axis=1)
        for k, row in enumerate(by_hand(STIMULI)):
            session.set("i_ext", base + row)
            np.testing.assert_array_equal(found[k], session.advance(1).spike_count[0])


def test_a_change_meanwhile_is_kept_and_stimuli_given_later_add_up(network):
    first = Step(amplitude=0.3, duration_ms=60, population="E")
    later = Step(amplitude=0.2, onset_ms=10, duration_ms=40)
    with Session(network, seed=SEED) as session, Session(network, seed=SEED) as hand:
        session.stimulate(first)
        found = [session.advance(20, spikes=True)]
        session.set("i_ext", 0.1, population="region 1")
        session.stimulate(later)
        found += [session.advance(n, spikes=True) for n in (35, 25)]
        base, expected = np.full(6, 0.05), []
        for k in range(80):
            if k == 20:
                base[2:4] = 0.1
            row = 0.3 * (k < 60) * np.array([1, 0, 1, 0, 1, 0]) + 0.2 * (20 <= k < 50)
            hand.set("i_ext", base + row)
            expected.append(hand.advance(1, spikes=True))
        np.testing.assert_array_equal(session.state("v"), hand.state("v"))
    for one, other in zip(joined(found), joined(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("background", [True, False])
def test_another_background_is_that_set_by_hand(background):
    values = {} if background else {"ou_mean": 0.0, "ou_sigma": 0.0, "noise_rate": 0.01}
    network = make_network(**values)
    base = {name: network.parameters.population[name] for name in ("ou_mean", "ou_sigma")}
    given = Background(mean=0.6, sigma=0.2, population="region 1", onset_ms=10, duration_ms=30)
    with Session(network, seed=SEED) as session, Session(network, seed=SEED, blocks=3) as other:
        for one in (session, other):
            one.stimulate(given)
        windows = session.advance(60, spikes=True), other.advance(60, spikes=True)
        with Session(network, seed=SEED) as hand:
            expected = [hand.advance(10, spikes=True)]
            hand.set("ou_mean", 0.6, population="region 1")
            hand.set("ou_sigma", 0.2, population="region 1")
            expected.append(hand.advance(30, spikes=True))
            for name, value_then in base.items():
                hand.set(name, value_then)
            expected.append(hand.advance(20, spikes=True))
            for name in ("v", "ou"):
                np.testing.assert_array_equal(session.state(name), hand.state(name))
                np.testing.assert_array_equal(other.state(name), hand.state(name))
    for window in windows:
        for one, by in zip(joined([window]), joined(expected), strict=True):
            np.testing.assert_array_equal(one, by)


@given(width=st.integers(1, 5), rest=st.floats(1, 9), first=st.integers(0, 40))
@settings(deadline=None)
def test_pulses_are_of_one_length_and_keep_their_rate(width, rest, first):
    network = make_network(voxels=1, neurons=200, degree=5)
    pulse = Pulse(amplitude=1, width_ms=width, period_ms=width + rest, duration_ms=2000)
    bound = bind(pulse, network, 0, 1.0)
    train = drive_of([bound], 0, 2000, 1.0).current[:, 0]
    lengths = [sum(run) for on, run in itertools.groupby(train.tolist()) if on]
    assert set(lengths[:-1]) == {width}
    assert abs(len(lengths) - 2000 / (width + rest)) <= 1
    part = drive_of([bound], first, 50, 1.0).current[:, 0]
    np.testing.assert_array_equal(part, train[first : first + 50])


def test_nothing_is_computed_where_nothing_is_stimulated(network):
    bound = bind(Step(amplitude=1, onset_ms=10, duration_ms=5, population=[1]), network, 0, 1.0)
    assert drive_of([], 0, 100, 1.0) is None
    assert drive_of([bound], 0, 10, 1.0) is None
    assert drive_of([bound], 15, 10, 1.0) is None
    drive = drive_of([bound], 8, 10, 1.0)
    assert np.flatnonzero(drive.differs()).tolist() == [2, 7]
    assert drive.current.shape == (10, 2)


def test_stimuli_are_in_the_log(network):
    with Session(network) as session:
        session.advance(3)
        session.stimulate(STIMULI[2], Series(values=np.arange(20.0), sampling_ms=2))
        told = session.changes
    assert told[0] == {
        "step": 3, "stimulus": "DBS", "population": [4], "onset_ms": 20, "duration_ms": 40,
        "amplitude": 2.0, "frequency_hz": 130, "pulse_width_ms": 1,
    }  # fmt: skip
    assert told[1]["values"]["count"] == 20
    assert told[1]["duration_ms"] == 40.0
    assert json.loads(json.dumps(told)) == told


# Refusals

WRONG = [
    (Step(amplitude=1, duration_ms=10), r"Step ends at 10 ms, but the session is at 12 ms already"),
    (Step(amplitude=1, duration_ms=0), "Step: duration_ms is 0"),
    (Step(amplitude=1, duration_ms=-5), "Step: duration_ms is -5"),
    (Step(amplitude=1, duration_ms=0.3, onset_ms=20), "Step: duration_ms is 0.3"),
    (Step(amplitude=1, duration_ms=50, onset_ms=-5), "Step: onset_ms is -5"),
    (Step(amplitude=np.nan, duration_ms=50), "Step: amplitude is nan"),
    (Step(amplitude="strong", duration_ms=50), "Step: amplitude is 'strong'"),
    (Step(amplitude=1, duration_ms=50, population=[]), "population: none is chosen"),
    (Step(amplitude=1, duration_ms=50, population="V1"), "nothing is named 'V1'"),
    (Pulse(amplitude=1, width_ms=0.5, period_ms=9, duration_ms=50), "Pulse: width_ms is 0.5"),
    (Pulse(amplitude=1, width_ms=5, period_ms=5, duration_ms=50), "Pulse: width_ms is 5"),
    (DBS(amplitude=1, frequency_hz=130, pulse_width_ms=0.06, duration_ms=50),
     "DBS: pulse_width_ms is 0.06; expected a step of 1 ms at least"),
    (DBS(amplitude=1, frequency_hz=0, pulse_width_ms=1, duration_ms=50), "DBS: frequency_hz is 0"),
    (Sinusoid(amplitude=1, frequency_hz=501, duration_ms=50), "Sinusoid: frequency_hz is 501"),
    (Series(values=[], sampling_ms=2), "Series: values"),
    (Series(values=[1, np.inf], sampling_ms=20), "Series: values"),
    (Series(values=[1, 2], sampling_ms=0.5, duration_ms=40), "Series: sampling_ms is 0.5"),
    (Series(values=[1, 2], sampling_ms=10, duration_ms=40), "Series: duration_ms is 40"),
    (Background(mean=0, sigma=-1, duration_ms=50), "ou_sigma"),
    ("Step", "'Step' is no stimulus"),
]  # fmt: skip


@pytest.fixture(scope="module")
def session(network):
    with Session(network, seed=SEED) as session:
        session.advance(12)
        yield session


@pytest.mark.parametrize(("wrong", "told"), WRONG)
def test_a_wrong_stimulus_is_refused_by_name(session, wrong, told):
    with pytest.raises(InputError, match=told):
        session.stimulate(Step(amplitude=1, duration_ms=50), wrong)
    assert session.changes == []


def test_populations_whose_neurons_have_currents_of_their_own_are_refused(network):
    with Session(network) as session:
        session.stimulate(Step(amplitude=1, duration_ms=5))
        with pytest.raises(InputError, match="while populations are stimulated, here until 5 ms"):
            session.set("i_ext", 0.1, neuron=[3])
        session.advance(5)
        session.set("i_ext", 0.1, neuron=[3])
        with pytest.raises(InputError, match="i_ext has values by neuron"):
            session.stimulate(Step(amplitude=1, duration_ms=50))
        session.stimulate(Background(mean=0, sigma=0.1, duration_ms=50))
