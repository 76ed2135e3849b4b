"""A brain of which only numbers are known: equal voxels, each fed by as many others.

It stands for networks too large to be held or for brains not yet read. Voxel v hears `partners`
other voxels, drawn at random, in equal shares; blocks are contiguous. Real voxels differ in size,
and neighbours share their partners: then some blocks are larger, and hear fewer foreign neurons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import InputError, whole_number
from dtbdask.graph.layouts import Layout, Motif, layout_of
from dtbdask.graph.planning.audience import Audience
from dtbdask.graph.traffic import EVENT_NS, NEURON_NS, RATE_HZ
from dtbdask.rng import TILE

Floats = NDArray[np.float64]

MOST_VOXELS = 10**9
MOST_LOOKED_AT = 33
"""Blocks, spread evenly, whose audience is computed: they differ by where they cut voxels."""


def usual_partners(voxels: int) -> int:
    """Effective number of source voxels of a voxel: 13 of 90 regions, growing with the square root.

    Thirteen is the mean exponential of the entropy of the connections in DTB's file of 90 regions;
    the growth is a guess, which makes 206 of 22,703.
    """
    return int(np.clip(round(13 * np.sqrt(voxels / 90)), 1, max(1, voxels - 1)))


@dataclass(frozen=True)
class EqualVoxels:
    """Voxels that are all alike.

    Attributes
    ----------
    voxels, partners : int
    motif : Motif
        What each holds.
    size : (slot,) int64, neurons
    degree : (slot,) int64, synapses
    """

    voxels: int
    partners: int
    motif: Motif
    size: NDArray[np.int64]
    degree: NDArray[np.int64]

    @classmethod
    def make(
        cls,
        voxels: float,
        neurons: float,
        degree: float,
        layout: str | Layout | Motif,
        *,
        min_size: int = 0,
        partners: float | None = None,
    ) -> EqualVoxels:
        """Voxels of a network.

        Parameters
        ----------
        voxels, neurons, degree, layout, min_size
            As in `populate`, but of any number of neurons.
        partners : int, optional
            Other voxels that each hears in equal shares; by default `usual_partners`.

        Raises
        ------
        InputError
            A number makes no sense, or the layout tells voxels apart.
        """
        plan = layout_of(layout)
        if plan.subcortex is not None:
            raise InputError("layout: cortex and subcortex differ in it; give a brain, not voxels")
        voxels = whole_number("voxels", voxels, 1, MOST_VOXELS)
        neurons = whole_number("neurons", neurons, 1)
        degree = whole_number("degree", degree, 1, 2**16 - 1)
        min_size = whole_number("min_size", min_size, 0)
        if partners is None:
            partners = usual_partners(voxels)
        partners = whole_number("partners", partners, 1, max(1, voxels - 1))
        motif = plan.cortex
        wanted = np.floor(np.array(motif.size_share) * (neurons / voxels)).astype(np.int64)
        size = np.maximum(wanted, min_size)
        if size.min() < 2:
            raise InputError(
                f"neurons={neurons:,} in {voxels:,} voxels leaves {size.min()} in slot "
                f"{motif.slots[int(size.argmin())]}; every population needs 2 at least: raise "
                "neurons, or set min_size"
            )
        scaled = np.maximum(degree * np.array(motif.degree_scale), 1).astype(np.int64)
        return cls(voxels, partners, motif, size, scaled)

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.voxels * int(self.size.sum())

    @property
    def n_synapses(self) -> int:
        """Number of synapses."""
        return self.voxels * int(self.size @ self.degree)

    @property
    def n_populations(self) -> int:
        """Number of populations."""
        return self.voxels * self.size.size

    def audience(self, n_blocks: int) -> Audience:
        """What some of the blocks own and hear, spread evenly over all of them.

        Parameters
        ----------
        n_blocks : int

        Returns
        -------
        Audience
            Of those looked at; a block is taken to be heard by as many as it hears on the average.
        """
        n_blocks = whole_number("blocks", n_blocks, 1, -(-self.n_neurons // TILE))
        n_looked = min(n_blocks, MOST_LOOKED_AT)
        looked = np.unique(np.linspace(0, n_blocks - 1, n_looked).astype(np.int64))
        span = self.voxels / n_blocks
        parts = [self._cover(b * span, min((b + 1) * span, self.voxels)) for b in looked.tolist()]
        here = [(count[:, None] * mine).sum(axis=0) for count, mine in parts]
        neurons = np.array([mine.sum() for mine in here])
        synapses = np.array([mine @ self.degree for mine in here], np.float64)
        foreign = np.array([self._foreign(count, mine) for count, mine in parts])
        sent = np.full(foreign.size, foreign.mean())
        met = neurons + [self._foreign(count, mine, TILE) for count, mine in parts]
        return Audience(looked, neurons, synapses, foreign, sent, met, looked.size)

    def _cover(self, low: float, high: float) -> tuple[Floats, Floats]:
        """Kinds of voxels in a block: how many (kind,) and its neurons in each (kind, slot)."""
        first, last = int(low), int(np.ceil(high)) - 1
        if first >= last:
            return np.ones(1), self._within(low - first, high - first)[None]
        kinds = [self._within(low - first, 1.0), self.size.astype(np.float64),
                 self._within(0.0, high - last)]  # fmt: skip
        return np.array([1.0, last - first - 1, 1.0]), np.array(kinds)

    def _within(self, low: float, high: float) -> Floats:
        """Neurons of each slot between two places in a voxel, given as shares of its cost."""
        each = NEURON_NS + EVENT_NS * RATE_HZ / 1000 * self.degree
        cost = np.append(0.0, np.cumsum(self.size * each))
        edges = np.append(0, np.cumsum(self.size)).astype(np.float64)
        start, stop = np.interp(np.array([low, high]) * cost[-1], cost, edges)
        inside: Floats = np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start)
        return np.maximum(inside, 0.0)

    def _foreign(self, count: Floats, mine: Floats, group: int = 1) -> float:
        """Neurons outside a block of which it hears one in their group, expected."""
        local, outer, axons = self.shares()
        chance = self.partners / max(1, self.voxels - 1)
        drawn = mine * self.degree
        far = self._together((drawn @ outer)[:, None] * axons / (self.partners * self.size), group)
        if self.voxels == 1:
            chance, far = 0.0, np.zeros_like(far)
        deaf = np.log1p(chance * np.expm1(-far))  # log of the chance that a kind does not hear
        all_deaf = count @ deaf
        near = self._together(drawn @ local / self.size, group)
        missed = np.exp(all_deaf - deaf - near)  # by the others and by the voxel itself
        rest = (count[:, None] * (self.size - mine) * (1 - missed)).sum()
        n_voxels = max(1.0, group / self.size.sum())  # that a group lies in
        away = (self.voxels - count.sum()) * (self.size * -np.expm1(n_voxels * all_deaf)).sum()
        return float(rest + max(away, 0.0))

    def _together(self, drawn: Floats, group: int) -> Floats:
        """Times that the neurons of a group are drawn, from those of one neuron: (kind, slot)."""
        alike = (drawn @ self.size / self.size.sum())[:, None]
        return np.where(self.size >= group, group * drawn, min(group, int(self.size.sum())) * alike)

    def shares(self) -> tuple[Floats, Floats, Floats]:
        """Shares from the own voxel (slot, slot), from others (slot,), and of their axons."""
        motif = self.motif
        local, outer = np.array(motif.local), np.array(motif.outer)
        axons = np.array(motif.long_range)
        if self.voxels == 1:  # a sole voxel is its own outside
            local = local + np.outer(outer, axons)
        return local, outer, axons

    def draw(self, place: float, n: int) -> NDArray[np.uint64]:
        """Sources of consecutive synapses as such a network has them, the same each time.

        Parameters
        ----------
        place : float
            0 to 1: where in the network.
        n : int
            Number of synapses.

        Returns
        -------
        (synapse,) uint64
        """
        rng = np.random.Generator(np.random.Philox(key=int(place * 2**32)))
        local, outer, axons = self.shares()
        mine = np.append(0, np.cumsum(self.size * self.degree))
        start = int(place * (self.n_synapses - n))
        voxel, within = np.divmod(start + np.arange(n, dtype=np.int64), mine[-1])
        slot = np.searchsorted(mine, within, side="right") - 1
        shares = np.hstack([local, outer[:, None] * axons])
        column = np.zeros(n, np.int64)
        for a in np.unique(slot):
            at = slot == a
            column[at] = rng.choice(shares.shape[1], at.sum(), p=shares[a] / shares[a].sum())
        away, column = np.divmod(column, self.size.size)
        first = int(voxel[0])
        partners = rng.integers(self.voxels, size=(int(voxel[-1]) - first + 1, self.partners))
        chosen = partners[voxel - first, rng.integers(self.partners, size=n)]
        voxel = np.where(away > 0, chosen, voxel)
        neuron = (rng.random(n) * self.size[column]).astype(np.int64)
        base = np.append(0, np.cumsum(self.size)[:-1])[column]
        drawn: NDArray[np.uint64] = (voxel * self.size.sum() + base + neuron).astype(np.uint64)
        return drawn
