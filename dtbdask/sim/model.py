"""From parameters to the numbers a sub-step needs.

    C dV/dt = g_L (V_L - V) + I_ext + I_ou + sum_u g_u (E_u - V) J_u
    dJ_u/dt = -J_u / tau_u + sum over spikes of w_u
    dI_ou   = (mean - I_ou) dt / tau + sigma sqrt(2 / tau) dW
    V >= V_th: spike; V_th is shown in the step of the spike, then V_reset for T_ref

and, where they are on, I_T + I_DA + I_AHP in the membrane equation: see `dtbdask.sim.currents`.

One exchange step `dt` has `t_steps` sub-steps `h = dt / t_steps`. V takes forward Euler, J and I_ou
their exact solutions. The spikes of a step (a neuron's own, or those of its noise) kick J of their
targets at its end, after the decay: the synaptic delay is one `dt`; with an axonal delay they
do so as many steps later. Integration resumes from V_reset after max(1, round(T_ref / h))
sub-steps. (Lu et al. 2024, Nat. Comput. Sci.; where DTB's texts disagree, `docs/model.md` says what
is done here.)

Each parameter is its base, a value for each population or neuron, times a multiplier for each
member and population: `theta = base * multiplier`. A coefficient linear in its parameter keeps the
two apart, so that members share the per-neuron part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError
from dtbdask.graph.parameters import Parameters
from dtbdask.kernels import N_COEFFICIENTS, RECEPTORS, Coefficient, Features

Floats = NDArray[np.float64]
Formula = Callable[..., Floats]

LONGEST_PAUSE = 2**16 - 1
"""Sub-steps of a refractory period, at most."""


def _linear(h: float, value: Floats) -> Floats:
    return value


FORMULAS: Mapping[int, tuple[Formula, tuple[str, ...]]] = {
    Coefficient.H_OVER_C: (lambda h, c: h / c, ("c",)),
    Coefficient.G_L: (_linear, ("g_l",)),
    Coefficient.V_L: (_linear, ("v_l",)),
    Coefficient.V_TH: (_linear, ("v_th",)),
    Coefficient.V_RESET: (_linear, ("v_reset",)),
    Coefficient.I_EXT: (_linear, ("i_ext",)),
    Coefficient.REFRACTORY: (lambda h, t: np.maximum(1.0, np.rint(t / h)), ("t_ref",)),
    Coefficient.OU_MEAN: (_linear, ("ou_mean",)),
    Coefficient.OU_RATE: (lambda h, tau: -np.expm1(-h / tau), ("ou_tau",)),
    Coefficient.OU_KICK: (
        lambda h, sigma, tau: sigma * np.sqrt(-np.expm1(-2 * h / tau)),
        ("ou_sigma", "ou_tau"),
    ),
    Coefficient.NOISE: (_linear, ("noise_rate",)),
    **{Coefficient.G + u: (_linear, (f"g_{name}",)) for u, name in enumerate(RECEPTORS)},
    **{Coefficient.V_U + u: (_linear, (f"e_{name}",)) for u, name in enumerate(RECEPTORS)},
    **{
        Coefficient.DECAY + u: (lambda h, tau: np.exp(-h / tau), (f"tau_{name}",))
        for u, name in enumerate(RECEPTORS)
    },
    Coefficient.G_T: (_linear, ("g_t",)),
    Coefficient.E_T: (_linear, ("e_t",)),
    Coefficient.V_H: (_linear, ("v_h",)),
    Coefficient.H_DECAY: (lambda h, tau: np.exp(-h / tau), ("tau_h_minus",)),
    Coefficient.H_RATE: (lambda h, tau: -np.expm1(-h / tau), ("tau_h_plus",)),
    Coefficient.G_DA: (_linear, ("g_da",)),
    Coefficient.E_DA: (_linear, ("e_da",)),
    Coefficient.G_AHP: (_linear, ("g_ahp",)),
    Coefficient.E_K: (_linear, ("e_k",)),
    Coefficient.CA_DECAY: (lambda h, tau: np.exp(-h / tau), ("tau_ca",)),
    Coefficient.CA_KICK: (_linear, ("alpha_ca",)),
}
"""Each coefficient as a function of the sub-step and of parameters."""


@dataclass(frozen=True)
class Coefficients:
    """What the kernels read.

    Attributes
    ----------
    value : (member, population, coefficient) float
    factor : (slot, neuron) float
        Per-neuron factors of the coefficients that have a slot in the features.
    features : Features
    """

    value: NDArray[np.floating]
    factor: NDArray[np.floating]
    features: Features


def coefficients(
    parameters: Parameters,
    multiplier: Mapping[str, Floats],
    population: NDArray[np.int64],
    *,
    members: int,
    h: float,
    dtype: str,
    start: int,
) -> Coefficients:
    """Coefficients of a block.

    Parameters
    ----------
    parameters : Parameters
        Bases, of the whole network; a population's may also be (member, population).
    multiplier : mapping of str to (member, population) float64
        Multipliers that are not one.
    population : (neuron,) int64
        Population of each neuron of the block.
    members : int
        Members in the block.
    h : float
        Sub-step, ms.
    dtype : {"float32", "float64"}
        Of the state.
    start : int
        First neuron of the block.

    Returns
    -------
    Coefficients

    Raises
    ------
    InputError
        A refractory period beyond the counter, or a multiplier on a per-neuron time constant.
    """
    block = slice(start, start + population.size)
    value = np.ones((N_COEFFICIENTS, members, parameters.population["c"].shape[-1]))
    slots = [-1] * N_COEFFICIENTS
    factors: list[Floats] = []
    for coefficient, (formula, names) in FORMULAS.items():
        given = [name for name in names if name in parameters.neuron]
        if not given:
            values = (parameters.population[n] * multiplier.get(n, 1.0) for n in names)
            value[coefficient] = formula(h, *values)
            continue
        slots[coefficient] = len(factors)
        if formula is _linear:
            value[coefficient] = multiplier.get(names[0], 1.0)
        elif varied := [n for n in names if n in multiplier or parameters.population[n].ndim > 1]:
            raise InputError(
                f"{given[0]} is set per neuron and cannot be multiplied: neither can {varied[0]}, "
                "nor may it differ between members"
            )
        bases = (
            parameters.neuron[n][block]
            if n in parameters.neuron
            else parameters.population[n][population]
            for n in names
        )
        factors.append(formula(h, *bases))
    _check_pause(value, slots, factors)
    _check_reset(value, slots)
    factor = np.array(factors, dtype).reshape(len(factors), population.size)
    of_kernels = np.ascontiguousarray(np.moveaxis(value, 0, -1), dtype)
    return Coefficients(of_kernels, factor, _features(parameters, tuple(slots)))


def receptors(parameters: Parameters) -> tuple[bool, bool, bool, bool]:
    """Which receptors have a conductance that is not zero everywhere."""
    ampa, nmda, gaba_a, gaba_b = (parameters.on(f"g_{name}") for name in RECEPTORS)
    return ampa, nmda, gaba_a, gaba_b


def _features(parameters: Parameters, slots: tuple[int, ...]) -> Features:
    """What is on somewhere in the whole network, so that all its blocks agree."""
    return Features(
        receptors=receptors(parameters),
        background=parameters.on("ou_mean") or parameters.on("ou_sigma"),
        noise=parameters.on("noise_rate"),
        slots=slots,
        calcium=parameters.on("g_t"),
        dopamine=parameters.on("g_da"),
        adaptation=parameters.on("g_ahp"),
    )


def _check_reset(value: Floats, slots: list[int]) -> None:
    if slots[Coefficient.V_RESET] >= 0 or slots[Coefficient.V_TH] >= 0:
        return  # compared neuron by neuron when they were given
    reset, threshold = value[Coefficient.V_RESET], value[Coefficient.V_TH]
    if (reset >= threshold).any():
        raise InputError(
            f"v_reset is {reset[reset >= threshold][0]:g} mV, not below the v_th of "
            f"{threshold[reset >= threshold][0]:g} mV"
        )


def _check_pause(value: Floats, slots: list[int], factors: list[Floats]) -> None:
    slot = slots[Coefficient.REFRACTORY]
    longest = (value[Coefficient.REFRACTORY] if slot < 0 else factors[slot]).max()
    if longest > LONGEST_PAUSE:
        raise InputError(
            f"t_ref takes {longest:,.0f} sub-steps; at most {LONGEST_PAUSE:,} fit: "
            "shorten t_ref or take fewer sub-steps"
        )
