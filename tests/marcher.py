"""A process whose block marches, with few imports: each process of a test has its own."""

from dtbdask.errors import ExchangeError
from dtbdask.sim.exchange_shm import Shm
from dtbdask.sim.gang import Gang
from dtbdask.sim.spec import BlockSpec

SEED = 11
TR = 50


def advance(rank, size, pipe, token, network, partition):
    """Be one block: meet the others, march without end, and tell how that ended."""
    end = Shm(rank, size, token, 60)
    pipe.send(end.address)
    gang = Gang([BlockSpec(network, partition.ranges[rank], SEED)], [end], partition)
    end.connect(pipe.recv())
    gang.introduce()
    pipe.send("met")
    try:
        gang.advance(10**9, TR, False)
    except ExchangeError as error:
        pipe.send(str(error))
