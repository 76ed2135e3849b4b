"""Parameter sets that DTB published, by name: which numbers belong together, and from where.

Conductances are calibrated for an in-degree of 100, for certain time constants and membranes, and
for a certain rate of noise spikes, so a set carries all of these. What DTB's code leaves open about
a set is told in its notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.graph.parameters import check, known
from dtbdask.kernels import RECEPTORS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ParameterSet:
    """Values that belong together.

    Attributes
    ----------
    name : str
    source : str
        Where the values are from.
    values : mapping of str to float
        Values by the names and in the units of `dtbdask.graph.parameters.PARAMETERS`.
    dt_ms : float
        Exchange step for which `noise_rate`, a probability for each step, is meant.
    notes : str
        What the source leaves open, and how it is filled here.
    slots : mapping of str to mapping of str to float
        Values that differ between the slots of a layout, by slot; every slot has the same names.

    Raises
    ------
    InputError
        An unknown parameter, a value beyond its bounds, slots that name different parameters, or a
        parameter that has a value for the set and for slots.
    """

    name: str
    source: str
    values: Mapping[str, float]
    dt_ms: float = 1.0
    notes: str = ""
    slots: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for values in (self.values, *self.slots.values()):
            for name, value in values.items():
                known(name)
                check(name, value, 1, "population")
        if len({frozenset(values) for values in self.slots.values()}) > 1:
            raise InputError(f"set {self.name!r}: its slots have values of different parameters")
        if twice := sorted(set(self.values) & set(self.varied)):
            raise InputError(f"set {self.name!r}: {twice} have values for the set and for slots")

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the parameters that differ between slots."""
        return tuple(next(iter(self.slots.values()), ()))

    def of(self, slot: str | None = None) -> dict[str, float]:
        """All values of a population.

        Parameters
        ----------
        slot : str, optional
            Its slot; needed if the set differs between slots, else of no account.

        Returns
        -------
        dict of str to float
        """
        if not self.slots:
            return dict(self.values)
        if slot is None or slot not in self.slots:
            raise InputError(
                f"parameter set {self.name!r} has no slot {slot!r}; it has {', '.join(self.slots)}"
            )
        return {**self.values, **self.slots[slot]}


def parameter_set(name: str) -> ParameterSet:
    """The set of this name, or an error that lists those there are."""
    if name not in PARAMETER_SETS:
        raise InputError(f"unknown parameter set {name!r}; known are {', '.join(PARAMETER_SETS)}")
    return PARAMETER_SETS[name]


def spread(chosen: ParameterSet | str, slots: Sequence[str]) -> dict[str, float | Floats]:
    """Values of a set for populations, as `build` takes them.

    Parameters
    ----------
    chosen : ParameterSet or str
        A set, or its name in `PARAMETER_SETS`.
    slots : sequence of str
        Name of the slot of each population.

    Returns
    -------
    dict of str to float or (population,) float64
        One value where all slots share it.

    Raises
    ------
    InputError
        An unknown set, or a slot that a set with values by slot does not have.
    """
    made = parameter_set(chosen) if isinstance(chosen, str) else chosen
    rows = [made.of(slot) for slot in slots]
    varied = {name: np.array([row[name] for row in rows]) for name in made.varied}
    return {**made.values, **varied}


def _of_receptors(kind: str, values: Iterable[float]) -> dict[str, float]:
    """Parameters `<kind>_ampa` to `<kind>_gaba_b`."""
    return {f"{kind}_{name}": value for name, value in zip(RECEPTORS, values, strict=True)}


_REVERSAL = _of_receptors("e", (0.0, 0.0, -70.0, -100.0))
_DECAY = _of_receptors("tau", (2.0, 40.0, 10.0, 50.0))
_SLOW_AMPA = _of_receptors("tau", (8.0, 40.0, 10.0, 50.0))
_NO_BACKGROUND = {"i_ext": 0.0, "ou_mean": 0.0, "ou_sigma": 0.0, "ou_tau": 4.0}

_COLUMN = {
    "c": 1.0, "t_ref": 5.0, "g_l": 0.03, "v_l": -75.0, "v_th": -50.0, "v_reset": -65.0,
    "noise_rate": 0.01, **_NO_BACKGROUND, **_REVERSAL, **_DECAY,
}  # fmt: skip
"""Defaults of the property columns of DTB's open generator, but for the conductances."""

_OLD = "DTB's earlier code, calibrated for in-degree 100"
_FILLED = (
    "Only the conductances are given; membrane, reversal potentials{} are the defaults of the "
    "open generator. "
)
_G_L = "g_l is 0.03 there and 0.001 in the earlier code's defaults; which one was used is open."
_ONE = (
    "DTB's critical networks have all weights 1; weights uniform on 0 to 1 need conductances twice "
    "as large for the same mean currents. "
)

_VOXEL = _of_receptors("g", (0.00743193, 0.00086915, 0.07027743, 0.00253291))

