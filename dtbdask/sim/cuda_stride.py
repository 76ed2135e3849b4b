"""Steps of a network that is one block on a device: the host waits for pieces of a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dtbdask.sim.block import Block
from dtbdask.sim.cuda_block import Counts, CudaBlock
from dtbdask.sim.drive import Drive, driven
from dtbdask.sim.observe import Observer
from dtbdask.sim.raster import Spikes


def stride(
    block: Block, n_steps: int, drive: Drive | None, observers: Sequence[Observer], *,
    spikes: bool, each: Callable[[Counts], None],
) -> tuple[Counts, Spikes]:  # fmt: skip
    """Have a block that is a whole network make some steps.

    Parameters
    ----------
    block : CudaBlock
    n_steps : int
    drive : Drive or None
    observers : sequence of Observer
    spikes : bool
        Return the spikes of the first member.
    each : callable
        Called with the counts of one piece after the other, while the next is under way.

    Returns
    -------
    count : (step, member, population) int32
    spikes : (step,) and (spike,) int64
        How many each step has, and their global neurons.
    """
    assert isinstance(block, CudaBlock)
    put = driven([block], drive)

    def look(k: int) -> None:
        for observer in observers:
            observer.look(k)

    count, *fired = block.advance(
        n_steps, logged=spikes, before=put if drive is not None else None,
        after=look if observers else None, each=each,
    )  # fmt: skip
    put(n_steps)
    return count, (fired[0], fired[1])
