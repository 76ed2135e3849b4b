"""A gang: the blocks that one process advances, and what it sees of them.

A gang whose blocks are all blocks of the network is *complete*: it knows the spikes of every
population and integrates the haemodynamics itself. Otherwise the session adds up the counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask.errors import ExchangeError, LostError, SessionError
from dtbdask.graph.partition import Partition
from dtbdask.kernels.cpu_stride import SWAP, WAIT
from dtbdask.sim import checkpoint
from dtbdask.sim.asked import Asked
from dtbdask.sim.block import Block
from dtbdask.sim.bold import Haemodynamics
from dtbdask.sim.changes import Change, Held
from dtbdask.sim.currents import MEMORIES
from dtbdask.sim.drive import Drive, driven
from dtbdask.sim.edges import Edges
from dtbdask.sim.exchange import Exchange, Loopback
from dtbdask.sim.march import March, marching
from dtbdask.sim.masks import Masks
from dtbdask.sim.observe import Observer, Seen
from dtbdask.sim.quantities import Watch
from dtbdask.sim.raster import Raster, Spikes
from dtbdask.sim.spec import BlockSpec
from dtbdask.sim.steps import SpikeSteps
from dtbdask.sim.swaps import Swaps, shortest
from dtbdask.sim.timing import shared

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass
class Window:
    """What a gang saw in some steps.

    Attributes
    ----------
    first_step : int
    spike_count : (step, member, population) int32, or (1, member, population) int64
        Spikes in this gang's blocks, in each step or in all of them.
    bold : (frame, member, voxel) float64
        At the end of each frame; empty where the gang is not complete.
    n_spikes : (step,) int64
        Spikes of member 0 in each step; empty unless asked for.
    spike_neuron : (spike,) int64
        Their neurons, ascending within a step.
    seen : list of Seen
        What was seen of member 0 in each block, if that was asked for.
    """

    first_step: int
    spike_count: NDArray[Any]
    bold: Floats
    n_spikes: Ints
    spike_neuron: Ints
    seen: list[Seen] = field(default_factory=list)

    @property
    def spikes(self) -> Spikes:
        """How many each step has, and their neurons."""
        return self.n_spikes, self.spike_neuron

    @property
    def spike_step(self) -> Ints:
        """Step of each spike: (spike,) int64."""
        return SpikeSteps(self.n_spikes, self.first_step)[:]


class Gang:
    """Blocks of one process, advanced in turn, step by step.

    Parameters
    ----------
    specs : list of BlockSpec
        Blocks to make live.
    exchanges : list of Exchange
        The end of each.
    partition : Partition
        What all blocks of the network own, in other processes too.
    edges : Edges, optional
        Of a block of this process with the same neurons and threads, to be shared.
    """

    def __init__(
        self, specs: list[BlockSpec], exchanges: list[Exchange], partition: Partition,
        edges: Edges | None = None,
    ) -> None:  # fmt: skip
        self.blocks = [live(spec, edges) for spec in specs]
        for block in self.blocks:
            block.settle()  # has the kernels compiled before any peer waits
        self._raster = Raster(self.blocks)
        self.exchanges = exchanges
        self.partition = partition
        self.haemodynamics: Haemodynamics | None = None
        if len(specs) == partition.n_blocks:
            spec = specs[0]
            self.haemodynamics = Haemodynamics(spec.network.populations, spec.members, spec.dt_ms)
        self._before: list[tuple[Held, frozenset[str]]] = []
        self._asked: list[Asked] = []
        self._swaps: list[Swaps] = []
        self._march: March | None = None
        self._steps, self._took_s = 0, 0.0
        self._left = False

    @classmethod
    def local(
        cls, specs: list[BlockSpec], partition: Partition, edges: Edges | None = None
    ) -> Gang:
        """All blocks of a network in this process."""
        gang = cls(specs, list(Loopback.ring(len(specs))), partition, edges)
        gang.introduce()
        return gang

    def introduce(self) -> None:
        """Tell every peer which of its neurons are heard here and how soon, and learn the same."""
        soonest, rows = [], []
        for block, exchange in zip(self.blocks, self.exchanges, strict=True):
            heard = block.edges.heard
            owner = self.partition.owner(heard)
            order = np.argsort(owner, kind="stable")
            cuts = np.searchsorted(owner[order], np.arange(1, exchange.size))
            of_peer = np.split(order, cuts)
            soonest.append(shortest(block, of_peer))
            rows.append([(block.n_neurons + of).astype(np.uint32) for of in of_peer])
            own = [self.partition.local(heard[of]) for of in of_peer]
            told = zip(soonest[-1], own, rows[-1], strict=True)
            exchange.post(
                -1, [np.concatenate([[soon], *both]).astype(np.uint32) for soon, *both in told]
            )
        ends = zip(self.blocks, self.exchanges, soonest, rows, strict=True)
        for block, exchange, soon, hears in ends:
            words = exchange.wait(-1)
            asked = [ids[1:].reshape(2, -1) for ids in words]
            masks = Masks([told[1] for told in asked], hears) if exchange.far else None
            self._asked.append(Asked(asked, block.n_neurons))
            self._swaps.append(Swaps.agreed(soon, words, masks))
        n_heard = [[of.size for of in hears] for hears in rows]
        self._march = marching(self.blocks, self.exchanges, n_heard, self._asked, self._swaps)

    def advance(
        self,
        n_steps: int,
        frame_steps: int,
        spikes: bool,
        drive: Drive | None = None,
        watch: Watch | None = None,
        summed: bool = False,
    ) -> Window:
        """Run some steps.

        Parameters
        ----------
        n_steps : int
        frame_steps : int
            Steps of a BOLD frame.
        spikes : bool
            Also return every spike of member 0.
        drive : Drive, optional
            What stimuli do in these steps.
        watch : Watch, optional
            What else to look at.
        summed : bool
            Return the counts of all steps together.

        Returns
        -------
        Window
        """
        self._before = []  # frees what the last change replaced
        begun = perf_counter()
        flow, first_step = self.haemodynamics, self.blocks[0].step_index
        observers = self._observers(watch, n_steps)
        if flow is not None and self._on_one_device:
            from dtbdask.sim.cuda_stride import stride

            count, bold, fired = stride(
                self.blocks[0], flow, n_steps, frame_steps, drive, observers, spikes=spikes,
                summed=summed,
            )  # fmt: skip
        else:
            count, fired = self._walk(n_steps, drive, observers, spikes=spikes)
            bold = np.zeros((0, count.shape[1], 0))
            if flow is not None:
                bold = flow.advance(count, first_step, frame_steps)
            if summed:
                count = count.sum(axis=0, keepdims=True, dtype=np.int64)
        for observer in observers:
            observer.finish()
        seen = [observer.seen for observer in observers]
        self._steps += n_steps
        self._took_s += perf_counter() - begun
        return Window(first_step, count, bold, *fired, seen)

    @property
    def _overlaps(self) -> bool:
        """Blocks deliver their own spikes while they wait for peers; who marches does so anyway."""
        elsewhere = self.partition.n_blocks > len(self.blocks)
        return elsewhere and self._march is None and self.blocks[0].spec.device == "cpu"

    @property
    def _on_one_device(self) -> bool:
        """The network is one block, on a device: nothing is exchanged."""
        return self.partition.n_blocks == 1 and self.blocks[0].spec.device == "cuda"

    def _walk(
        self, n_steps: int, drive: Drive | None, observers: list[Observer], *, spikes: bool
    ) -> tuple[NDArray[np.int32], Spikes]:  # fmt: skip
        """Counts, and spikes of member 0, of some steps of all blocks.

        A block that is the whole network, or that swaps in the kernel, makes many steps at once,
        unless it is looked at; others go step by step.
        """
        put, ends = driven(self.blocks, drive), _ends(n_steps, drive)
        count = np.zeros((n_steps, *self.blocks[0].spikes.shape), np.int32)
        marches = self._march is not None or self.partition.n_blocks == 1
        self._raster.begin()
        k = 0
        while k < n_steps:
            self._stay()
            put(k)
            if marches and not observers:
                block = self.blocks[0]
                until = min(k + block.longest_stride, int(ends[np.searchsorted(ends, k + 1)]))
                if self._march is None:
                    stride = block.stride(until - k, spikes=spikes)
                else:
                    last = until == n_steps
                    stride = self._march.stride(until - k, spikes=spikes, last=last)
                count[k:until], k = stride.spike_count, until
                if spikes:
                    self._raster.take_stride(stride)
            else:
                self._step(k, count[k], observers, spikes=spikes, last=k == n_steps - 1)
                k += 1
        put(n_steps)
        return count, self._raster.spikes()

    def _step(
        self, k: int, count: NDArray[np.int32], observers: list[Observer], *, spikes: bool,
        last: bool,
    ) -> None:  # fmt: skip
        """Make one step of all blocks."""
        step = self.blocks[0].step_index
        for block in self.blocks:
            block.step()
            count += block.spikes
        for observer in observers:
            observer.look(k)
        self._swap(step, last=last)
        if spikes:
            self._raster.take()

    def _observers(self, watch: Watch | None, n_steps: int) -> list[Observer]:
        """One for each block that has member 0, if something is asked for."""
        if watch is None or self.blocks[0].spec.first_member > 0:
            return []
        return [_observer(block, watch, n_steps) for block in self.blocks]

    def _swap(self, step: int, *, last: bool) -> None:
        if self.partition.n_blocks == 1:
            return
        due = []
        for block, exchange, peers, swaps in zip(
            self.blocks, self.exchanges, self._asked, self._swaps, strict=True
        ):
            begun = perf_counter_ns()
            swaps.add(peers.of(block))
            due.append(swaps.due(last=last))
            exchange.post(step, swaps.take(due[-1]))
            block.spent[SWAP] += perf_counter_ns() - begun
        if self._overlaps:
            for block in self.blocks:
                block.deliver_own()
        ends = zip(self.blocks, self.exchanges, self._swaps, due, strict=True)
        for block, exchange, swaps, n_steps in ends:
            begun = perf_counter_ns()
            messages = exchange.wait(step)
            waited = perf_counter_ns()
            _receive(block, swaps, messages, n_steps)
            block.spent[WAIT] += waited - begun
            block.spent[SWAP] += perf_counter_ns() - waited

    def change(self, change: Change) -> None:
        """Change a parameter in every block; `undo` takes it back."""
        self._before = [
            ((block.parameters, block.multiplier), block.begun) for block in self.blocks
        ]
        for block in self.blocks:
            block.change(change)
            if change.how != "multiply" and change.value.any():
                block.begin_current(change.parameter)

    def undo(self) -> None:
        """Take the last change back, which some block refused."""
        for block, (held, begun) in zip(self.blocks, self._before, strict=True):
            block.begun = begun
            block.take(*held)

    def held(self, name: str) -> tuple[Floats, Floats, bool]:
        """Base and multiplier, (member, population), and whether neurons have their own."""
        block = self.blocks[0]
        parameters = block.parameters
        shape = (block.spec.members, parameters.population["c"].shape[-1])
        base = np.broadcast_to(parameters.population[name], shape)
        multiplier = np.broadcast_to(block.multiplier.get(name, 1.0), shape)
        return base, multiplier, name in parameters.neuron

    def timing(self) -> tuple[int, Floats]:
        """Steps made, and what each block spent on them: (block, part) float64, s."""
        return self._steps, shared(self._took_s, [block.spent for block in self.blocks])

    def state(self, name: str) -> list[tuple[Ints, NDArray[Any]]]:
        """Ranges of neurons and values of a state field, for each block, all kicks delivered."""
        for block in self.blocks:
            block.settle()
        return [(block.spec.ranges, np.array(_field(block, name))) for block in self.blocks]

    def fields(self) -> dict[str, tuple[str, str]]:
        """Unit and meaning of each field of the state that is on."""
        fields = self.blocks[0].fields()
        return {name: (field.unit, field.meaning) for name, field in fields.items()}

    def changes(self) -> checkpoint.Changes:
        """What was done to the parameters since the session began."""
        return checkpoint.changes(self.blocks[0])

    def restore(self, store: str) -> None:
        """Take state, step, parameters and haemodynamics from a checkpoint."""
        checkpoint.put(store, self.blocks, self.haemodynamics)

    def balloon(self) -> Floats:
        """Haemodynamic state of this gang's members: (4, member, voxel) float64."""
        return self._whole().balloon.state

    def put_balloon(self, state: Floats) -> None:
        """Replace it, from that of all members: (4, member, voxel) float64."""
        spec = self.blocks[0].spec
        mine = state[:, spec.first_member : spec.first_member + spec.members]
        self._whole().balloon.put(mine)

    def _whole(self) -> Haemodynamics:
        if self.haemodynamics is None:
            raise SessionError(
                "the haemodynamics of a network split over workers are the session's"
            )
        return self.haemodynamics

    def leave(self) -> None:
        """Stop, from any thread: steps that are being made end with an error."""
        self._left = True
        for exchange in self.exchanges:
            exchange.leave()

    def _stay(self) -> None:
        if self._left:
            raise LostError(f"the gang was told to leave at step {self.blocks[0].step_index}")

    def close(self) -> None:
        """Leave the exchange and free the blocks."""
        for exchange in self.exchanges:
            exchange.close()
        for block in self.blocks:
            block.close()
        self.blocks, self._raster = [], Raster([])


