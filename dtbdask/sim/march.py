"""A block that makes many steps at once and swaps spikes with its peers in the kernel.

What it sends and awaits is what it would step by step, so its peers need not do likewise. Room for
all that may ever be told is taken once: nobody fires twice in a step, so a message is no longer
than its list of neurons, for each of its steps. Pages of it that nothing was ever written to take
no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.kernels import cpu_mailbox as mailbox
from dtbdask.kernels import cpu_march
from dtbdask.kernels.cpu_machine import LINE
from dtbdask.sim.asked import Asked
from dtbdask.sim.block import Block
from dtbdask.sim.exchange import Exchange
from dtbdask.sim.state import Stride
from dtbdask.sim.swaps import Swaps

Ints = NDArray[np.int64]


def marching(
    blocks: Sequence[Block], exchanges: Sequence[Exchange], n_heard: Sequence[Sequence[int]],
    asked: Sequence[Asked], swaps: Sequence[Swaps],
) -> March | None:  # fmt: skip
    """The march of the block of a gang, or None where it has to go step by step.

    Parameters
    ----------
    blocks : sequence of Block
        Of one process.
    exchanges : sequence of Exchange
        The end of each.
    n_heard : sequence of sequence of int
        For each, how many neurons it hears of each peer.
    asked : sequence of Asked
    swaps : sequence of Swaps
    """
    spec = blocks[0].spec
    if len(blocks) > 1 or exchanges[0].size == 1 or spec.members > 1 or spec.device != "cpu":
        return None
    from dtbdask.sim.exchange_shm import Shm

    if not isinstance(exchanges[0], Shm):
        return None
    return March(blocks[0], exchanges[0], n_heard[0], asked[0], swaps[0].interval)


class March:
    """A block, its end of the mailboxes, and what is told there.

    Parameters
    ----------
    block : Block
    exchange : Shm
        Its end.
    n_heard : sequence of int
        How many neurons it hears of each peer.
    asked : Asked
        What they hear from it.
    interval : list of int
        Steps between two swaps with each; 0 with itself.
    """

    def __init__(
        self, block: Block, exchange: Any, n_heard: Sequence[int], asked: Asked,
        interval: list[int],
    ) -> None:  # fmt: skip
        self._block, self._exchange = block, exchange
        steps = np.array(interval, np.int64)
        room = steps * (1 + np.array(asked.size, np.int64))
        first = np.cumsum(room) - room + steps
        outgoing = np.empty(int(room.sum()), np.uint32)
        self._box = exchange.reserve(steps * (1 + np.array(n_heard)))._replace(outgoing=outgoing)
        self._said = cpu_march.Said(
            asked.indptr, asked.peer, asked.place, steps, first, first.copy(),
            np.zeros_like(steps), np.zeros((steps.size, steps.max()), np.int64),
            np.zeros_like(steps),
        )  # fmt: skip
        self._arrived, self._last = np.zeros((0, LINE), np.int64), False
        self.stride(0, spikes=False, last=False)  # compiles

    def stride(self, n_steps: int, *, spikes: bool, last: bool) -> Stride:
        """Make some steps, as `Block.stride`.

        Parameters
        ----------
        n_steps : int
            At most `Block.longest_stride`.
        spikes : bool
            Return the spikes.
        last : bool
            A window ends with them.
        """
        block = self._block
        block.take_in()
        self._arrived = np.zeros((block.spec.threads + 1, LINE), np.int64)
        self._last = last
        stride = block.stride(n_steps, spikes=spikes, kernel=self._on_part)
        if n_steps:
            self._receive()
        return stride

    def _on_part(self, features: Any, part: int, arrived: Ints, *given: Any) -> None:
        """Have the kernel make the steps of a part; that of part 0 waits for the peers."""
        kernel: Any = cpu_march.march
        at, first_step = np.zeros(4, np.int64), self._block.step_index
        n_rows = self._block.edges.inhibitory.size

        def move(patience: int) -> tuple[int, int, int]:
            code, peer = kernel(
                features, part, self._arrived, *given, self._box, self._said, n_rows, at,
                self._last, patience,
            )  # fmt: skip
            return code, peer, first_step + int(at[0]) - 1

        if part > 0:
            move(0)
            return
        try:
            self._exchange.until_across(move)
        except BaseException:
            mailbox.mark(self._arrived, self._arrived.size - LINE, 1)
            raise

    def _receive(self) -> None:
        """Give the block what was told of the last step."""
        due = self._said.due
        for peer in np.flatnonzero(due):
            begin, at, n_words = cpu_march.message(self._box.rings, due, peer)
            n = int(due[peer])
            count = self._box.inbox[begin:at] if n > 1 else [n_words]
            rows = np.split(self._box.inbox[at : begin + n_words].copy(), np.cumsum(count)[:-1])
            for told, of in enumerate(rows):
                self._block.receive(of, n - 1 - told)
