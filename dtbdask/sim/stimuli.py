"""Stimuli as data: currents that a session adds to those of chosen populations for some time.

A stimulus is constant within a step: its value at the time at which the step begins, counted from
its onset. Onset and end are rounded to steps. Times are those of the session, which begins at 0;
currents are in mV/ms, as `i_ext`, and those of several stimuli add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import check
from dtbdask.graph.selection import choose_populations
from dtbdask.sim.drive import Drive

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """What all stimuli have.

    Attributes
    ----------
    population : str, sequence of str, (index,) int or (population,) bool, optional
        Whom it reaches: by the name of a population ("V1 E"), a slot ("L5E"), a voxel ("V1"), or
        "E" or "I"; by index; or by mask. By default all.
    onset_ms, duration_ms : float
        When it begins, and for how long it lasts.
    """

    drives: ClassVar[tuple[str, ...]] = ("i_ext",)
    """Parameters that may then not have values by neuron."""

    population: Any = None
    onset_ms: float = 0.0
    duration_ms: float

    def given(self) -> dict[str, Any]:
        """Its values by name; those that were left out are not there."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in every.items() if value is not None}

    def check(self, dt_ms: float) -> None:
        """Refuse what cannot be played in steps of `dt_ms`."""
        for field in fields(self):
            if field.name not in ("population", "values"):
                _finite(self, field.name, getattr(self, field.name))
        if self.duration_ms <= 0:
            raise _wrong(self, "duration_ms", "a time above 0 ms")

    def current(self, step: Ints, dt_ms: float) -> Floats:
        """Current in some steps.

        Parameters
        ----------
        step : (step,) int64
            Counted from the onset.
        dt_ms : float

        Returns
        -------
        (step,) float64, mV/ms
        """
        return np.zeros(step.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Step(Stimulus):
    """A constant current.

    Attributes
    ----------
    amplitude : float, mV/ms
    """

    amplitude: float

    def current(self, step: Ints, dt_ms: float) -> Floats:
        """The amplitude: (step,) float64, mV/ms."""
        return np.full(step.size, float(self.amplitude))


@dataclass(frozen=True, kw_only=True, eq=False)
class Pulse(Stimulus):
    """A train of pulses, each as many steps long as the others; the first begins at the onset.

    Attributes
    ----------
    amplitude : float, mV/ms
    width_ms, period_ms : float
        Length of a pulse, and time from the beginning of one to that of the next, which is rounded
        to steps pulse by pulse, so that the mean rate is kept.
    """

    amplitude: float
    width_ms: float
    period_ms: float

    def check(self, dt_ms: float) -> None:
        """Refuse pulses shorter than a step, or without a pause."""
        super().check(dt_ms)
        _check_pulses(self, "width_ms", self.width_ms, self.period_ms, dt_ms)

    def current(self, step: Ints, dt_ms: float) -> Floats:
        """The amplitude in a pulse, else zero: (step,) float64, mV/ms."""
        return self.amplitude * _pulses(step, self.width_ms / dt_ms, self.period_ms / dt_ms)


@dataclass(frozen=True, kw_only=True, eq=False)
class DBS(Stimulus):
    """Deep brain stimulation: a pulse train by its frequency, as devices have it.

    Attributes
    ----------
    amplitude : float, mV/ms
    frequency_hz : float
    pulse_width_ms : float
        At least a step; of a shorter one give the charge: amplitude x width stays the same.
    """

    amplitude: float
    frequency_hz: float
    pulse_width_ms: float

    def check(self, dt_ms: float) -> None:
        """Refuse pulses shorter than a step, or without a pause."""
        super().check(dt_ms)
        if self.frequency_hz <= 0:
            raise _wrong(self, "frequency_hz", "a frequency above 0 Hz")
        width, period = self.pulse_width_ms, 1000 / self.frequency_hz
        _check_pulses(self, "pulse_width_ms", width, period, dt_ms)

    def current(self, step: Ints, dt_ms: float) -> Floats:
        """The amplitude in a pulse, else zero: (step,) float64, mV/ms."""
        period = 1000 / self.frequency_hz / dt_ms
        return self.amplitude * _pulses(step, self.pulse_width_ms / dt_ms, period)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sinusoid(Stimulus):
    """An alternating current, `amplitude sin(2 pi f t + phase)`.

    Attributes
    ----------
    amplitude : float, mV/ms
    frequency_hz : float
    phase : float, rad
        At the onset.
    """

    amplitude: float
    frequency_hz: float
    phase: float = 0.0

    def check(self, dt_ms: float) -> None:
        """Refuse frequencies that the steps cannot carry."""
        super().check(dt_ms)
        if not 0 < self.frequency_hz <= 500 / dt_ms:
            expected = f"more than 0 and at most {500 / dt_ms:g} Hz, which steps of {dt_ms:g} ms"
            raise _wrong(self, "frequency_hz", f"{expected} can carry")

    def current(self, step: Ints, dt_ms: float) -> Floats:
        """The sinusoid at the beginning of each step: (step,) float64, mV/ms."""
        turns = step * dt_ms * self.frequency_hz / 1000
        made: Floats = self.amplitude * np.sin(2 * np.pi * turns + self.phase)
        return made


@dataclass(frozen=True, kw_only=True, eq=False)
class Series(Stimulus):
    """Any time series; each of its values is held until the next.

    Attributes
    ----------
    values : (sample,) float
    sampling_ms : float
        Time from one value to the next, at least a step.
    amplitude : float, mV/ms
        Current of value one.
    duration_ms : float, optional
        By default that of the values.
    """

    values: ArrayLike
    sampling_ms: float
    amplitude: float = 1.0
    duration_ms: float = np.nan

    def __post_init__(self) -> None:
        """Take a copy of the values."""
        try:
            values = np.array(self.values, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError("Series: values are not an array of numbers") from error
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        if np.isnan(self.duration_ms):
            object.__setattr__(self, "duration_ms", values.size * self.sampling_ms)

    def check(self, dt_ms: float) -> None:
        """Refuse values that are not a finite series, or that end before the stimulus does."""
        values = np.asarray(self.values)
        if values.ndim != 1 or not values.size or not np.isfinite(values).all():
            raise InputError(
                f"Series: values have shape {values.shape}; expected finite numbers of (sample,)"
            )
        _finite(self, "sampling_ms", self.sampling_ms)
        if self.sampling_ms < dt_ms * (1 - 1e-9):
            raise _wrong(
                self, "sampling_ms", f"a step of {dt_ms:g} ms at least; average the values"
            )
        super().check(dt_ms)
        length = values.size * self.sampling_ms
        if self.duration_ms > length * (1 + 1e-9):
            raise _wrong(self, "duration_ms", f"at most the {length:g} ms of its values")

    def current(self, step: Ints, dt_ms: float) -> Floats:
        """The last value at the beginning of each step: (step,) float64, mV/ms."""
        values = np.asarray(self.values)
        # a sample that is due at a step is not missed by a rounding error
        sample = np.floor(step * (dt_ms / self.sampling_ms) * (1 + 1e-12)).astype(np.int64)
        held: Floats = values[np.minimum(sample, values.size - 1)]
        return self.amplitude * held


@dataclass(frozen=True, kw_only=True, eq=False)
class Background(Stimulus):
    """Another mean and deviation of the Ornstein-Uhlenbeck background, of the last one given.

    Attributes
    ----------
    mean, sigma : float, mV/ms
        `ou_mean` and `ou_sigma` meanwhile; their multipliers do not act on them.
    """

    drives: ClassVar[tuple[str, ...]] = ("ou_mean", "ou_sigma", "ou_tau")

    mean: float
    sigma: float

    def check(self, dt_ms: float) -> None:
        """Refuse a negative deviation."""
        super().check(dt_ms)
        check("ou_sigma", self.sigma, 1, "population")


KINDS = {kind.__name__: kind for kind in (Step, Pulse, DBS, Sinusoid, Series, Background)}
"""All stimuli by name."""


def written(stimulus: Stimulus) -> dict[str, Any]:
    """A stimulus as numbers, lists and words, for JSON."""
    plain = {name: np.asarray(value).tolist() for name, value in stimulus.given().items()}
    return {"stimulus": type(stimulus).__name__, **plain}


def read_stimulus(given: Mapping[str, Any]) -> Stimulus:
    """A stimulus from what `written` gave."""
    return KINDS[given["stimulus"]](**{k: v for k, v in given.items() if k != "stimulus"})


@dataclass(frozen=True)
class Bound:
    """A stimulus of one network, in steps.

    Attributes
    ----------
    stimulus : Stimulus
    reached : (population,) bool
    start, stop : int
        Steps of the session.
    """

    stimulus: Stimulus
    reached: NDArray[np.bool_]
    start: int
    stop: int


def bind(stimulus: Stimulus, network: Network, step: int, dt_ms: float) -> Bound:
    """A stimulus in steps of a session of a network, checked.

    Parameters
    ----------
    stimulus : Stimulus
    network : Network
    step : int
        Where the session is.
    dt_ms : float
    """
    if not isinstance(stimulus, Stimulus):
        raise InputError(f"{stimulus!r} is no stimulus; give a Step, Pulse, DBS, Sinusoid, ...")
    stimulus.check(dt_ms)
    reached = np.zeros(network.populations.size.size, bool)
    reached[choose_populations(network, stimulus.population)] = True
    start = round(stimulus.onset_ms / dt_ms)
    stop = round((stimulus.onset_ms + stimulus.duration_ms) / dt_ms)
    if stop <= start:
        raise _wrong(stimulus, "duration_ms", f"a step of {dt_ms:g} ms at least")
    if start < 0:
        raise _wrong(stimulus, "onset_ms", "a time of the session, which begins at 0 ms")
    if stop <= step:
        raise InputError(
            f"{type(stimulus).__name__} ends at {stop * dt_ms:g} ms, but the session is at "
            f"{step * dt_ms:g} ms already"
        )
    return Bound(stimulus, reached, start, stop)


def drive_of(bounds: list[Bound], first: int, n_steps: int, dt_ms: float) -> Drive | None:
    """What stimuli do in a window, or None where they do nothing.

    Populations that the same stimuli reach are a group: numbers are made group by group.

    Parameters
    ----------
    bounds : list of Bound
    first, n_steps : int
        Steps of the window.
    dt_ms : float
    """
    active = [b for b in bounds if b.start < first + n_steps and b.stop > first]
    if not active:
        return None
    reached = np.stack([b.reached for b in active])
    kinds, group = np.unique(reached, axis=1, return_inverse=True)
    shape = (n_steps, kinds.shape[1])
    current, mean, sigma = np.zeros(shape), np.full(shape, np.nan), np.full(shape, np.nan)
    for bound, groups in zip(active, kinds, strict=True):
        steps = np.arange(max(bound.start, first), min(bound.stop, first + n_steps))
        at, stimulus = np.ix_(steps - first, groups), bound.stimulus
        if isinstance(stimulus, Background):
            mean[at], sigma[at] = stimulus.mean, stimulus.sigma
        else:
            current[at] += stimulus.current(steps - bound.start, dt_ms)[:, None]
    return Drive(
        np.asarray(group).reshape(-1), current, mean, sigma, np.atleast_1d(kinds.any(axis=0))
    )


def _pulses(step: Ints, width: float, period: float) -> Floats:
    """One in a pulse, zero between; width and period in steps. Pulse k begins at rint(k period)."""
    last = np.floor((step + 1) / period)  # or one too many: a period has two steps at least
    last -= np.rint(last * period) > step
    made: Floats = (step - np.rint(last * period) < np.rint(width)).astype(np.float64)
    return made


def _check_pulses(stimulus: Stimulus, name: str, width: float, period: float, dt_ms: float) -> None:
    if width < dt_ms * (1 - 1e-9):
        raise _wrong(stimulus, name, f"a step of {dt_ms:g} ms at least; take a shorter dt_ms")
    if period < np.rint(width / dt_ms) * dt_ms + dt_ms:
        told = f"a step less than the {period:g} ms from one pulse to the next"
        raise _wrong(stimulus, name, told)


def _finite(stimulus: Stimulus, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise _wrong(stimulus, name, "a number")
    if not np.isfinite(value):
        raise _wrong(stimulus, name, "a finite number")


def _wrong(stimulus: Stimulus, name: str, expected: str) -> InputError:
    value = getattr(stimulus, name)
    return InputError(f"{type(stimulus).__name__}: {name} is {value!r}; expected {expected}")
