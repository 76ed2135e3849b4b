"""Conductances for a target rate: the heuristic with which DTB found its tables.

    raise(f) = C (V_th - V_reset) / (1 / f - T_ref)            rise of V in the time that is left
    leak     = g_L ((V_th + V_reset) / 2 - V_L) - I_0          what must be made up half-way
    excitation = raise(f_max) + leak,   inhibition = raise(f_max) - raise(f)

Excitation alone would drive a neuron at f_max; less the inhibition, at f. The shares of AMPA and
NMDA in the one, of GABA_A and GABA_B in the other, are the *labels* of the four receptors. Neurons
are simulated, the mean abs(I_u) of each receptor is measured, and g_u <- g_u * label / measured.

All terms are currents, mV/ms with C a pure number. DTB's code has no C in it (its C is 1), and
takes T_ref in ms from a period in steps, 1000 / dt / f, which is right for dt = 1 ms: here both are
in ms. I_0, the constant current and the mean of the background current, is zero in DTB's.

*Isolated* means that a neuron's spikes reach nobody: in DTB's isolated mode only noise spikes are
transmitted. So as many *drivers* as neurons, which never fire by themselves, send noise spikes at
the rate at which the sources of the network in use send them: f, and the set's own noise on top.
With the neurons' own spikes transmitted the update does not settle: a larger g raises the rate
as well, currents over-react, and it jumps between silence and the fastest firing there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtbdask import progress
from dtbdask.errors import InputError, whole_number
from dtbdask.graph.parameter_sets import ParameterSet, parameter_set
from dtbdask.graph.parameters import Parameters
from dtbdask.kernels import RECEPTORS
from dtbdask.sim.homogeneous import Homogeneous, Trial

Floats = NDArray[np.float64]

CLOSE = 1e-3
"""Largest relative distance of a measured current from its label that counts as none."""

SHARES = (0.7, 0.3, 0.7, 0.3)
"""Shares of AMPA and NMDA in the excitation, of GABA_A and GABA_B in the inhibition."""

EXCITATORY_SHARE = 6 / 7
"""Share of in-edges from excitatory neurons in the layout `voxel`: 4/7 local, 2/7 from outside."""


@dataclass(frozen=True)
class Calibration:
    """Conductances found, and how.

    Attributes
    ----------
    label : (receptor,) float64, mV/ms
        The currents that were sought.
    trials : tuple of Trial
        Of the isolated neurons, one an iteration; the last has the conductances found.
    network : Trial
        With the same conductances, of neurons that hear each other and the set's noise: what they
        do in use.
    converged : bool
        Whether the last trial's currents are within `CLOSE` of their labels.
    """

    label: Floats
    trials: tuple[Trial, ...]
    network: Trial
    converged: bool

    @property
    def conductances(self) -> dict[str, float]:
        """Conductances found, 1/ms, by the names of the parameters."""
        return {
            f"g_{name}": float(g)
            for name, g in zip(RECEPTORS, self.trials[-1].conductance, strict=True)
        }

    @property
    def current(self) -> Floats:
        """Currents measured with them in isolation: (receptor,) float64, mV/ms."""
        return self.trials[-1].current

    @property
    def rate_hz(self) -> float:
        """Rate of the isolated neurons."""
        return self.trials[-1].rate_hz


def calibrate(
    parameters: ParameterSet | str | Mapping[str, float], *, target_hz: float = 20.0,
    max_hz: float = 100.0, neurons: int = 2000, degree: int = 100, steps: int = 4000,
    average: int = 1000, iterations: int = 20, seed: int = 0, dt_ms: float | None = None,
    excitatory_share: float = EXCITATORY_SHARE, shares: Sequence[float] = SHARES,
) -> Calibration:  # fmt: skip
    """Find conductances with which receptors carry the currents of a target rate.

    The currents come out as sought, within 0.1 % after some ten trials. **The rate does not.** With
    the constants of the set `voxel` and a target of 20 Hz, isolated neurons fire at 13.5 to 13.7 Hz
    (four seeds): `raise` takes currents to be constant, but they fall as V rises, and the mean
    conductances found would hold V at -58 mV. What fires is fluctuations, of which the heuristic
    knows nothing. Neurons that hear each other are at 8 to 19 Hz, by the seed: near such
    conductances small differences of the wiring go a long way. Take the result as a start for a
    fit, and read `Calibration.network`. (`docs/calibration.md` has the figures.)

    Parameters
    ----------
    parameters : ParameterSet, str or mapping of str to float
        All constants, and conductances to begin with: a set that is the same for all slots, its
        name, or values that replace the defaults of `dtbdask.graph.parameters.PARAMETERS`. A
        receptor whose conductance is zero stays off, and its share goes to its partner.
    target_hz, max_hz : float
        Rates f and f_max.
    neurons : int
        Neurons simulated; 80 % are excitatory. There are as many drivers.
    degree : int
        In-degree.
    steps, average : int
        Steps of a trial, and how many at its end are averaged.
    iterations : int
        Trials of isolated neurons at most.
    seed : int
        Of wiring and noise.
    dt_ms : float, optional
        Exchange step; by default that of the set, else 1 ms.
    excitatory_share : float
        Share of in-edges that come from excitatory neurons; by default that of the voxel layout,
        6/7. Where sources are drawn alike from all neurons it is 0.8.
    shares : sequence of four float
        Shares of AMPA and NMDA in the excitation, of GABA_A and GABA_B in the inhibition.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        A value is wrong, or the target is beyond what the constants allow.
    """
    values, dt = _constants(parameters, dt_ms)
    steps = whole_number("steps", steps, 1)
    block = Homogeneous(
        values, whole_number("neurons", neurons, 10, 2**24),
        whole_number("degree", degree, 1, 2**16 - 1), excitatory_share, steps,
        whole_number("average", average, 1, steps), dt, whole_number("seed", seed, 0, 2**64 - 1),
    )  # fmt: skip
    iterations = whole_number("iterations", iterations, 1)
    label = label_currents(values, target_hz, max_hz, shares)
    drive = _drive(values["noise_rate"], target_hz, dt)
    conductance = np.array([values[f"g_{name}"] for name in RECEPTORS])
    trials: list[Trial] = []
    converged = False
    with progress.track("Calibrating", iterations + 1, "trials") as done:
        while not converged and len(trials) < iterations:
            if trials:
                conductance = _corrected(trials[-1], label)
            trials.append(block.isolated(conductance, drive))
            converged = bool((np.abs(trials[-1].current - label) <= CLOSE * label).all())
            done(1)
        network = block.connected(conductance)
        done(iterations + 1 - len(trials))
    return Calibration(label, tuple(trials), network, converged)


def label_currents(
    values: Mapping[str, float], target_hz: float, max_hz: float, shares: Sequence[float] = SHARES
) -> Floats:
    """The currents that receptors are to carry.

    Parameters
    ----------
    values : mapping of str to float
        All parameters, by name. A receptor whose conductance is zero has no current.
    target_hz, max_hz : float
        Rates f and f_max.
    shares : sequence of four float
        As in `calibrate`.

    Returns
    -------
    (receptor,) float64, mV/ms
        Magnitudes.

    Raises
    ------
    InputError
        Rates that the refractory period or the constant currents forbid, a receptor that acts
        the wrong way, or shares that do not add up.
    """
    _check_rates(values["t_ref"], target_hz, max_hz)
    v_th, v_reset = values["v_th"], values["v_reset"]
    half_way = (v_th + v_reset) / 2
    slow, fast = (
        values["c"] * (v_th - v_reset) / (1000 / rate - values["t_ref"])
        for rate in (target_hz, max_hz)
    )
    constant = values["i_ext"] + values["ou_mean"]
    excitation = fast + values["g_l"] * (half_way - values["v_l"]) - constant
    if excitation <= 0:
        raise InputError(
            f"i_ext + ou_mean is {constant:g} mV/ms, which alone drives neurons at max_hz, "
            f"{max_hz:g} Hz; use less than {excitation + constant:g} mV/ms"
        )
    return np.repeat([excitation, fast - slow], 2) * _shares_of(values, half_way, shares)


def _check_rates(t_ref: float, target_hz: float, max_hz: float) -> None:
    for name, rate in (("target_hz", target_hz), ("max_hz", max_hz)):
        if not (np.isfinite(rate) and rate > 0):
            raise InputError(f"{name} is {rate}; expected a finite rate above 0 Hz")
        if 1000 / rate <= t_ref:
            raise InputError(
                f"{name} is {rate:g} Hz, a spike each {1000 / rate:g} ms, no longer than t_ref, "
                f"{t_ref:g} ms; use less than {1000 / t_ref:g} Hz"
            )
    if max_hz <= target_hz:
        raise InputError(f"max_hz is {max_hz:g}; expected more than target_hz, {target_hz:g} Hz")


def _shares_of(values: Mapping[str, float], half_way: float, shares: Sequence[float]) -> Floats:
    """Shares of the receptors that are on, which must drive V the right way."""
    wanted = np.asarray(shares, dtype=np.float64)
    if wanted.shape != (4,) or not ((wanted >= 0) & np.isfinite(wanted)).all():
        raise InputError(f"shares is {shares}; expected four finite numbers of 0 or more")
    if not np.allclose(wanted.reshape(2, 2).sum(axis=1), 1):
        raise InputError(f"shares is {shares}; the first two and the last two must each sum to 1")
    on = np.array([values[f"g_{name}"] > 0 for name in RECEPTORS])
    pairs = (wanted * on).reshape(2, 2)
    for pair, names in zip(pairs, (RECEPTORS[:2], RECEPTORS[2:]), strict=True):
        if not pair.any():
            raise InputError(
                f"g_{names[0]} and g_{names[1]} are zero, or have no share; one must be above zero"
            )
    for u in np.flatnonzero(wanted * on):
        name, reversal = RECEPTORS[u], values[f"e_{RECEPTORS[u]}"]
        if (reversal > half_way) != (u < 2):
            raise InputError(
                f"e_{name} is {reversal:g} mV; expected {'more' if u < 2 else 'less'} than "
                f"{half_way:g} mV, half-way between v_reset and v_th"
            )
    made: Floats = (pairs / pairs.sum(axis=1, keepdims=True)).ravel()
    return made


def _constants(
    parameters: ParameterSet | str | Mapping[str, float], dt_ms: float | None
) -> tuple[dict[str, float], float]:
    """All parameters as numbers, and the exchange step."""
    chosen = parameter_set(parameters) if isinstance(parameters, str) else parameters
    dt = 1.0 if dt_ms is None else dt_ms
    given: Mapping[str, float]
    if isinstance(chosen, ParameterSet):
        if chosen.slots:
            raise InputError(
                f"parameter set {chosen.name!r} differs between slots; a homogeneous block takes "
                "one of them: give the values of `ParameterSet.of(slot)`"
            )
        if dt_ms not in (None, chosen.dt_ms):
            raise InputError(
                f"dt_ms is {dt_ms}; the noise_rate of {chosen.name!r} is for {chosen.dt_ms} ms: "
                "for other steps give the values of `ParameterSet.of()`, with a noise_rate for them"
            )
        given, dt = chosen.values, chosen.dt_ms
    else:
        given = chosen
    if not 0 < dt <= 10:
        raise InputError(f"dt_ms is {dt}; expected more than 0 and at most 10 ms")
    made = Parameters.make(1, given)
    return {name: float(made.population[name][0]) for name in made}, float(dt)


def _drive(noise_rate: float, target_hz: float, dt_ms: float) -> float:
    """Probability that a source, firing at the target, spikes in a step or has a noise spike."""
    own = target_hz * dt_ms / 1000
    if own > 1:
        raise InputError(
            f"target_hz is {target_hz:g}, more than one spike in a step of {dt_ms:g} ms; "
            f"use at most {1000 / dt_ms:g} Hz or a shorter dt_ms"
        )
    return 1 - (1 - own) * (1 - noise_rate)


def _corrected(trial: Trial, label: Floats) -> Floats:
    """Conductances of the next trial, g label / measured."""
    sought = label > 0
    measured = trial.current[sought]
    if not (np.isfinite(measured) & (measured > 0)).all():
        raise InputError(
            f"the currents measured are {trial.current} mV/ms; expected finite ones above 0: "
            "average over more steps, or take a shorter dt_ms"
        )
    conductance = np.zeros_like(label)
    conductance[sought] = trial.conductance[sought] * label[sought] / measured
    return conductance
