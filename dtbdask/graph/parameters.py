"""The parameters of the model: names, units, defaults and bounds of sense.

A parameter has a value for each population and may be overridden by a value for each neuron. The
defaults are the constants of DTB's regional example, with the background current of its demo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.errors import InputError
from dtbdask.kernels import RECEPTORS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parameter:
    """What one parameter is."""

    name: str
    unit: str
    default: float
    meaning: str
    low: float = -np.inf
    """Smallest value that makes sense."""
    high: float = np.inf
    whole: bool = False
    """Whether only whole numbers make sense."""


def _receptor(
    kind: str, unit: str, defaults: tuple[float, ...], meaning: str, low: float
) -> list[Parameter]:
    return [
        Parameter(f"{kind}_{receptor}", unit, default, f"{meaning} of the {receptor} receptor", low)
        for receptor, default in zip(RECEPTORS, defaults, strict=True)
    ]


_TINY = 1e-9

_CURRENTS = (
    Parameter("g_t", "1/ms", 0.0, "conductance of the T-type calcium current", 0.0),
    Parameter("e_t", "mV", 120.0, "reversal potential of the T-type calcium current"),
    Parameter("v_h", "mV", -70.0, "potential from which the T-type calcium current flows"),
    Parameter("tau_h_minus", "ms", 20.0, "inactivation time of the T-type calcium current", _TINY),
    Parameter("tau_h_plus", "ms", 100.0, "recovery time of the T-type calcium current", _TINY),
    Parameter("h_init", "1", 0.5, "recovery of the T-type calcium current at the start", 0.0, 1.0),
    Parameter("g_da", "1/ms", 0.0, "conductance of the dopamine current", 0.0),
    Parameter("e_da", "mV", 0.0, "reversal potential of the dopamine current"),
    Parameter("g_ahp", "1/ms", 0.0, "conductance of the adaptation current at [Ca] = 1", 0.0),
    Parameter("e_k", "mV", -80.0, "reversal potential of the adaptation current"),
    Parameter("tau_ca", "ms", 50.0, "decay time of [Ca]", _TINY),
    Parameter("alpha_ca", "1", 0.2, "what a spike of its own adds to [Ca]", 0.0),
    Parameter("ca_init", "1", 0.0, "[Ca] at the start", 0.0),
)

PARAMETERS: Mapping[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        Parameter("c", "1", 0.5, "membrane capacitance", _TINY),
        Parameter("t_ref", "ms", 2.0, "refractory period", 0.0),
        Parameter("g_l", "1/ms", 0.025, "leak conductance", 0.0),
        Parameter("v_l", "mV", -70.0, "leak reversal potential"),
        Parameter("v_th", "mV", -50.0, "threshold"),
        Parameter("v_reset", "mV", -55.0, "reset potential"),
        Parameter("i_ext", "mV/ms", 0.0, "constant external current"),
        Parameter(
            "excluded", "1", 0.0, "left out of the statistics (1) or not (0)", 0.0, 1.0, whole=True
        ),
        Parameter("noise_rate", "1/step", 0.0, "probability of a noise spike in a step", 0.0, 1.0),
        Parameter("ou_mean", "mV/ms", 0.5, "mean of the Ornstein-Uhlenbeck background current"),
        Parameter("ou_sigma", "mV/ms", 0.15, "stationary deviation of the background current", 0.0),
        Parameter("ou_tau", "ms", 4.0, "correlation time of the background current", _TINY),
        *_receptor("g", "1/ms", (0.002, 0.0, 0.01, 0.0), "conductance", 0.0),
        *_receptor("e", "mV", (0.0, 0.0, -70.0, -100.0), "reversal potential", -np.inf),
        *_receptor("tau", "ms", (2.0, 40.0, 20.0, 50.0), "decay time", _TINY),
        *_CURRENTS,
    )
}
"""All parameters by name; new ones come last, for gamma factors are drawn by their place."""

AUXILIARY = tuple(parameter.name for parameter in _CURRENTS)
"""Parameters of the auxiliary currents: a store holds those that depart from their defaults."""


@dataclass(frozen=True)
class Parameters:
    """Values of all parameters.

    Attributes
    ----------
    population : dict of (population,) float64
        A value of each parameter for each population.
    neuron : dict of (neuron,) float64
        Values that replace those of the population, neuron by neuron.
    """

    population: Mapping[str, Floats]
    neuron: Mapping[str, Floats] = field(default_factory=dict)

    @classmethod
    def make(cls, n_populations: int, values: Mapping[str, ArrayLike] | None = None) -> Parameters:
        """Defaults, with some values replaced.

        Parameters
        ----------
        n_populations : int
            Number of populations.
        values : mapping of str to float or (population,) float
            Replacements by name.

        Raises
        ------
        InputError
            An unknown name, a wrong length, a value that is not finite or beyond its bounds, or a
            reset potential that is not below the threshold.
        """
        values = dict(values or {})
        for name in values:
            known(name)
        full = {
            name: check(name, values.get(name, parameter.default), n_populations, "population")
            for name, parameter in PARAMETERS.items()
        }
        bad = np.flatnonzero(full["v_reset"] >= full["v_th"])
        if bad.size:
            raise InputError(_not_below(full, "population", int(bad[0])))
        return cls(full)

    def with_neuron(
        self,
        values: Mapping[str, ArrayLike],
        n_neurons: int,
        population: NDArray[np.int64] | None = None,
    ) -> Parameters:
        """The same with per-neuron values of some parameters.

        Parameters
        ----------
        values : mapping of str to (neuron,) float
        n_neurons : int
        population : (neuron,) int64, optional
            Population of each neuron, whose own reset potential and threshold are then compared;
            else the lowest and the highest of all.
        """
        for name in values:
            known(name)
        neuron = {name: check(name, value, n_neurons, "neuron") for name, value in values.items()}
        made = Parameters(self.population, {**self.neuron, **neuron})
        of_all = {"v_reset": (np.min, np.max), "v_th": (np.max, np.min)}
        reset, threshold = (
            made.neuron[name]
            if name in made.neuron
            else np.full(n_neurons, extreme(made.population[name]))
            if population is None
            else worst(np.atleast_2d(made.population[name]), axis=0)[population]
            for name, (extreme, worst) in of_all.items()
        )
        bad = np.flatnonzero(reset >= threshold)
        if bad.size:
            both = {"v_reset": reset, "v_th": threshold}
            raise InputError(_not_below(both, "neuron", int(bad[0])))
        return made

    def on(self, name: str) -> bool:
        """Whether a parameter differs from zero somewhere."""
        return bool(np.any(self.neuron.get(name, self.population[name])))

    def told(self) -> dict[str, Floats]:
        """Values of populations, but those of auxiliary currents that are at their defaults."""
        return {
            name: values
            for name, values in self.population.items()
            if name not in AUXILIARY or (values != PARAMETERS[name].default).any()
        }

    def __iter__(self) -> Iterator[str]:
        """Names, in the order of `PARAMETERS`."""
        return iter(PARAMETERS)


def _not_below(values: Mapping[str, Floats], dimension: str, index: int) -> str:
    reset, threshold = (values[name][index] for name in ("v_reset", "v_th"))
    return f"v_reset of {dimension} {index} is {reset:g} mV, not below its v_th of {threshold:g} mV"


def known(name: str) -> Parameter:
    """The parameter of this name, or an error that lists those there are."""
    if name not in PARAMETERS:
        raise InputError(f"unknown parameter {name!r}; known are {', '.join(PARAMETERS)}")
    return PARAMETERS[name]


def beyond(name: str, values: Floats) -> NDArray[np.bool_]:
    """Where values of a parameter are none that it may have."""
    spec = PARAMETERS[name]
    wrong: NDArray[np.bool_] = ~np.isfinite(values) | (values < spec.low) | (values > spec.high)
    if spec.whole:
        wrong |= values != np.floor(values)
    return wrong


def check(name: str, value: ArrayLike, length: int, dimension: str) -> Floats:
    """Values of one parameter as an array of the right length, or an error.

    Parameters
    ----------
    name : str
        Parameter.
    value : float or (length,) float
        Values.
    length : int
    dimension : str
        What the length counts, for the message.

    Returns
    -------
    (length,) float64
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {value!r} is not a number or an array of numbers") from error
    if array.ndim > 1 or (array.ndim == 1 and array.size != length):
        raise InputError(
            f"{name} has shape {array.shape}; expected one value or ({length},) {dimension}"
        )
    array = np.array(np.broadcast_to(array, (length,)))
    spec, bad = PARAMETERS[name], np.flatnonzero(beyond(name, array))
    if bad.size:
        where = f" of {dimension} {bad[0]}" if np.ndim(value) else ""
        raise InputError(
            f"{name}{where} is {array[bad[0]]:g} {spec.unit}; expected a "
            f"{'whole' if spec.whole else 'finite'} value from {spec.low:g} to {spec.high:g}"
        )
    return array
