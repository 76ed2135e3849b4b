"""A block on a CUDA device: the same neurons, edges and spikes as a `Block`, to the bit.

State and edges live on the device. A window of steps is enqueued as CUDA graphs, piece by piece;
what the host asked to see of a piece is copied while the next one is under way. Where blocks
exchange spikes a window has one step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.errors import InputError
from dtbdask.kernels import cuda, cuda_memory
from dtbdask.sim import cuda_edges
from dtbdask.sim.block import Block
from dtbdask.sim.cuda_lists import Lists
from dtbdask.sim.cuda_state import OnHost, Ring
from dtbdask.sim.currents import MEMORIES
from dtbdask.sim.model import Coefficients
from dtbdask.sim.spec import BlockSpec
from dtbdask.sim.state import Field, State

Counts = NDArray[Any]
Ints = NDArray[np.int64]

GRAPH_STEPS = 32
"""Steps of the longest graph."""
DELIVER_THREADS = 256
DELIVER_BLOCKS = 8
"""Blocks of threads that deliver, for each multiprocessor; members share them."""


class CudaBlock(Block):
    """Neurons of some ranges on the device in use.

    Parameters
    ----------
    spec : BlockSpec
        With one thread: a device has its own.
    threads : int
        Of a block of threads of the neuron update: at most 256, a multiple of 32. No result
        depends on it.
    """

    def __init__(self, spec: BlockSpec, threads: int = 64) -> None:
        self._cp: Any = cuda.load_cupy()
        if spec.threads != 1:
            raise InputError(f"threads is {spec.threads}; a block on a device takes 1")
        cuda_memory.share_pool()
        self._threads, self._stale = threads, True
        self._graphs: dict[tuple[cuda.Build, int], Any] = {}
        self._kept: list[dict[str, Any]] = []
        self._build: Any = None
        self._state = self._coefficients_sent = np.zeros(0)
        self._value = self._factor = self._cp.zeros(0)
        self._stretches_sent: tuple[Ints, ...] = ()
        super().__init__(spec)
        cp, edges = self._cp, self.edges
        self._tiles = cp.asarray(self.tiles)
        self._marked = cp.zeros(-(-self.n_neurons // rng.TILE) * 4, np.uint32)
        self._script = cp.asarray(self.script.step), cp.asarray(self.script.neuron)
        self._delays = (
            cuda.filled(cuda.DELAYS)
            if self.delays is None
            else self._keep(cuda.DELAYS, **self.delays._asdict())
        )
        n_long = max(1, edges.n_long * spec.members)
        self._long_count = cp.zeros(1, np.uint32)
        self._long = self._keep(
            cuda.LONG_ROWS, row=cp.empty(n_long, np.uint32), tile=cp.empty(n_long, np.uint32),
            member=cp.empty(n_long, np.uint32), count=self._long_count,
        )  # fmt: skip
        self._edges = edges.struct()
        self._clock = cp.zeros(2, np.int64)
        self._lists = Lists(
            self.n_neurons, spec.members, self._runs_on_device(self.run_stop, self.run_population),
            self._census.shape[1] - 1, self.shift,
        )  # fmt: skip
        self._sm = cp.cuda.Device().attributes["MultiProcessorCount"]

    @property
    def coefficients(self) -> Coefficients:
        """What the kernels read; a change of it is sent to the device before the next step."""
        return self._coefficients

    @coefficients.setter
    def coefficients(self, value: Coefficients) -> None:
        self._coefficients, self._stale = value, True

    def step(self) -> None:
        """Deliver the spikes of the last step, then advance by one exchange step."""
        self.spikes[:] = self.advance(1, logged=False)[0][0]
        for m in range(self.spec.members):
            found = self._cp.sort(self._lists.last(m)).get()
            self.n_fired[m, 0], self.fired[m, : found.size] = found.size, found

    def advance(
        self, n_steps: int, *, logged: bool, summed: bool = False,
        before: Callable[[int], None] | None = None, after: Callable[[int], None] | None = None,
        each: Callable[[Any], None] | None = None,
    ) -> tuple[Counts, Ints, Ints]:  # fmt: skip
        """Make some steps; the host waits for pieces of them, while the next piece is under way.

        Parameters
        ----------
        n_steps : int
        logged : bool
            Keep the spikes of the first member.
        summed : bool
            Return the counts of all steps together.
        before : callable, optional
            Called with the number of each step, to prepare it.
        after : callable, optional
            Called with the number of each step when it has been enqueued.
        each : callable, optional
            Called with the counts of one piece after the other, (step, member, population + 1)
            int32 on the device, to enqueue what is to be done with them.

        Returns
        -------
        count : (step, member, population) int32, or (1, member, population) int64 if summed
            Spikes of each population.
        n_spikes : (step,) int64
            Spikes of the first member in each step; none unless they are kept.
        neuron : (spike,) int64
            Their global neurons, ascending in each step.
        """
        lists, under_way = self._lists, None
        self._reserve(n_steps, logged=logged)
        self._refresh(logged=logged)
        self._begin_window(n_steps)

        for start in range(0, n_steps, lists.piece):
            stop = min(start + lists.piece, n_steps)
            self._make(start, stop, logged, before, after)
            if under_way is not None:
                lists.take(*under_way, logged=logged, summed=summed, each=each)
            under_way = start, stop, self._cp.cuda.get_current_stream().record()
        assert under_way is not None
        lists.take(*under_way, logged=logged, summed=summed, each=each)
        self.step_index += n_steps
        return lists.end(n_steps, logged=logged, summed=summed)

    def _make(
        self, start: int, stop: int, logged: bool, before: Callable[[int], None] | None,
        after: Callable[[int], None] | None,
    ) -> None:  # fmt: skip
        """Enqueue steps of a window."""
        k = start
        while k < stop:
            if before is not None:
                before(k)
            self._refresh(logged=logged)
            steps = 1
            if before is None and after is None:
                steps = min(GRAPH_STEPS, 1 << (stop - k).bit_length() - 1)
            self._graph(steps).launch()
            if after is not None:
                after(k)
            k += steps

    def kernel(self, name: str) -> Any:
        """A kernel of those in use."""
        return self._kernels[name]

    def seen_by_kernels(self) -> tuple[Any, Any]:
        """State and coefficients as kernels take them."""
        return self._state, self._coefficients_sent

    def strike(self, count: Any, place: Any) -> None:
        """Count the spikes of chosen neurons in the last step that was enqueued.

        Parameters
        ----------
        count : (sample,) uint16 cupy.ndarray
            Added to.
        place : (neuron,) uint32 cupy.ndarray
            Place in the sample, plus 1, or 0.
        """
        self.kernel("strike")((self._sm,), (256,), (count, place, self._lists.fired, self._clock))

    def settle(self) -> None:
        """Deliver the spikes of the last step and add the kicks to the traces: state at rest."""
        self._refresh(logged=False)
        self._begin_window(0)
        self._deliver_fired(0)
        self._integrate_at(0, 0)
        self._lists.forget()
        self.n_fired[:] = 0
        self._incoming = []

    def fields(self) -> dict[str, Field]:
        """All of the state that the next step depends on, by name; see `Block.fields`."""
        ring = Ring(self.state.kick, self._packing, self.receptors, self.edges.kick_dtype)
        return {
            name: field._replace(live=ring if name == "pending" else OnHost(field.live))
            for name, field in super().fields().items()
        }

    def soonest(self) -> Ints:
        """Shortest delay of the edges of each foreign neuron: (foreign,) int64, steps."""
        least = self._cp.zeros(self.edges.heard.size, np.uint32)
        arguments = (least, self._edges, self._delays, np.uint32(self.n_neurons))
        if least.size:
            self.kernel("soonest")((-(-least.size // 8),), (8 * cuda.WARP,), arguments)
        found: Ints = least.get().astype(np.int64)
        return found

    def _collect(self) -> Any:
        spec, features = self.spec, self.coefficients.features
        edges = cuda_edges.collect(spec.network, spec.ranges, features)
        self._packing = cuda.Packing.of(edges.most, features.receptors)
        return edges

    def _initial(self) -> State:
        cp, host, packing = self._cp, super()._initial(), self._packing
        shape = (self.n_slots, packing.n_words, *host.v.shape)
        arrays = (host.v, host.ou, *host.j, host.refractory)
        wanted = sum(a.nbytes for a in arrays)
        wanted += int(np.prod(shape)) * np.dtype(packing.dtype).itemsize
        cuda_memory.check_free(wanted, "the neurons of the block")
        return State(
            cp.asarray(host.v), cp.asarray(host.ou), tuple(cp.asarray(j) for j in host.j),
            cp.asarray(host.refractory), cp.zeros(shape, packing.dtype),
            cp.asarray(host.h_t), cp.asarray(host.ca),
        )  # fmt: skip

    def _begin(self) -> None:
        super()._begin()
        state, cp = self.state, self._cp
        for name in MEMORIES:
            setattr(state, name, cp.asarray(getattr(state, name)))
        now = cuda.filled(
            cuda.STATE, v=state.v, ou=state.ou, h_t=state.h_t, ca=state.ca,
            refractory=state.refractory, kick=state.kick,
            **{f"j{u}": trace for u, trace in enumerate(state.j)},
        )  # fmt: skip
        self._state = self._seen_anew(self._state, now)

    def _keep(self, layout: np.dtype[Any], **arrays: NDArray[Any]) -> Any:
        """A struct of arrays that stay on the device as long as the block."""
        on_device = {name: self._cp.asarray(values) for name, values in arrays.items()}
        self._kept.append(on_device)
        return cuda.filled(layout, **on_device)

    def _runs_on_device(self, stop: Ints, population: Ints) -> dict[str, Any]:
        """Runs of neurons, the first of each tile, and the population of tiles that have one."""
        cp, low = self._cp, np.arange(self.tiles.size) * rng.TILE
        first = np.searchsorted(stop, low, side="right")
        alike = (stop[first] >= low + rng.TILE) & (low + rng.TILE <= self.n_neurons)
        return {
            "stop": cp.asarray(stop, np.uint32),
            "population": cp.asarray(population, np.int32),
            "first": cp.asarray(first, np.uint32),
            "only": cp.asarray(np.where(alike, population[first], -1), np.int32),
        }

    def _refresh(self, *, logged: bool) -> None:
        """Send to the device what changed since the last step."""
        build = cuda.Build(
            self.coefficients.features, self.spec.dtype, self._packing, self.edges.packed,
            delayed=self.delays is not None, logged=logged,
        )  # fmt: skip
        if build != self._build:
            self._build = build
            self._kernels = {name: build.kernel(name) for name in cuda.STEP}  # loads them
        if not self._stale:
            return
        c, stretches = self.coefficients, (self.stretch_stop, self.stretch_population)
        if not (self._stretches_sent and all(map(np.array_equal, stretches, self._stretches_sent))):
            self._stretches_sent, self._stretches = stretches, self._runs_on_device(*stretches)
        self._value = self._renewed(self._value, c.value)
        self._factor = self._renewed(self._factor, c.factor)
        now = cuda.filled(
            cuda.COEFFICIENTS, value=self._value, factor=self._factor, **self._stretches,
            n_populations=c.value.shape[1],
        )  # fmt: skip
        self._coefficients_sent = self._seen_anew(self._coefficients_sent, now)
        self._stale = False

    def _renewed(self, held: Any, values: NDArray[Any]) -> Any:
        """Values on the device, where they were if they have the room."""
        if held.shape != values.shape or held.dtype != values.dtype:
            return self._cp.asarray(values)
        held.set(values)
        return held

    def _seen_anew(self, before: Any, now: Any) -> Any:
        """What kernels take from now on; graphs have taken what was before."""
        if before.tobytes() != now.tobytes():
            self._graphs.clear()
        return now

    def _reserve(self, n_steps: int, *, logged: bool) -> None:
        """Have room for what a window leaves behind."""
        if self._lists.reserve(n_steps, logged=logged):
            self._graphs.clear()

    def _begin_window(self, n_steps: int) -> None:
        """Have the spikes of the last step ready, foreign ones delivered, and the clock set."""
        self._lists.begin(n_steps)
        self._clock.set(np.array([0, self.step_index]))
        for rows, age in self._incoming:
            self._deliver_rows(self._cp.asarray(rows[0]), age)
        self._incoming = []

    def _graph(self, steps: int) -> Any:
        """Some steps as one graph."""
        key = (self._build, steps)
        if key not in self._graphs:
            stream = self._cp.cuda.Stream(non_blocking=True)
            with stream:
                stream.begin_capture()
                for j in range(steps):
                    self._enqueue(j, stream)
                self.kernel("tick")((1,), (1,), (self._clock, np.uint32(steps)))
                self._graphs[key] = stream.end_capture()
        return self._graphs[key]

    def _enqueue(self, j: int, stream: Any) -> None:
        """The `j`-th step from the clock on."""
        if self._build.features.scripted:
            self._marked.data.memset_async(0, self._marked.nbytes, stream)
            step, neuron = self._script
            arguments = (self._marked, step, neuron, np.int64(step.size), self._clock, np.uint32(j))
            self.kernel("mark")((64,), (128,), arguments)
        self._deliver_fired(j)
        self._integrate_at(j, self.spec.t_steps)

    def _deliver_fired(self, j: int) -> None:
        self._deliver_from(self._lists.fired, self._clock, j, 0)

    def _deliver_rows(self, rows: Any, age: int) -> None:
        """Deliver spikes of foreign neurons, `age` steps before the last one."""
        cp = self._cp
        count, base = cp.asarray([rows.size], np.uint32), cp.zeros(2, np.uint64)
        clock = cp.asarray([0, self.step_index])
        fired = cuda.filled(
            cuda.FIRED, log=rows, count=count, base=base, n=self.n_neurons, members=1, piece=1
        )
        self._deliver_from(fired, clock, 0, age)

    def _deliver_from(self, fired: Any, clock: Any, j: int, age: int) -> None:
        kick, n = self.state.kick, np.uint32(self.n_neurons)
        step = (clock, np.uint32(j), np.uint32(age), np.uint32(self.n_slots), n)
        blocks, members, block = self._sm * DELIVER_BLOCKS, self.spec.members, (DELIVER_THREADS,)
        if self.edges.n_long:
            self._long_count.data.memset_async(0, 4, self._cp.cuda.get_current_stream())
        arguments = (kick, fired, self._edges, self._delays, self._long, *step)
        self.kernel("deliver")((-(-blocks // members), members), block, arguments)
        if self.edges.n_long:
            arguments = kick, self._edges, self._delays, self._long, *step, np.uint32(members)
            self.kernel("deliver_long")((blocks,), block, arguments)

    def _integrate_at(self, j: int, t_steps: int) -> None:
        spec, threads = self.spec, self._threads
        k0, k1 = self._key
        arguments = (
            self._state, self._coefficients_sent, self._lists.census, self._lists.fired,
            self._tiles, self._marked, self._clock, np.uint32(j), np.uint32(t_steps), self._scale,
            np.uint32(spec.first_member), k0, k1, np.uint32(self.n_slots),
            np.uint32(self.n_neurons),
        )  # fmt: skip
        grid = (-(-self.tiles.size * cuda.WARP // threads), spec.members)
        self.kernel("integrate")(grid, (threads,), arguments)