def _ends(n_steps: int, drive: Drive | None) -> Ints:
    """Steps before which stimuli change something, and the end."""
    changes = np.zeros(0, np.int64) if drive is None else np.flatnonzero(drive.differs())
    return np.union1d(changes, [n_steps])


def live(spec: BlockSpec, edges: Edges | None = None) -> Block:
    """The block of a spec, on the device it asks for; on a CPU it may share its edges."""
    if spec.device == "cpu":
        return Block(spec, edges)
    from dtbdask.sim.cuda_block import CudaBlock

    return CudaBlock(spec)


def _observer(block: Block, watch: Watch, n_steps: int) -> Observer:
    if block.spec.device == "cpu":
        return Observer(block, watch, n_steps)
    from dtbdask.sim.cuda_block import CudaBlock
    from dtbdask.sim.cuda_observe import CudaObserver

    assert isinstance(block, CudaBlock)
    return CudaObserver(block, watch, n_steps)


def _receive(
    block: Block, swaps: Swaps, messages: list[NDArray[np.uint32]], n_steps: list[int]
) -> None:
    """Give a block the rows of the neurons of each peer that spiked, by how long ago."""
    found: dict[int, list[NDArray[np.uint32]]] = {}
    for peer, (message, n) in enumerate(zip(messages, n_steps, strict=True)):
        for k, rows in enumerate(swaps.told(peer, message, n) if n else []):
            found.setdefault(n - 1 - k, []).append(rows)
    for age, lists in found.items():
        told, n_rows = np.concatenate(lists), block.n_neurons + block.edges.heard.size
        if told.max(initial=0) >= n_rows:
            raise ExchangeError(
                f"swap: a peer told of row {told.max():,} of a block that has {n_rows:,}"
            )
        block.receive(told, age)


def _field(block: Block, name: str) -> NDArray[Any]:
    """A field of the state by name; where it is off, its start or zeros."""
    if name in MEMORIES and name not in block.begun:
        return block.start_of(MEMORIES[name].initial)
    fields = block.fields()
    if name in fields:
        return fields[name].get()
    return np.zeros((block.spec.members, block.n_neurons), block.spec.dtype)
