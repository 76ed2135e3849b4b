"""The first look at the synapses of a DTB network: each is checked, and they are counted.

What a store of them must know beforehand comes out of it: the in-degree of every neuron, and the
unit in which floating-point weights are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dtbdask import progress
from dtbdask.errors import InputFileError
from dtbdask.graph import fixed_point
from dtbdask.graph.dtb.folder import Folder
from dtbdask.graph.dtb.format import STRETCH, SYNAPSE, Block, Stretch, read_synapses, within
from dtbdask.graph.dtb.property import Runs
from dtbdask.graph.fixed_point import FixedPoint

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Survey:
    """What is known of a network once all its synapses were looked at.

    Attributes
    ----------
    folder : Folder
    runs : Runs
        Populations of the whole network.
    in_degree : (neuron,) int64
    by_target : (block,) bool
        The synapses of the block stand in target order.
    fixed : FixedPoint or None
        Unit of floating-point weights; None for uint8.
    rounding : float
        Largest difference between a weight and what is counted for it.
    """

    folder: Folder
    runs: Runs
    in_degree: Ints
    by_target: NDArray[np.bool_]
    fixed: FixedPoint | None
    rounding: float

    def synapses(self) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.unsignedinteger]]]:
        """Global source and integer weight pair of all synapses, in target order.

        Synapses of one target keep the order of the file. A file in target order is read stretch
        by stretch; of any other all synapses are held at once.
        """
        first = self.folder.first
        for index, block in enumerate(self.folder.blocks):
            for part in read_synapses(block) if self.by_target[index] else _sorted(block):
                source = (first[part.block + index] + part.source).astype(np.uint32)
                yield source, part.weight if self.fixed is None else self.fixed.encode(part.weight)


def survey(folder: Folder) -> Survey:
    """Check all synapses of a network and count them.

    Parameters
    ----------
    folder : Folder

    Raises
    ------
    InputFileError
        A synapse points at nothing, or contradicts the neuron that it starts on.
    """
    if (n := int(folder.first[-1])) > 2**32:
        raise InputFileError(f"{folder.path}: has {n:,} neurons; at most {2**32:,} are read")
    runs = Runs.join([block.runs for block in folder.blocks])
    inhibitory = np.repeat(runs.id % 2 == 1, runs.size)
    floating = folder.weight_dtype != np.uint8
    counts = []
    with progress.track("Checking", folder.n_synapses, "synapses") as step:
        for index, block in enumerate(folder.blocks):
            count = _Count.start(block.n_neurons, floating)
            for stretch in read_synapses(block):
                _check(folder, index, stretch, inhibitory)
                count.add(stretch)
                step(stretch.target.size)
            count.kick = count.kick.max(axis=0, keepdims=True)
            counts.append(count)
    degree = np.concatenate([count.degree for count in counts])
    by_target = np.array([count.by_target for count in counts])
    fixed, rounding = None, 0.0
    if floating:
        bits, top = max(count.bits for count in counts), max(count.top for count in counts)
        kick = max(float(count.kick.max()) for count in counts)
        fixed = fixed_point.choose(bits, top, kick, int(degree.max()))
        rounding = 0.0 if fixed.bits >= bits else _rounding(folder, fixed)
    return Survey(folder, runs, degree, by_target, fixed, rounding)


@dataclass
class _Count:
    """What the synapses of a block add up to."""

    degree: Ints
    kick: NDArray[np.float64]
    """(neuron, receptor) float64: sum of the weights; at last the largest of the block."""
    floating: bool
    by_target: bool = True
    last: int = 0
    bits: int = 0
    top: float = 0.0

    @classmethod
    def start(cls, n_neurons: int, floating: bool) -> _Count:
        kick = np.zeros((n_neurons if floating else 1, 4))
        return cls(np.zeros(n_neurons, np.int64), kick, floating)

    def add(self, stretch: Stretch) -> None:
        target = stretch.target
        low, high = int(target.min()), int(target.max()) + 1
        self.degree[low:high] += np.bincount(target - low, minlength=high - low)
        self.by_target &= bool(target[0] >= self.last and (np.diff(target) >= 0).all())
        self.last = int(target[-1])
        if self.floating:
            weight = stretch.weight.astype(np.float64)
            channel = 4 * (target - low) + 2 * stretch.inhibitory
            for pair in (0, 1):
                total = np.bincount(channel + pair, weight[:, pair], 4 * (high - low))
                self.kick[low:high] += total.reshape(-1, 4)
            self.bits = max(self.bits, fixed_point.fraction_bits(weight))
            self.top = max(self.top, float(weight.max()))


def _check(folder: Folder, index: int, stretch: Stretch, inhibitory: NDArray[np.bool_]) -> None:
    """Refuse synapses whose source is not there, or of another kind than they say."""
    block, first, start = folder.blocks[index], folder.first, stretch.start
    within(block.path, SYNAPSE[1], stretch.block, -index, len(folder.blocks) - 1 - index, start)
    owner = stretch.block + index
    size = np.diff(first)[owner]
    bad = np.flatnonzero(stretch.source >= size)
    if bad.size:
        k = bad[0]
        raise InputFileError(
            f"{block.path}: input_neuron_idx[{start + k}] is {stretch.source[k]}, but its block, "
            f"{folder.blocks[owner[k]].path.name}, has {size[k]:,} neurons"
        )
    bad = np.flatnonzero(inhibitory[first[owner] + stretch.source] != stretch.inhibitory)
    if bad.size:
        k = bad[0]
        said = int(2 * stretch.inhibitory[k])
        raise InputFileError(
            f"{block.path}: input_channel_offset[{start + k}] is {said}, but its source, neuron "
            f"{stretch.source[k]} of {folder.blocks[owner[k]].path.name}, is in a population whose "
            f"id is {'even' if said else 'odd'}; expected {2 - said}"
        )


def _rounding(folder: Folder, fixed: FixedPoint) -> float:
    with progress.track("Measuring the rounding", folder.n_synapses, "synapses") as step:
        largest = 0.0
        for block in folder.blocks:
            for stretch in read_synapses(block):
                largest = max(largest, fixed.rounding(stretch.weight))
                step(stretch.target.size)
    return largest


def _sorted(block: Block) -> Iterator[Stretch]:
    """Synapses of a block by target, those of one target in the order of the file."""
    for whole in read_synapses(block, max(block.n_synapses, 1)):
        order = np.argsort(whole.target, kind="stable")
        for start in range(0, order.size, STRETCH):
            part = order[start : start + STRETCH]
            yield Stretch(
                start, whole.target[part], whole.block[part], whole.source[part],
                whole.inhibitory[part], whole.weight[part],
            )  # fmt: skip
