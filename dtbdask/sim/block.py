"""A block: ranges of neurons of all its members, with the edges that end on them, in motion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dtbdask import rng
from dtbdask.errors import InputError
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.ranges import spread, tiles_of
from dtbdask.kernels import RECEPTORS, cpu
from dtbdask.sim.edges import Edges, collect
from dtbdask.sim.model import coefficients, receptors

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BlockSpec:
    """What a block is; travels to the worker that makes it live.

    Attributes
    ----------
    network : Network
    ranges : (range, 2) int64
        Of its neurons, ascending: they begin where a tile of random numbers does.
    seed : int
        Seed of the run.
    first_member, members : int
        Range of its ensemble members.
    dt_ms : float
        Exchange step.
    t_steps : int
        Sub-steps of an exchange step.
    dtype : {"float32", "float64"}
        Of the state.
    threads : int
    """

    network: Network
    ranges: Ints
    seed: int
    first_member: int = 0
    members: int = 1
    dt_ms: float = 1.0
    t_steps: int = 1
    dtype: str = "float32"
    threads: int = 1

    @classmethod
    def whole(cls, network: Network, seed: int, **options: Any) -> BlockSpec:
        """Spec of a block that has all neurons of a network."""
        return cls(network, np.array([[0, network.n_neurons]]), seed, **options)


@dataclass
class State:
    """State of the neurons of a block; one field a quantity, the neuron last.

    Attributes
    ----------
    v : (member, neuron) float, mV
    ou : (member, neuron) float, mV/ms
        Background current.
    j : four (member, neuron) float
        Traces of the receptors; empty where a receptor is off.
    refractory : (member, neuron) uint16, sub-steps
    kick : (2, member, neuron) unsigned
        Integer kicks not yet added to the traces, of excitatory and inhibitory sources.
    """

    v: NDArray[np.floating]
    ou: NDArray[np.floating]
    j: tuple[NDArray[np.floating], ...]
    refractory: NDArray[np.uint16]
    kick: NDArray[np.unsignedinteger]


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
        self._use(spec.network.parameters, {})
        features = self.coefficients.features
        self.edges: Edges = collect(spec.network, spec.ranges, self.bounds, features)
        self.state = self._initial()
        self.fired, self._next_fired = np.zeros((2, members, n), np.uint32)
        self.n_fired, self._next_n_fired = np.zeros((2, members, spec.threads), np.int64)
        self._census = np.zeros((members, populations.size.size + 1), np.int32)
        self.spikes = self._census[:, :-1]
        self._incoming = np.zeros((1, 0), np.uint32)
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
        self._each_part(lambda part: self._advance(part, self.spec.t_steps))
        self.fired, self._next_fired = self._next_fired, self.fired
        self.n_fired, self._next_n_fired = self._next_n_fired, self.n_fired
        self._incoming = self._incoming[:, :0]
        self.step_index += 1
        self.spikes[:] = 0
        cpu.census(
            self._census, self.fired, self.n_fired, self.bounds, self.run_stop, self.run_population
        )

    def settle(self) -> None:
        """Deliver the spikes of the last step and add the kicks to the traces: state at rest."""
        self._each_part(lambda part: self._advance(part, 0))
        self._incoming = self._incoming[:, :0]
        self.n_fired[:] = 0

    def receive(self, rows: NDArray[np.uint32]) -> None:
        """Take the rows of the foreign neurons that spiked in the last step.

        Parameters
        ----------
        rows : (spike,) uint32
            Rows of the edges.
        """
        self._incoming = rows[None, :]

    def on_parts(self, work: Callable[[int], None]) -> None:
        """Call `work` with the number of each part, on its thread."""
        self._each_part(work)

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
        shift = (self.tiles - np.arange(self.tiles.size)) * rng.TILE
        found: Ints = shift[neuron // np.uint32(rng.TILE)] + neuron
        return found

    def assign(self, name: str, value: Floats, how: str) -> None:
        """Set a parameter of every population.

        Parameters
        ----------
        name : str
            Parameter.
        value : (member, population) or (1, population) float64
            Of the members of this block, or of all alike.
        how : {"assign", "multiply"}
            Replace the base, or set the multiplier relative to it.
        """
        if how == "multiply":
            self._use(self.parameters, {**self.multiplier, name: value})
            return
        others = {k: v for k, v in self.parameters.neuron.items() if k != name}
        base = Parameters({**self.parameters.population, name: value}, others)
        self._use(base, _without(self.multiplier, name))

    def assign_neuron(self, name: str, value: Floats) -> None:
        """Set the per-neuron base of a parameter: (neuron,) float64 of the whole network."""
        n = self.spec.network.n_neurons
        base = self.parameters.with_neuron(
            {name: value}, n, self.spec.network.populations.population_of(0, n)
        )
        self._use(base, _without(self.multiplier, name))

    def close(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()

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
        features = made.features._replace(  # of the whole network, so that all its blocks agree
            receptors=self.receptors,
            background=parameters.on("ou_mean") or parameters.on("ou_sigma"),
            noise=parameters.on("noise_rate"),
        )
        self.coefficients = replace(made, features=features)
        value = self.coefficients.value
        same = (value[:, 1:] == value[:, :-1]).all(axis=(0, 2))
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
            kick=np.zeros((2, *shape), self.edges.kick_dtype),
        )

    def _each_part(self, work: Callable[[int], None]) -> None:
        if self._pool is None:
            work(0)
            return
        others = [self._pool.submit(work, part) for part in range(1, self.spec.threads)]
        work(0)
        for other in others:
            other.result()

    def _advance(self, part: int, t_steps: int) -> None:
        self._deliver(part)
        self._integrate(part, t_steps)

    def _deliver(self, part: int) -> None:
        edges, kick = self.edges, self.state.kick
        wires = (edges.indptr[part], edges.target, edges.weight, edges.inhibitory)
        cpu.deliver(kick, self.fired, self.n_fired, self.bounds, *wires)
        if self._incoming.shape[1]:
            n_incoming = np.array([[self._incoming.shape[1]]])
            cpu.deliver(kick, self._incoming, n_incoming, np.zeros(1, np.int64), *wires)

    def _integrate(self, part: int, t_steps: int) -> None:
        state, c = self.state, self.coefficients
        cpu.integrate(c.features)(
            state.v, state.ou, state.j, state.refractory, state.kick, c.value, c.factor,
            self.stretch_stop, self.stretch_population, part, self.bounds, self.tiles,
            self.spec.first_member, self._key, self.step_index, t_steps, self._scale,
            self._next_fired, self._next_n_fired,
        )  # fmt: skip


def _without(multiplier: Mapping[str, Floats], name: str) -> dict[str, Floats]:
    """The multipliers but that of a parameter which was given a new base."""
    return {k: v for k, v in multiplier.items() if k != name}


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
