"""Our neuron in the words of NEST, and NEST's in ours.

NEST's nearest model is `iaf_cond_exp`: a leaky integrate-and-fire neuron whose synapses are
conductances that decay exponentially. Our conductances and currents are per unit of capacitance,
which stands for 1 nF, so that the same equations hold in NEST's units:

    C_m = 1000 c pF            g_L = 1000 g_l nS         I_e = 1000 (i_ext + ou_mean) pA
    syn_weight = 1000 g w nS, negative from an inhibitory source: NEST adds a positive weight to the
                 conductance of `E_ex` and `tau_syn_ex`, a negative one to that of `E_in`

with w the fast weight of a synapse, and g the target's `g_ampa` or `g_gaba_a`. Back again, a weight
in nS stays as it is and both conductances are 0.001. `DIFFERENCES` says what NEST's model lacks.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dtbdask.brain.guard import listed
from dtbdask.errors import InputFileError
from dtbdask.graph.parameters import PARAMETERS

logger = logging.getLogger(__name__)

NANO = 1000.0
"""pF of our unit of capacitance, nS of our unit of conductance, pA of our unit of current."""

DELAY_MS = 1.0
"""Default step of a session: a spike arrives at the end of the step it was fired in."""

NEST_MODEL = "nest:iaf_cond_exp"

DIFFERENCES = """\
The neurons are written for NEST's iaf_cond_exp, the nearest of its models. A run in NEST is not the
run of dtbdask:
- iaf_cond_exp has one excitatory and one inhibitory conductance: AMPA and GABA_A are written as
  syn_weight; NMDA and GABA_B (dtbdask_weight_slow) have no counterpart;
- the background current is there with its mean (in I_e), without its fluctuations, and noise spikes
  (noise_rate) are absent: connect noise_generator or poisson_generator for them;
- dtbdask integrates by forward Euler with a step of 1 ms or a part of it, NEST adaptively;
- the delay of 1 ms is the default step of dtbdask; NEST's reader knows no values of single neurons.
dtbdask itself reads what it wrote exactly: integer weights and all parameters are in the columns,
datasets and files whose names begin with dtbdask.
"""


@dataclass(frozen=True)
class Name:
    """A parameter of NEST's."""

    ours: str
    factor: float
    """Of our value."""
    default: float
    """In NEST's unit."""


NAMES: Mapping[str, Name] = {
    "C_m": Name("c", NANO, 250.0),
    "g_L": Name("g_l", NANO, 16.6667),
    "E_L": Name("v_l", 1.0, -70.0),
    "V_th": Name("v_th", 1.0, -55.0),
    "V_reset": Name("v_reset", 1.0, -60.0),
    "t_ref": Name("t_ref", 1.0, 2.0),
    "I_e": Name("i_ext", NANO, 0.0),
    "E_ex": Name("e_ampa", 1.0, 0.0),
    "E_in": Name("e_gaba_a", 1.0, -85.0),
    "tau_syn_ex": Name("tau_ampa", 1.0, 0.2),
    "tau_syn_in": Name("tau_gaba_a", 1.0, 2.0),
}
"""Parameters of `iaf_cond_exp` and `iaf_cond_alpha` by NEST's name, with NEST's defaults."""

NEEDS: Mapping[str, tuple[str, ...]] = {
    **{key: (name.ours,) for key, name in NAMES.items()},
    "I_e": ("i_ext", "ou_mean"),
}
"""Parameters of ours that make each one of NEST's."""

STATE = frozenset({"V_m", "g_ex", "g_in", "dg_ex", "dg_in"})
"""Initial values that a NEST file may hold; a run of ours begins in its own way."""

MODELS: Mapping[str, float] = {"iaf_cond_exp": 1.0, "iaf_cond_alpha": math.e}
"""NEST's models that can be read, and the area of their conductance over weight x time constant."""

SILENT: Mapping[str, float] = {
    "ou_mean": 0.0, "ou_sigma": 0.0, "i_ext": 0.0, "noise_rate": 0.0,
    "g_ampa": 0.0, "g_nmda": 0.0, "g_gaba_a": 0.0, "g_gaba_b": 0.0,
}  # fmt: skip
"""What a neuron of NEST's or a virtual one does without."""


def to_nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of `iaf_cond_exp` that stand for a neuron of ours, or for several.

    Parameters
    ----------
    values : mapping of str to float or (neuron,) float
        By the names of `dtbdask.graph.parameters.PARAMETERS`.

    Returns
    -------
    dict of str to float or (neuron,) float
        By NEST's names, in NEST's units.
    """
    current = {"i_ext": values["i_ext"] + values["ou_mean"]}
    return {key: name.factor * {**values, **current}[name.ours] for key, name in NAMES.items()}


@dataclass(frozen=True)
class Model:
    """How the parameters of one `model_template` are read.

    Attributes
    ----------
    nest : str
        Name of NEST's model; empty for parameters by our own names.
    """

    nest: str

    @classmethod
    def of(cls, template: str | None, where: str) -> Model:
        """Model of a template, or an `InputFileError` that begins with `where`."""
        if template is None:
            return cls("")
        name = template.removeprefix("nest:")
        if name not in MODELS:
            known = ", ".join(f"nest:{model}" for model in MODELS)
            raise InputFileError(
                f"{where}: model_template {template!r} cannot be represented, for our neuron is a "
                f"leaky integrate-and-fire one with conductances; read are {known}, and no "
                "template (NULL) with parameters by our names"
            )
        if name == "iaf_cond_alpha":
            logger.warning(
                "%s: the alpha-shaped conductances of %s become exponential ones of the same time "
                "constant and area", where, name,
            )  # fmt: skip
        return cls(name)

    def values(self, given: Mapping[str, float], where: str) -> dict[str, float]:
        """Parameters of ours that stand for those given; what is absent has its model's default."""
        if not self.nest:
            return {self.translate(key, where)[0]: value for key, value in given.items()}
        given = {key: value for key, value in given.items() if key not in STATE}
        area = MODELS[self.nest] / NANO
        full = {name.ours: name.default / name.factor for name in NAMES.values()}
        told = {self.translate(key, where): value for key, value in given.items()}
        changed = {ours: value / factor for (ours, factor), value in told.items()}
        return {**SILENT, "g_ampa": area, "g_gaba_a": area, **full, **changed}

    def translate(self, key: str, where: str) -> tuple[str, float]:
        """Our name of a parameter and the factor of our value."""
        known = NAMES if self.nest else PARAMETERS
        if key not in known:
            raise InputFileError(
                f"{where}: unknown parameter {key[:80]!r} of {self.nest or 'our neuron'}; "
                f"known are {listed(known)}"
            )
        return (NAMES[key].ours, NAMES[key].factor) if self.nest else (key, 1.0)
