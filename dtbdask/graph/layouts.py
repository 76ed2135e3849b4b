"""What a voxel holds: its populations, and how the in-edges of each are shared out.

Here are the two populations of DTB's voxels, and its micro-column, whose numbers of neurons and
synapses follow Binzegger, Douglas and Martin (J. Neurosci. 24, 2004). Its layer 1 has no neurons
but keeps its numbers, so that DTB numbers the population of voxel v and slot k by 10 v + k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dtbdask.errors import InputError

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Motif:
    """The live populations of one kind of voxel.

    Attributes
    ----------
    slots : tuple of str
        Their names, among the slots of the layout.
    excitatory : tuple of bool
        Which of them excite.
    size_share : tuple of float
        Share of the voxel's neurons.
    local : tuple of tuple of float
        Share of the in-edges of a slot (row) that come from each slot of its voxel (column).
    outer : tuple of float
        Share that comes from other voxels: with the row of `local` it makes one.
    long_range : tuple of float
        How the axons that leave such a voxel are divided among its slots.
    degree_scale : tuple of float, optional
        In-degree of a slot over the mean of the voxel; by default 1.
    """

    slots: tuple[str, ...]
    excitatory: tuple[bool, ...]
    size_share: tuple[float, ...]
    local: tuple[tuple[float, ...], ...]
    outer: tuple[float, ...]
    long_range: tuple[float, ...]
    degree_scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.slots)
        _distinct("motif", self.slots)
        if not self.degree_scale:
            object.__setattr__(self, "degree_scale", (1.0,) * n)
        names = ("excitatory", "size_share", "outer", "long_range", "degree_scale", "local")
        for name in names:
            if len(getattr(self, name)) != n:
                raise InputError(
                    f"motif: {name} has {len(getattr(self, name))} entries for {n} slots"
                )
        self._check_shares()

    def _check_shares(self) -> None:
        if bad := [len(row) for row in self.local if len(row) != len(self.slots)]:
            raise InputError(f"motif: local has rows of {bad[0]} entries, not of {len(self.slots)}")
        rows = np.column_stack([np.array(self.local, float), self.outer])
        sums = {
            f"local and outer of {slot}": row for slot, row in zip(self.slots, rows, strict=True)
        }
        sums["size_share"] = np.array(self.size_share)
        if any(self.outer):
            sums["long_range"] = np.array(self.long_range)
        for name, values in sums.items():
            if not (np.isfinite(values).all() and (values >= 0).all()):
                bad = values[~(np.isfinite(values) & (values >= 0))][0]
                raise InputError(f"motif: {name} has {bad:g}; shares are 0 or more")
            if abs(values.sum() - 1) > TOLERANCE:
                raise InputError(f"motif: {name} add up to {values.sum():.6g}; they must make 1")
        if not all(np.isfinite(scale) and scale > 0 for scale in self.degree_scale):
            raise InputError(f"motif: degree_scale is {self.degree_scale}; each must be above 0")

    @classmethod
    def from_counts(
        cls,
        slots: Sequence[str],
        excitatory: Sequence[bool],
        neurons: ArrayLike,
        synapses: ArrayLike,
        long_range: Sequence[str] | None = None,
    ) -> Motif:
        """Motif of a circuit given by numbers of neurons and synapses.

        Parameters
        ----------
        slots : sequence of str
        excitatory : sequence of bool
        neurons : (slot,) float
            Numbers, or shares in any unit.
        synapses : (slot, slot + 1) float
            Synapses on a neuron of a slot (row) from each slot of its voxel and, last, from others.
        long_range : sequence of str, optional
            Slots whose axons leave the voxel, in proportion to their neurons; by default all that
            excite.

        Returns
        -------
        Motif
            In-degrees are in the proportion of the rows, with mean one over the neurons.
        """
        size, counts = np.array(neurons, float), np.array(synapses, float)
        if size.shape != (len(slots),) or counts.shape != (len(slots), len(slots) + 1):
            raise InputError(
                f"motif: neurons has shape {size.shape} and synapses {counts.shape}; for "
                f"{len(slots)} slots expected ({len(slots)},) and ({len(slots)}, {len(slots) + 1})"
            )
        if len(excitatory) != len(slots):
            raise InputError(
                f"motif: excitatory has {len(excitatory)} entries for {len(slots)} slots"
            )
        total = counts.sum(axis=1)
        for name, values, least in (("neurons", size, size), ("synapses", counts, total)):
            low = min(values.min(), least.min())
            if not (low >= 0 and least.min() > 0):
                raise InputError(
                    f"motif: {name} of a slot are {low:g}; each needs some, and none is negative"
                )
        leaving = [s for s, e in zip(slots, excitatory, strict=True) if e]
        leaving = leaving if long_range is None else list(long_range)
        if unknown := sorted(set(leaving) - set(slots)):
            raise InputError(f"motif: long_range names {unknown}; slots are {list(slots)}")
        axons = np.where([slot in leaving for slot in slots], size, 0.0)
        rows, share = counts / total[:, None], size / size.sum()
        return cls(
            tuple(slots), tuple(map(bool, excitatory)), tuple(share.tolist()),
            tuple(tuple(row) for row in rows[:, :-1].tolist()), tuple(rows[:, -1].tolist()),
            tuple((axons / (axons.sum() or 1.0)).tolist()),
            tuple((total / (total @ share)).tolist()),
        )  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """The kinds of voxel of a brain.

    Attributes
    ----------
    slots : tuple of str
        Names by slot number; some may have no population.
    cortex : Motif
        Of cortical voxels; of all, where `subcortex` is None.
    subcortex : Motif, optional
        Of the voxels that `is_cortex` of the brain denies.
    dtb_slots : tuple of int
        Number that DTB gives each slot.
    """

    slots: tuple[str, ...]
    cortex: Motif
    subcortex: Motif | None = None
    dtb_slots: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.dtb_slots:
            object.__setattr__(self, "dtb_slots", tuple(range(len(self.slots))))
        _distinct("layout", self.slots)
        if len(self.dtb_slots) != len(self.slots):
            raise InputError(
                f"layout: dtb_slots is {self.dtb_slots}; expected one for each of {self.slots}"
            )
        for motif in self.motifs:
            if unknown := sorted(set(motif.slots) - set(self.slots)):
                raise InputError(f"layout: slots {unknown} of a motif are not among {self.slots}")

    @property
    def motifs(self) -> tuple[Motif, ...]:
        """Of cortex and, if it has its own, subcortex."""
        return (self.cortex,) if self.subcortex is None else (self.cortex, self.subcortex)

    @classmethod
    def of(cls, motif: Motif) -> Layout:
        """The same motif, one's own for instance, in every voxel."""
        return cls(motif.slots, motif)