_LAYERS = {
    "L2/3E": (0.00994619, 0.00093751, 0.1019024, 0.00458985),
    "L2/3I": (0.02032153, 0.00196363, 0.18183651, 0.00727698),
    "L4E": (0.01114249, 0.00106148, 0.09852575, 0.00431849),
    "L4I": (0.01995941, 0.00189199, 0.15924831, 0.00651926),
    "L5E": (0.00954055, 0.00091055, 0.10209763, 0.00444712),
    "L5I": (0.0243468, 0.00234132, 0.21505809, 0.00796669),
    "L6E": (0.01004085, 0.00095797, 0.06918744, 0.00324963),
    "L6I": (0.02127322, 0.00202573, 0.14674303, 0.00587307),
}
"""Conductances of AMPA, NMDA, GABA_A, GABA_B in the micro-column, 1/ms."""

_SLOTS = {
    slot: _of_receptors("g", g)
    for slot, g in {"L1E": _LAYERS["L2/3E"], "L1I": _LAYERS["L2/3I"], **_LAYERS}.items()
}
"""Layer 1 has no neurons; DTB gives it the values of layer 2/3."""

PARAMETER_SETS: Mapping[str, ParameterSet] = {
    made.name: made
    for made in (
        ParameterSet(
            "regional",
            source="DTB's regional example; background current of its demonstration",
            values={
                "c": 0.5, "t_ref": 2.0, "g_l": 0.025, "v_l": -70.0, "v_th": -50.0,
                "v_reset": -55.0, "i_ext": 0.0, "noise_rate": 0.0, "ou_mean": 0.4,
                "ou_sigma": 0.15, "ou_tau": 4.0, **_of_receptors("g", (0.002, 0.0, 0.01, 0.0)),
                **_REVERSAL, **_of_receptors("tau", (2.0, 40.0, 20.0, 50.0)),
            },
            notes="The example leaves reversal potentials at the generator's defaults, and does "
            "not tell the noise; DTB sends no noise spikes while the background current is on.",
        ),
        ParameterSet(
            "voxel",
            source=f"{_OLD}: layout of two populations a voxel",
            values={**_COLUMN, **_VOXEL},
            notes=_FILLED.format(", time constants and noise") + _G_L,
        ),
        ParameterSet(
            "voxel-early",
            source=f"{_OLD}: an earlier set for two populations a voxel",
            values={**_COLUMN, **_of_receptors("g", (6.1645e-3, 8.9987e-4, 2.9691e-2, 1.9054e-3))},
            notes="Noise 0.01 for each ms at steps of 1 ms is given. "
            + _FILLED.format(" and time constants") + _G_L,
        ),
        ParameterSet(
            "column",
            source=f"{_OLD}: layout of ten populations a voxel, by layer",
            values=_COLUMN,
            notes=_FILLED.format(", time constants and noise") + _G_L,
            slots=_SLOTS,
        ),
        ParameterSet(
            "mixed",
            source="`column` for the slots of a column, `voxel` for slots E and I",
            values=_COLUMN,
            notes="The two tables are DTB's; that they are used side by side in its mixed layout "
            "is assumed.",
            slots={**_SLOTS, "E": _VOXEL, "I": _VOXEL},
        ),
        ParameterSet(
            "critical",
            source=f'{_OLD}: its "critical" set',
            values={
                **_COLUMN, **_SLOW_AMPA, "noise_rate": 0.003,
                **_of_receptors("g", (0.01837975, 0.00072405, 0.10759494, 0.02180028)),
            },
            dt_ms=0.1,
            notes="Noise 0.003 for each 0.1 ms and tau_ampa are given. " + _ONE
            + _FILLED.format(" and the other time constants") + _G_L,
        ),
        ParameterSet(
            "critical-small",
            source="DTB's earlier code: a critical network of 1,600 excitatory and 400 inhibitory "
            "neurons, in-degree 100, with sources drawn alike from all of them",
            values={
                **_COLUMN, **_SLOW_AMPA, "noise_rate": 3e-4,
                **_of_receptors("g", (2.1304e-2, 1.3924e-4, 0.158228, 1.89873e-2)),
            },
            dt_ms=0.1,
            notes="Noise 0.0003 for each 0.1 ms and all time constants are given. Its authors "
            "report 0.01506 spikes per neuron and ms, a coefficient of variation of the rate of "
            "1.669 and a pair correlation of 0.357. " + _ONE + _FILLED.format("") + _G_L,
        ),
        ParameterSet(
            "defaults",
            source="Defaults of the property columns of DTB's open generator",
            values={**_COLUMN, **_of_receptors("g", (5 / 275, 5 / 4000, 3 / 30, 3 / 730))},
            notes="Not calibrated. That noise is meant for steps of 1 ms is assumed.",
        ),
        ParameterSet(
            "defaults-old",
            source="Defaults of the property columns of DTB's earlier generator",
            values={
                **_COLUMN, "g_l": 0.001,
                **_of_receptors("g", (5 / 275, 5 / 4000, 3 / 30, 3 / 730)),
            },
            notes="Not calibrated. Only g_l is known to differ from `defaults`.",
        ),
    )
}  # fmt: skip
"""All sets by name."""
