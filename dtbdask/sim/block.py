"""A block: ranges of neurons of all its members, with the edges that end on them, in motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.errors import InputError
from dtbdask.graph.delays import longest_delay
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.ranges import spread, tiles_of
from dtbdask.graph.script import read_script
from dtbdask.kernels import RECEPTORS, cpu, cpu_delays, cpu_machine, cpu_stride
from dtbdask.sim.changes import Change
from dtbdask.sim.currents import BACKGROUND, MEMORIES, begun, begun_in
from dtbdask.sim.delays import Delays
from dtbdask.sim.edges import Edges, collect
from dtbdask.sim.model import coefficients, receptors
from dtbdask.sim.spec import BlockSpec
from dtbdask.sim.state import Field, State, Stride

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STRIDE = 10_000_000
"""Neurons times sub-steps that are advanced between two turns of the interpreter."""


class Block:
    """Neurons of some ranges, live; their local order is that of their global indices.

    Parameters
    ----------
    spec : BlockSpec

    Attributes
    ----------
    fired : (member, neuron) uint32
        Local indices of the neurons that spiked in the last step, ascending within each part.
    n_fired : (member, part) int64
        How many there are from `bounds[part]` on.
    spikes : (member, population) int32
        Spikes of each population in the last step.
    spent : list of int, ns
        On delivery, neurons, swaps and waiting; of several threads the mean, or the first's.
    """

    def __init__(self, spec: BlockSpec) -> None:
        self.spec = spec
        self.step_index = 0
        members, populations = spec.members, spec.network.populations
        self.population = np.concatenate([populations.population_of(*r) for r in spec.ranges])
        n = self.population.size
        self.tiles = _tiles(spec.ranges)
        self.run_stop, self.run_population = _runs(self._counted())
        self.bounds = _parts(n, spec.threads)
        self.receptors = receptors(spec.network.parameters)
        self.script = read_script(spec.network, spec.ranges)
        self.begun: frozenset[str] = frozenset()
        self._use(spec.network.parameters, {})
        self.edges: Any = self._collect()
        self.n_slots = longest_delay(populations)
        self.delays: Delays | None = None
        if self.n_slots > 1:
            heard = populations.of(self.edges.heard)
            self.delays = Delays.make(populations, self.population, heard)
        self.state = self._initial()
        self._begin()
        self.fired, self._next_fired = np.zeros((2, members, n), np.uint32)
        self.n_fired, self._next_n_fired = np.zeros((2, members, spec.threads), np.int64)
        self._census = np.zeros((members, populations.size.size + 1), np.int32)
        self.spikes = self._census[:, :-1]
        self.spent = [0] * 4
        self._incoming: list[tuple[NDArray[np.uint32], int]] = []
        self._key = np.array(rng.split_seed(spec.seed), np.uint32)
        self._scale = np.dtype(spec.dtype).type(spec.network.wiring.weight_scale)
        self._pool = ThreadPoolExecutor(spec.threads - 1) if spec.threads > 1 else None

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.population.size

    def step(self) -> None:
        """Deliver the spikes of the last step, then advance by one exchange step.

        A thread delivers to its own part and goes on to advance it: threads meet once a step.
        """
        self.on_parts(lambda part: self._advance(part, self.spec.t_steps))
        self.fired, self._next_fired = self._next_fired, self.fired
        self.n_fired, self._next_n_fired = self._next_n_fired, self.n_fired
        self._incoming = []
        self.step_index += 1
        self.spikes[:] = 0
        cpu.census(
            self._census, self.fired, self.n_fired, self.bounds, self.run_stop, self.run_population
        )

    def stride(
        self, n_steps: int, *, spikes: bool, kernel: Callable[..., None] = cpu_stride.stride
    ) -> Stride:
        """Make some steps; the threads of the block meet in the kernel.

        Parameters
        ----------
        n_steps : int
            At most `longest_stride`.
        spikes : bool
            Return the spikes of member 0.
        kernel : callable
            What makes them; by default that of a block that exchanges nothing.
        """
        members, threads = self.spec.members, self.spec.threads
        count = np.zeros((n_steps, threads, members, self._census.shape[1]), np.int32)
        n_log = np.zeros((threads, n_steps), np.int64)
        spent = np.zeros((threads, 4), np.int64)
        arrived = np.zeros((threads, cpu_machine.LINE), np.int64)
        room = n_steps * np.diff(self.bounds) * spikes
        logs = [np.empty(n, np.uint32) for n in room]  # touched as far as they are filled
        state, c, edges = self.state, self.coefficients, self.edges
        lists = (self.fired, self._next_fired, self.n_fired, self._next_n_fired)

        def work(part: int) -> None:
            kernel(
                c.features, part, arrived, (count, logs[part], n_log[part], spent[part]),
                (edges.indptr[part], edges.target, edges.weight, edges.inhibitory),
                None if self.delays is None else tuple(self.delays), lists,
                (state.kick, state.v, state.ou, state.j, state.refractory, state.h_t, state.ca),
                (c.value, c.factor, self.stretch_stop, self.stretch_population),
                (self.bounds, self.tiles, self.spec.first_member, self._key),
                (self.step_index, n_steps, self.spec.t_steps, self._scale),
                (self.script.step, self.script.neuron), (self.run_stop, self.run_population),
            )  # fmt: skip

        self.on_parts(work)
        if n_steps % 2:
            self.fired, self._next_fired = self._next_fired, self.fired
            self.n_fired, self._next_n_fired = self._next_n_fired, self.n_fired
        self.step_index += n_steps
        whole = count.sum(axis=1, dtype=np.int32)[..., :-1]
        if n_steps:
            self.spikes[:] = whole[-1]
        now = spent.mean(axis=0).astype(int).tolist()
        self.spent = [was + more for was, more in zip(self.spent, now, strict=True)]
        return Stride(whole, logs, n_log)

    @property
    def longest_stride(self) -> int:
        """Steps after which the interpreter has its turn, some tens of milliseconds."""
        return max(1, STRIDE // (self.spec.members * self.n_neurons * self.spec.t_steps))

    def settle(self) -> None:
        """Deliver the spikes of the last step and add the kicks to the traces: state at rest.

        Kicks that are due later stay in their slots.
        """
        self.on_parts(lambda part: self._advance(part, 0))
        self._incoming = []
        self.n_fired[:] = 0

    def fields(self) -> dict[str, Field]:
        """All of the state that the next step depends on, by name, once the block is settled.

        Checkpoints and `Session.state` know the state from here: a quantity that is off is absent,
        and a new one is a new entry.
        """
        state = self.state
        traces = {
            f"j_{name}": Field(trace, "1", f"trace of the {name} receptor")
            for name, trace, on in zip(RECEPTORS, state.j, self.receptors, strict=True)
            if on
        }
        memories = {
            name: Field(getattr(state, name), "1", f"state of the current of {memory.conductance}")
            for name, memory in MEMORIES.items()
            if name in self.begun
        }
        meaning = "kicks that are due later, by step"
        late = {"pending": Field(state.kick, "1", meaning, self._late())}
        return {
            "v": Field(state.v, "mV", "membrane potential"),
            "ou": Field(state.ou, "mV/ms", "background current"),
            "refractory": Field(state.refractory, "sub-steps", "left of the refractory period"),
            **traces,
            **memories,
            **(late if self.n_slots > 1 else {}),
        }

    def go_on(
        self, step: int, parameters: Parameters, multiplier: Mapping[str, Floats],
        fields: Mapping[str, NDArray[Any]],
    ) -> None:  # fmt: skip
        """Be where another block of these neurons and members was.

        Parameters
        ----------
        step : int
            Steps it had made.
        parameters : Parameters
        multiplier : mapping of str to (member, population) float64
        fields : mapping of str to (..., member, neuron)
            State at rest, by the names of `fields`.
        """
        self.settle()
        self.state.kick[:] = 0  # nothing stays on its way
        self.begun = begun_in(fields)
        self.take(parameters, multiplier)
        self.step_index = step
        for name, field in self.fields().items():
            field.put(fields[name])

    def receive(self, rows: NDArray[np.uint32], age: int = 0) -> None:
        """Take the rows of foreign neurons that spiked in the last step, or some steps before it.

        Parameters
        ----------
        rows : (spike,) uint32
            Rows of the edges.
        age : int
            Steps before the last one; less than the shortest delay of their edges.
        """
        if rows.size:
            self._incoming.append((rows[None, :], age))

    def pending(self) -> NDArray[np.unsignedinteger]:
        """Kicks that are on their way once the block is settled.

        Returns
        -------
        (late, 2, member, neuron) unsigned
            Those that act 1, 2, ... steps after the beginning of the coming step; none without
            delays. Packed as in `dtbdask.kernels`, the same in every block of a network.
        """
        return self.state.kick[self._late()]

    def _late(self) -> Ints:
        """Slots after that of the coming step, in the order of their steps."""
        return (self.step_index + np.arange(1, self.n_slots)) % self.n_slots

    def global_spikes(self, member: int = 0) -> Ints:
        """Global indices of the neurons that spiked in the last step, ascending: (spike,) int64."""
        return self.global_of(self.local_spikes(member))

    def local_spikes(self, member: int = 0) -> NDArray[np.uint32]:
        """Local indices of the neurons that spiked in the last step, ascending: (spike,) uint32."""
        lists = (
            self.fired[member, low : low + count]
            for low, count in zip(self.bounds[:-1], self.n_fired[member], strict=True)
        )
        return np.concatenate(list(lists))

    def global_of(self, neuron: NDArray[np.uint32]) -> Ints:
        """Global indices of local ones: (...) int64."""
        found: Ints = self.shift[neuron // np.uint32(rng.TILE)]
        found += neuron
        return found

    @property
    def shift(self) -> Ints:
        """What makes a local index of each tile a global one: (tile,) int64."""
        return (self.tiles - np.arange(self.tiles.size)) * rng.TILE

    def change(self, change: Change) -> None:
        """Change a parameter from the next step on."""
        spec = self.spec
        members = range(spec.first_member, spec.first_member + spec.members)
        held = (self.parameters, self.multiplier)
        self.take(*change.applied(held, spec.network.populations, members))

    def begin_current(self, name: str) -> None:
        """Begin the state of the current of a conductance that some member has, here or not."""
        fields = {field for field, memory in MEMORIES.items() if memory.conductance == name}
        if fields - self.begun:
            self.begun |= fields
            self.take(self.parameters, self.multiplier)

    def start_of(self, name: str) -> NDArray[np.floating]:
        """Value of a parameter from which a state begins: (member, neuron) float."""
        shape = (self.spec.members, self.n_neurons)
        shared = self.parameters.population[name][self.population]
        values = self._own(self.parameters.neuron).get(name, shared)
        return np.array(np.broadcast_to(values, shape), dtype=self.spec.dtype, order="C")

    def close(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()

    def take(self, parameters: Parameters, multiplier: Mapping[str, Floats]) -> None:
        """Take parameters; the state of the currents that they switch on begins."""
        self._use(parameters, multiplier)
        self._begin()

    def soonest(self) -> Ints:
        """Shortest delay of the edges of each foreign neuron: (foreign,) int64, steps."""
        assert self.delays is not None
        return self.delays.least(self.edges)

    def _collect(self) -> Edges:
        """Edges that end in the block."""
        features = self.coefficients.features
        return collect(self.spec.network, self.spec.ranges, self.bounds, features)

    def _begin(self) -> None:
        """Have the state of those currents that have begun, and of no others."""
        for name, memory in MEMORIES.items():
            if name not in self.begun:
                setattr(self.state, name, self.state.v[:, :0].copy())
            elif not getattr(self.state, name).size:
                setattr(self.state, name, self.start_of(memory.initial))

    def _use(self, parameters: Parameters, multiplier: Mapping[str, Floats]) -> None:
        """Take parameters, and find the stretches of neurons with the same coefficients.

        The receptors of the start stay: the weights of the others were never loaded.
        """
        spec = self.spec
        own = Parameters(parameters.population, self._own(parameters.neuron))
        made = coefficients(
            own, multiplier, self.population, members=spec.members,
            h=spec.dt_ms / spec.t_steps, dtype=spec.dtype, start=0,
        )  # fmt: skip
        for name, then, now in zip(RECEPTORS, self.receptors, receptors(parameters), strict=True):
            if now and not then:
                raise InputError(
                    f"g_{name} was zero everywhere when the session began, so its weights were not "
                    f"loaded; give the network a g_{name} above zero when it is built"
                )
        self.parameters, self.multiplier = parameters, dict(multiplier)
        self.begun = begun(parameters, self.begun)
        features = made.features._replace(  # of the whole network, so that all its blocks agree
            receptors=self.receptors,
            background=BACKGROUND in self.begun,
            noise=parameters.on("noise_rate"),
            scripted=self.script.anywhere,
            calcium="h_t" in self.begun,
            dopamine=parameters.on("g_da"),
            adaptation="ca" in self.begun,
        )
        self.coefficients = replace(made, features=features)
        self.join()

    def join(self, group: Ints | None = None) -> None:
        """Find the stretches of neurons with the same coefficients.

        Parameters
        ----------
        group : (population,) int64, optional
            Only populations of one group are joined.
        """
        value = self.coefficients.value
        same = (value[:, 1:] == value[:, :-1]).all(axis=(0, 2))
        if group is not None:
            same &= group[1:] == group[:-1]
        alike = np.concatenate([[0], np.cumsum(~same)])  # number of the set of each population
        self.stretch_stop, _ = _runs(alike[self.population])
        self.stretch_population = self.population[self.stretch_stop - 1]

    def _own(self, values: Mapping[str, Floats]) -> dict[str, Floats]:
        """Of values of all neurons those of this block."""
        own = spread(self.spec.ranges) if values else slice(0)
        return {name: value[own] for name, value in values.items()}

    def _counted(self) -> Ints:
        """Population for which the spikes of each neuron count; one more for the excluded."""
        parameters = self.spec.network.parameters
        excluded = parameters.population["excluded"][self.population] > 0
        if "excluded" in parameters.neuron:
            own = parameters.neuron["excluded"]
            excluded = np.concatenate([own[low:high] for low, high in self.spec.ranges]) > 0
        return np.where(excluded, self.spec.network.populations.size.size, self.population)

    def _initial(self) -> State:
        """V half-way between reset and threshold, no traces, the background at its mean."""
        spec, shape = self.spec, (self.spec.members, self.n_neurons)
        own = self._own(self.parameters.neuron)

        def base(name: str) -> Floats:
            shared: Floats = self.parameters.population[name][self.population]
            return own.get(name, shared)

        def alike(values: Floats) -> NDArray[np.floating]:
            return np.array(np.broadcast_to(values, shape), dtype=spec.dtype, order="C")

        on = self.coefficients.features.receptors
        empty = np.zeros((spec.members, 0), spec.dtype)
        return State(
            v=alike((base("v_th") + base("v_reset")) / 2),
            ou=alike(base("ou_mean")),
            j=tuple(np.zeros(shape, spec.dtype) if on[u] else empty for u in range(len(RECEPTORS))),
            refractory=np.zeros(shape, np.uint16),
            kick=np.zeros((self.n_slots, 2, *shape), self.edges.kick_dtype),
            h_t=empty,
            ca=empty,
        )

    def on_parts(self, work: Callable[[int], None]) -> None:
        """Call `work` with the number of each part, on its thread."""
        if self._pool is None:
            work(0)
            return
        others = [self._pool.submit(work, part) for part in range(1, self.spec.threads)]
        work(0)
        for other in others:
            other.result()

    def _advance(self, part: int, t_steps: int) -> None:
        begun = perf_counter_ns()
        self._deliver(part)
        delivered = perf_counter_ns()
        self._integrate(part, t_steps)
        if part == 0 and t_steps:
            self.spent[cpu_stride.DELIVERY] += delivered - begun
            self.spent[cpu_stride.COMPUTE] += perf_counter_ns() - delivered

    def take_in(self) -> None:
        """Deliver what was received: a stride begins without."""
        self.on_parts(self._deliver_incoming)
        self._incoming = []

    def _deliver(self, part: int) -> None:
        self._deliver_lists(part, self.fired, self.n_fired, self.bounds, 0)
        self._deliver_incoming(part)

    def _deliver_incoming(self, part: int) -> None:
        for rows, age in self._incoming:
            n_rows = np.array([[rows.shape[1]]])
            self._deliver_lists(part, rows, n_rows, np.zeros(1, np.int64), age)

    def _deliver_lists(
        self, part: int, fired: NDArray[np.uint32], n_fired: Ints, bounds: Ints, age: int
    ) -> None:
        """Deliver spikes of `age` steps before the last one."""
        edges, kick = self.edges, self.state.kick
        wires = (edges.indptr[part], edges.target, edges.weight, edges.inhibitory)
        if self.delays is None:
            cpu.deliver(kick[0], fired, n_fired, bounds, *wires)
            return
        step = self.step_index - age
        cpu_delays.deliver_delayed(kick, fired, n_fired, bounds, *wires, step, *self.delays)

    def _integrate(self, part: int, t_steps: int) -> None:
        state, c = self.state, self.coefficients
        kick = state.kick[self.step_index % self.n_slots]
        cpu.integrate(c.features)(
            state.v, state.ou, state.j, state.refractory, kick, c.value, c.factor,
            self.stretch_stop, self.stretch_population, part, self.bounds, self.tiles,
            self.spec.first_member, self._key, self.step_index, t_steps, self._scale,
            self._next_fired, self._next_n_fired, state.h_t, state.ca,
            self.script.at(self.step_index),
        )  # fmt: skip


def _runs(values: Ints) -> tuple[Ints, Ints]:
    """Ends and values of the runs of equal values."""
    stop = np.append(np.flatnonzero(np.diff(values)) + 1, values.size).astype(np.int64)
    return stop, values[stop - 1]


def _tiles(ranges: Ints) -> Ints:
    """Global index of each tile of random numbers of a block."""
    wrong = np.flatnonzero(ranges[:, 0] % rng.TILE)
    divided = np.flatnonzero(ranges[:-1, 1] % rng.TILE)
    if wrong.size or divided.size:
        at = ranges[wrong[0], 0] if wrong.size else ranges[divided[0], 1]
        raise InputError(f"ranges: {at} divides a tile; ranges are of whole tiles of {rng.TILE}")
    return tiles_of(ranges)


def _parts(n: int, threads: int) -> Ints:
    """Bounds of the parts: equal shares, cut where a tile of random numbers begins."""
    if not 1 <= threads <= max(1, n // rng.TILE):
        raise InputError(
            f"threads is {threads}; a block of {n:,} neurons takes 1 to {max(1, n // rng.TILE)}"
        )
    inner = np.rint(np.arange(1, threads) * n / (threads * rng.TILE)).astype(np.int64) * rng.TILE
    return np.concatenate([[0], inner, [n]]).astype(np.int64)
