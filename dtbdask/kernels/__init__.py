"""The contract of the hot operations, written twice by hand: Numba (`cpu`) and CUDA C.

A kernels module offers, with these names and argument orders,

=============== =================================================================================
integrate       currents, membrane, threshold, for one part of a block; lists fired neurons
deliver         rows of fired sources -> integer kicks of the targets of one part
deliver_delayed the same into a ring of steps, where synapses have delays
stride          many steps of both, the threads of the parts meeting in the kernel (CPU alone)
select          which of the fired neurons a peer listens to
census          spikes of each population
totals          sums over populations of V and currents, as exact integers
balloon         haemodynamics of the voxels
wire            in-edges of a range of neurons, from the recipe
sort, place     the transpose: in-edges by target -> edges by source row
=============== =================================================================================

Laws they share:

* A kick is a sum of integer weights, scaled once per neuron and step, so no order of additions and
  no partition can be seen in the result.
* A floating-point expression is one order of IEEE operations without contraction.
* All state is `(member, neuron)` with the neuron last; wiring is shared by the members.
* A block is cut into *parts* (one a thread): contiguous ranges of its neurons. A part owns its
  neurons and all edges that end there, so no two threads write the same number.

Kicks are packed: the two weights of an edge pair (AMPA and NMDA, or GABA_A and GABA_B) go in one
integer addition, low half and high half. Where only one receptor of a pair is on, its weight is
added alone, in a narrower integer. `kick[0]` is for excitatory sources, `kick[1]` for inhibitory.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Coefficient(IntEnum):
    """Rows of the coefficient table: what a sub-step needs of the parameters."""

    H_OVER_C = 0
    G_L = 1
    V_L = 2
    V_TH = 3
    V_RESET = 4
    I_EXT = 5
    REFRACTORY = 6
    """Sub-steps from a spike until integration resumes."""
    OU_MEAN = 7
    OU_RATE = 8
    """1 - exp(-h / tau)."""
    OU_KICK = 9
    """sigma sqrt(1 - exp(-2 h / tau))."""
    NOISE = 10
    """Probability of a noise spike in an exchange step."""
    G = 11
    """First of four conductances, in the order of `RECEPTORS`."""
    V_U = 15
    """First of four reversal potentials."""
    DECAY = 19
    """First of four factors exp(-h / tau_u)."""
    G_T = 23
    E_T = 24
    V_H = 25
    """Potential from which the T-type calcium current flows and inactivates."""
    H_DECAY = 26
    """exp(-h / tau_h_minus)."""
    H_RATE = 27
    """1 - exp(-h / tau_h_plus)."""
    G_DA = 28
    E_DA = 29
    G_AHP = 30
    E_K = 31
    CA_DECAY = 32
    """exp(-h / tau_ca)."""
    CA_KICK = 33
    """What a spike adds to [Ca]."""


N_COEFFICIENTS = 34

RECEPTORS = ("ampa", "nmda", "gaba_a", "gaba_b")
"""Receptors in the order of every receptor axis; the first two belong to excitatory sources."""


class Features(NamedTuple):
    """What a network needs: the rest is compiled out."""

    receptors: tuple[bool, bool, bool, bool]
    """Receptors with a conductance that is not zero everywhere."""
    background: bool
    """An Ornstein-Uhlenbeck current flows somewhere."""
    noise: bool
    """Some population has noise spikes."""
    slots: tuple[int, ...]
    """For each coefficient, the row of the per-neuron factors that multiplies it, or -1."""
    calcium: bool = False
    """A T-type calcium current may flow somewhere."""
    dopamine: bool = False
    """A dopamine current flows somewhere."""
    adaptation: bool = False
    """A current of spike-frequency adaptation may flow somewhere."""
    scripted: bool = False
    """Some neurons have scripted spikes."""

    @property
    def paired(self) -> bool:
        """Both receptors of a pair are on, so kicks carry two weights."""
        ampa, nmda, gaba_a, gaba_b = self.receptors
        return (ampa and nmda) or (gaba_a and gaba_b)
