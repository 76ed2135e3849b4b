"""Steps of a network that is one block on a device: the host waits once a window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dtbdask.sim.block import Block
from dtbdask.sim.cuda_block import CudaBlock
from dtbdask.sim.drive import Drive, driven
from dtbdask.sim.observe import Observer
from dtbdask.sim.raster import Spikes


def stride(
    block: Block, n_steps: int, drive: Drive | None, observers: Sequence[Observer], *, spikes: bool
) -> tuple[NDArray[np.int32], Spikes]:
    """Have a block that is a whole network make some steps, waiting only where its log is full.

    Parameters
    ----------
    block : CudaBlock
    n_steps : int
    drive : Drive or None
    observers : sequence of Observer
    spikes : bool
        Return the spikes of the first member.

    Returns
    -------
    count : (step, member, population) int32
    spikes : (step,) and (spike,) int64
        How many each step has, and their global neurons.
    """
    assert isinstance(block, CudaBlock)
    put = driven([block], drive)
    seen = []
    most = block.most_steps() if spikes else n_steps
    for start in range(0, n_steps, most):

        def before(k: int, start: int = start) -> None:
            put(start + k)

        def after(k: int, start: int = start) -> None:
            for observer in observers:
                observer.look(start + k)

        seen.append(
            block.advance(
                min(most, n_steps - start), logged=spikes,
                before=before if drive is not None else None, after=after if observers else None,
            )
        )  # fmt: skip
    put(n_steps)
    count = np.concatenate([one.count for one in seen])
    n_fired = np.concatenate([one.n_fired for one in seen])
    return count, (n_fired, block.global_of(np.concatenate([one.local for one in seen])))
