"""Members of an ensemble abreast: some on each of several threads of this process.

The threads of a block meet once a step, and whoever is put aside has the others wait. Members have
nothing to say to each other, so that gangs of members, a thread each, meet once a call. They hold
the edges of the network once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from dtbdask.graph.partition import Partition
from dtbdask.sim.exchange_choice import chosen
from dtbdask.sim.gang import Gang
from dtbdask.sim.spec import BlockSpec


class Abreast:
    """Gangs of one whole network each in this process, with members of their own.

    Parameters
    ----------
    specs : list of BlockSpec
        In the order of the members; of the same number of threads.
    partition : Partition
        Of one block.
    exchange : {"auto"}
        What is asked for; members exchange nothing.
    """

    def __init__(
        self, specs: list[BlockSpec], partition: Partition, exchange: str = "auto"
    ) -> None:
        self.exchange = chosen(exchange, partition.n_blocks, [], list)
        self._gangs = [Gang.local(specs[:1], partition)]
        edges = self._gangs[0].blocks[0].edges
        self._gangs += [Gang.local([spec], partition, edges) for spec in specs[1:]]
        self._pool = ThreadPoolExecutor(len(specs))

    def call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every gang, all at once; the first error is raised when all are done."""
        calls = [self._pool.submit(getattr(gang, method), *arguments) for gang in self._gangs]
        wait(calls)
        return [call.result() for call in calls]

    def cancel(self) -> None:
        """Have the gangs stop before their next steps."""
        for gang in self._gangs:
            gang.leave()

    def close(self) -> None:
        """Free the blocks."""
        self._pool.shutdown()
        for gang in self._gangs:
            gang.close()
        self._gangs = []