def _distinct(what: str, slots: Sequence[str]) -> None:
    if len(set(slots)) < len(slots):
        raise InputError(f"{what}: slots are {tuple(slots)}; each needs a name of its own")


VOXEL = Motif(
    slots=("E", "I"),
    excitatory=(True, False),
    size_share=(0.8, 0.2),
    local=((4 / 7, 1 / 7), (4 / 7, 1 / 7)),
    outer=(2 / 7, 2 / 7),
    long_range=(1.0, 0.0),
)

HOMOGENEOUS = Motif(
    slots=("E", "I"),
    excitatory=(True, False),
    size_share=(0.8, 0.2),
    local=((0.8, 0.2), (0.8, 0.2)),
    outer=(0.0, 0.0),
    long_range=(0.0, 0.0),
)

COLUMN_SLOTS = ("L1E", "L1I", "L2/3E", "L2/3I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")

_LAYERS = {"L2/3": (33.8, 78, 22), "L4": (34.9, 80, 20), "L5": (7.6, 82, 18), "L6": (22.1, 83, 17)}
_COLUMN_NEURONS = [share * part for share, *parts in _LAYERS.values() for part in parts]
COLUMN_SYNAPSES = (
    (3554, 804, 881, 45, 431, 0, 136, 0, 1020),
    (1778, 532, 456, 29, 217, 0, 69, 0, 396),
    (417, 84, 1070, 690, 79, 93, 1686, 0, 1489),
    (168, 41, 628, 538, 36, 0, 1028, 0, 790),
    (2550, 176, 765, 99, 621, 596, 363, 7, 1591),
    (1357, 76, 380, 32, 375, 403, 129, 0, 214),
    (643, 46, 549, 196, 327, 126, 925, 597, 2609),
    (80, 8, 92, 3, 159, 11, 76, 499, 1794),
)
"""Synapses on a neuron of each live slot, by source slot and, last, from outside."""


def _column(long_range: Sequence[str] | None = None) -> Motif:
    return Motif.from_counts(
        COLUMN_SLOTS[2:], (True, False) * 4, _COLUMN_NEURONS, COLUMN_SYNAPSES, long_range
    )


LAYOUTS: Mapping[str, Layout] = {
    "voxel": Layout.of(VOXEL),
    "column": Layout(COLUMN_SLOTS, _column()),
    "column-l5": Layout(COLUMN_SLOTS, _column(("L5E",))),
    "mixed": Layout(
        (*COLUMN_SLOTS, "E", "I"), _column(("L5E",)), VOXEL, dtb_slots=(*range(10), 6, 7)
    ),
    "homogeneous": Layout.of(HOMOGENEOUS),
}
"""Known layouts.

- `voxel`: 80 % excitatory neurons, long-range axons from them alone.
- `column`: eight populations in layers 2/3 to 6; the excitatory ones of all layers project, in
  proportion to their size.
- `column-l5`: the same, but only layer 5 projects.
- `mixed`: `column-l5` where the brain's `is_cortex` says so, `voxel` elsewhere.
- `homogeneous`: 80 % and 20 % without structure, and nothing between voxels.
"""


def layout_of(layout: str | Layout | Motif) -> Layout:
    """A layout by name, or one's own.

    Raises
    ------
    InputError
        There is none of this name.
    """
    if isinstance(layout, Motif):
        return Layout.of(layout)
    if isinstance(layout, Layout):
        return layout
    if layout not in LAYOUTS:
        raise InputError(
            f"unknown layout {layout!r}; known are {', '.join(LAYOUTS)}; "
            "or give a dtbdask.graph.layouts.Motif of your own"
        )
    return LAYOUTS[layout]


def describe(layout: str | Layout | Motif) -> Any:
    """What a store says of a layout: its name, or the motifs of one's own."""
    if isinstance(layout, str):
        return layout
    return {
        "slots": list(layout_of(layout).slots),
        "motifs": [vars(motif) for motif in layout_of(layout).motifs],
    }
