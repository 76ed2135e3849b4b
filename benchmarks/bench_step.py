"""A block in motion: a step of the default network, and what a neuron and an event take of it."""

from __future__ import annotations

from dtbdask.bench import TimedBlock
from dtbdask.sim.block import Block
from dtbdask.sim.session import Session
from dtbdask.sim.spec import BlockSpec

from .networks import build_all, opened

SIZES = (10_000, 100_000)
WARM_UP, STEPS = 100, 200


def setup_cache() -> dict[int, str]:
    return build_all(SIZES)


class Step:
    """Block of one or two threads, after it has left its start behind."""

    params = (SIZES, (1, 2))
    param_names = ("neurons", "threads")

    def setup(self, paths: dict[int, str], neurons: int, threads: int) -> None:
        network = opened(paths, neurons)
        spec = BlockSpec.whole(network, seed=1, threads=threads)
        self.block = Block(spec)
        for _ in range(WARM_UP):
            self.block.step()

    def teardown(self, paths: dict[int, str], neurons: int, threads: int) -> None:
        self.block.close()

    def time_step(self, paths: dict[int, str], neurons: int, threads: int) -> None:
        self.block.step()


class Loading:
    """Edges of a stored network, read and turned to source order."""

    params = SIZES
    param_names = ("neurons",)

    def time_load(self, paths: dict[int, str], neurons: int) -> None:
        network = opened(paths, neurons)
        Block(BlockSpec.whole(network, seed=1))

    def peakmem_load(self, paths: dict[int, str], neurons: int) -> None:
        self.time_load(paths, neurons)


class Memory:
    """Peak of a process that opens a session of two threads and runs it."""

    params = SIZES
    param_names = ("neurons",)

    def peakmem_run(self, paths: dict[int, str], neurons: int) -> None:
        with Session(opened(paths, neurons), threads=2, seed=1) as session:
            session.advance(WARM_UP)


class Halves:
    """Delivery and integration apart, one thread."""

    params = SIZES
    param_names = ("neurons",)

    def setup(self, paths: dict[int, str], neurons: int) -> None:
        self.network = opened(paths, neurons)
        self.block = TimedBlock(BlockSpec.whole(self.network, seed=1))
        for _ in range(WARM_UP):
            self.block.step()
        self.block.deliver_s = self.block.integrate_s = 0.0
        self.spikes = 0
        for _ in range(STEPS):
            self.spikes += int(self.block.n_fired.sum())  # delivered in the step that follows
            self.block.step()

    def track_per_neuron_step(self, paths: dict[int, str], neurons: int) -> float:
        return self.block.integrate_s / STEPS / self.network.n_neurons * 1e9

    track_per_neuron_step.unit = "ns"

    def track_per_event(self, paths: dict[int, str], neurons: int) -> float:
        events = self.spikes * self.network.n_synapses / self.network.n_neurons
        return self.block.deliver_s / events * 1e9

    track_per_event.unit = "ns"
