"""Floating-point weights as whole numbers of a power of two, so that sums of them are exact.

A kick is summed in 32 bits, so the in-edges of the most heavily weighted neuron decide how fine the
unit may be. Where the weights are whole multiples of a unit that fits (uniform random numbers in
single precision are multiples of 2^-24, half-precision numbers too), they come back exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_KICK = 2**32 - 1
"""Of one receptor in one step, in units."""

DIGITS = 24
"""Binary digits that are kept of the largest weight when it must be rounded."""

FINEST = 126
"""Fractional bits of the finest unit that single precision has as a normal number."""


@dataclass(frozen=True)
class FixedPoint:
    """Weights counted in units of 2^-bits.

    Attributes
    ----------
    bits : int
        Fractional bits; negative for units greater than one.
    """

    bits: int

    @property
    def scale(self) -> float:
        """Weight of integer 1."""
        return math.ldexp(1.0, -self.bits)

    def encode(self, weight: NDArray[np.floating]) -> NDArray[np.uint32]:
        """Nearest whole numbers of units.

        Parameters
        ----------
        weight : (synapse, pair) float
            Finite and not negative.

        Returns
        -------
        (synapse, pair) uint32
        """
        return np.rint(np.ldexp(weight.astype(np.float64), self.bits)).astype(np.uint32)

    def rounding(self, weight: NDArray[np.floating]) -> float:
        """Largest difference between weights and what is counted for them."""
        exact = weight.astype(np.float64)
        return float(np.abs(self.encode(weight) * self.scale - exact).max(initial=0.0))


def fraction_bits(weight: NDArray[np.floating]) -> int:
    """Fewest fractional bits with which every one of the weights is exact.

    Parameters
    ----------
    weight : (synapse, pair) float
        Finite and not negative.
    """
    mantissa, exponent = np.frexp(weight[weight > 0].astype(np.float64))
    digits = np.ldexp(mantissa, 53).astype(np.int64)
    trailing = np.log2(digits & -digits).astype(np.int64)
    return int((53 - trailing - exponent).max(initial=0))


def choose(bits: int, top: float, kick: float, degree: int) -> FixedPoint:
    """The coarsest exact unit, or else the finest one with which no kick overflows.

    Parameters
    ----------
    bits : int
        Fractional bits with which all the weights are exact.
    top : float
        Largest weight.
    kick : float
        Largest sum of the weights of one receptor over the in-edges of a neuron.
    degree : int
        Largest in-degree; the rounding of so many weights adds up.

    Returns
    -------
    FixedPoint
        Rounded weights keep at most `DIGITS` binary digits of the largest one.
    """
    if bits <= FINEST and math.ldexp(kick, bits) <= LARGEST_KICK:
        return FixedPoint(bits)
    room = 32 - math.frexp(kick)[1]
    while math.ldexp(kick, room) + degree > LARGEST_KICK:
        room -= 1
    return FixedPoint(min(room, DIGITS - math.frexp(top)[1], FINEST))
