"""Steps of a network that is one block on a device, and its haemodynamics there."""

from __future__ import annotations

from collections.abc import Sequence

from dtbdask.sim.block import Block
from dtbdask.sim.bold import Floats, Haemodynamics
from dtbdask.sim.cuda_block import Counts, CudaBlock
from dtbdask.sim.cuda_bold import Flow
from dtbdask.sim.drive import Drive, driven
from dtbdask.sim.observe import Observer
from dtbdask.sim.raster import Spikes


def stride(
    block: Block, haemodynamics: Haemodynamics, n_steps: int, frame_steps: int,
    drive: Drive | None, observers: Sequence[Observer], *, spikes: bool, summed: bool,
) -> tuple[Counts, Floats, Spikes]:  # fmt: skip
    """Have a block that is a whole network make some steps.

    Parameters
    ----------
    block : CudaBlock
    haemodynamics : Haemodynamics
        Moved on.
    n_steps : int
    frame_steps : int
        Steps of a BOLD frame.
    drive : Drive or None
    observers : sequence of Observer
    spikes : bool
        Return the spikes of the first member.
    summed : bool
        Return the counts of all steps together.

    Returns
    -------
    count : (step, member, population) int32, or (1, member, population) int64 if summed
    bold : (frame, member, voxel) float64
        At the end of each frame.
    spikes : (step,) and (spike,) int64
        How many each step has, and their global neurons.
    """
    assert isinstance(block, CudaBlock)
    put, flow = driven([block], drive), Flow(haemodynamics, n_steps, block.step_index, frame_steps)

    def look(k: int) -> None:
        for observer in observers:
            observer.look(k)

    count, *fired = block.advance(
        n_steps, logged=spikes, summed=summed, before=put if drive is not None else None,
        after=look if observers else None, each=flow.take,
    )  # fmt: skip
    put(n_steps)
    return count, flow.finish(), (fired[0], fired[1])
