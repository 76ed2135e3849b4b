"""Wiring: a million synapses sampled, whole networks written, and the memory that takes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dtbdask.brain.synthetic import synthetic_connectome
from dtbdask.graph.build import build
from dtbdask.graph.population import populate
from dtbdask.graph.wiring import Recipe

from .networks import DEGREE, VOXELS, quiet


class Sampling:
    """In-edges from the recipe by one thread, nothing written."""

    params = (10_000, 100_000)
    param_names = ("neurons",)

    def setup(self, neurons: int) -> None:
        populations = populate(synthetic_connectome(VOXELS), neurons, DEGREE, "voxel")
        self.recipe = Recipe.make(populations, seed=1)
        self.recipe.wire(0, 100)  # compiles

    def time_wire_a_million_synapses(self, neurons: int) -> None:
        self.recipe.wire(0, min(10_000, self.recipe.n_neurons))


class Building:
    """A whole store on disk, by the threads of this process."""

    params = (10_000, 100_000)
    param_names = ("neurons",)
    number = 1  # a build a sample: the path must be new

    def setup(self, neurons: int) -> None:
        quiet()
        self.brain = synthetic_connectome(VOXELS)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "brain.zarr"
        build(self.brain, self.path, neurons=10_000, degree=10, seed=1)  # compiles

    def teardown(self, neurons: int) -> None:
        self.folder.cleanup()

    def build(self, neurons: int) -> None:
        build(self.brain, self.path, neurons=neurons, degree=DEGREE, seed=1, overwrite=True)

    def time_build(self, neurons: int) -> None:
        self.build(neurons)

    def peakmem_build(self, neurons: int) -> None:
        self.build(neurons)
