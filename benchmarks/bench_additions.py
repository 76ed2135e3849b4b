"""What the default network has not: delays, further currents, stimuli, changed parameters."""

from __future__ import annotations

from pathlib import Path

from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.graph.build import build
from dtbdask.graph.network import open_network
from dtbdask.sim.session import Session
from dtbdask.sim.stimuli import DBS, Pulse

from .networks import DEGREE, VOXELS, quiet

NEURONS, SPEED = 100_000, 3.0
WARM_UP, STEPS, LONG_MS = 100, 50, 1e9
CURRENTS = {"calcium": ("g_t", 0.06), "dopamine": ("g_da", 0.001), "adaptation": ("g_ahp", 0.01)}
ADDITIONS = ("nothing", "delays", *CURRENTS, "stimuli", "values of neurons")


def setup_cache() -> dict[bool, str]:
    """Networks with delays and without, by their paths."""
    quiet()
    brain, paths = synthetic_connectome(VOXELS), {}
    for delayed in (False, True):
        path = Path.cwd() / f"brain_{delayed}.zarr"
        speed = SPEED if delayed else None
        build(brain, path, neurons=NEURONS, degree=DEGREE, seed=1, speed=speed)
        paths[delayed] = str(path)
    return paths


class Advance:
    """Steps of a session with one addition, after it has left its start behind."""

    params = ADDITIONS
    param_names = ("addition",)

    def setup(self, paths: dict[bool, str], addition: str) -> None:
        network = open_network(paths[addition == "delays"])
        self.session = Session(network, seed=1)
        if addition in CURRENTS:
            self.session.set(*CURRENTS[addition])
        elif addition == "stimuli":
            self.session.stimulate(
                DBS(duration_ms=LONG_MS, amplitude=0.1, frequency_hz=130, pulse_width_ms=1),
                Pulse(duration_ms=LONG_MS, amplitude=0.1, width_ms=5, period_ms=50),
            )
        elif addition == "values of neurons":
            self.session.set("g_ampa", 8.0, neuron="all", how="gamma")
        self.session.advance(WARM_UP)

    def teardown(self, paths: dict[bool, str], addition: str) -> None:
        self.session.close()

    def time_50_steps(self, paths: dict[bool, str], addition: str) -> None:
        self.session.advance(STEPS)


class Change:
    """`Session.set` of all populations, of one, and of every neuron."""

    def setup(self, paths: dict[bool, str]) -> None:
        self.session = Session(open_network(paths[False]), seed=1)
        self.time_all_populations(paths)
        self.time_every_neuron(paths)

    def teardown(self, paths: dict[bool, str]) -> None:
        self.session.close()

    def time_all_populations(self, paths: dict[bool, str]) -> None:
        self.session.set("g_ampa", 0.002)

    def time_one_population(self, paths: dict[bool, str]) -> None:
        self.session.set("g_gaba_a", 0.01, population=[0])

    def time_every_neuron(self, paths: dict[bool, str]) -> None:
        self.session.set("g_l", 0.025, neuron="all")
