"""Small brains and networks, held in memory, and hypothesis strategies that draw them."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import xarray as xr
from hypothesis import strategies as st

from dtbdask.graph.layouts import LAYOUTS, Layout, Motif
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations, populate
from dtbdask.graph.synapses import Held, Procedural
from dtbdask.graph.wiring import InEdges, Recipe

FOUR = {"g_ampa": 0.002, "g_nmda": 0.0002, "g_gaba_a": 0.01, "g_gaba_b": 0.0005}
"""Conductances with which all four receptors are on and neurons fire."""


def make_brain(voxels=3, seed=0):
    rng = np.random.default_rng(seed)
    fibres = np.floor(rng.lognormal(3, 1, (voxels, voxels))) + 1
    np.fill_diagonal(fibres, 0)
    return xr.Dataset(
        {
            "connection": (("voxel", "voxel_source"), fibres if voxels > 1 else np.ones((1, 1))),
            "grey_matter": ("voxel", rng.uniform(0.3, 0.7, voxels)),
        },
        coords={"label": ("voxel", [f"region {v}" for v in range(voxels)])},
        attrs={"source": "of a test", "sha256": "0" * 64},
    )


def make_network(voxels=3, neurons=600, degree=20, seed=3, neuron=None, wide=False, **parameters):
    """Network held in memory; `wide` gives it 32-bit fixed-point weights of the same synapses."""
    populations = populate(make_brain(voxels), neurons, degree, "voxel")
    values = Parameters.make(2 * voxels, parameters)
    values = values.with_neuron(neuron or {}, populations.n_neurons)
    synapses = Procedural(Recipe.make(populations, seed))
    if wide:
        edges = synapses.in_edges(0, populations.n_neurons)
        weight, scale = fixed_point(edges.weight / 255.0, degree)
        synapses = Held(InEdges(edges.indptr, edges.source, weight), scale)
    labels = tuple(f"region {v}" for v in range(voxels))
    about = {"layout": "voxel", "slots": ("E", "I"), "seed": seed}
    return Network(populations, values, synapses, labels, about)


def delayed(network, delay):
    """The network with these delays, steps, of the entries of its far tables."""
    mixture, shape = network.populations.mixture, network.populations.mixture.far_population.shape
    mixture = replace(mixture, far_delay=np.broadcast_to(delay, shape).astype(np.uint16))
    return replace(network, populations=replace(network.populations, mixture=mixture))


def resized(network, size):
    """The network with other sizes of its populations, and so with other synapses."""
    populations = replace(network.populations, size=np.asarray(size, np.int64))
    recipe = Recipe.make(populations, network.wiring.recipe.seed)
    return replace(network, populations=populations, wiring=Procedural(recipe))


@st.composite
def drawn_populations(draw):
    """Any feasible populations: also tiny ones that must hear every neuron they can."""
    n = draw(st.integers(1, 5))
    size = np.array(draw(st.lists(st.integers(2, 14), min_size=n, max_size=n)), np.int64)
    share = st.lists(st.integers(0, 5), min_size=n, max_size=n).filter(any)
    matrix = np.array([draw(share) for _ in range(n)], float)
    matrix /= matrix.sum(axis=1, keepdims=True)
    reach = (matrix > 0) @ size - (np.diag(matrix) > 0)
    degree = [draw(st.integers(1, int(most)) | st.just(int(most))) for most in reach]
    return Populations(
        voxel=np.arange(n), slot=np.zeros(n, np.int64), excitatory=np.arange(n) % 2 == 0,
        size=size, degree=np.array(degree, np.int32), mixture=Mixture.direct(sp.csr_array(matrix)),
    )  # fmt: skip


@st.composite
def drawn_brains(draw, isolated=False):
    """Brains of one to six voxels, any of them cortex, with tracts of up to 200 mm."""
    n = draw(st.integers(1, 6))
    counts = draw(st.lists(st.integers(0, 50), min_size=n * n, max_size=n * n))
    fibres = np.array(counts, float).reshape(n, n)
    if not isolated:
        fibres[np.arange(n), (np.arange(n) + 1) % n] += 1
    grey = draw(st.lists(st.floats(0.2, 0.8), min_size=n, max_size=n))
    length = draw(st.lists(st.floats(0, 200), min_size=n * n, max_size=n * n))
    cortex = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return xr.Dataset(
        {
            "connection": (("voxel", "voxel_source"), fibres),
            "grey_matter": ("voxel", np.array(grey)),
            "tract_length": (("voxel", "voxel_source"), np.array(length).reshape(n, n)),
            "is_cortex": ("voxel", np.array(cortex)),
        },
        coords={"label": ("voxel", [f"region {v}" for v in range(n)])},
    )


@st.composite
def drawn_motifs(draw, letter="s"):
    """One's own circuits of up to four populations, from counts; the first excites."""
    n = draw(st.integers(1, 4))
    row = st.lists(st.integers(0, 5), min_size=n + 1, max_size=n + 1).filter(any)
    slots = [f"{letter}{k}" for k in range(n)]
    return Motif.from_counts(
        slots,
        [True, *draw(st.lists(st.booleans(), min_size=n - 1, max_size=n - 1))],
        draw(st.lists(st.integers(5, 20), min_size=n, max_size=n)),
        [draw(row) for _ in slots],
        draw(st.none() | st.lists(st.sampled_from(slots), min_size=1, unique=True)),
    )


@st.composite
def drawn_layouts(draw):
    """A known layout, one's own, or two of one's own with a slot in common."""
    kind = draw(st.sampled_from([*LAYOUTS, "own", "two"]))
    if kind in LAYOUTS:
        return LAYOUTS[kind]
    cortex = draw(drawn_motifs())
    if kind == "own":
        return Layout.of(cortex)
    other = draw(drawn_motifs(draw(st.sampled_from("st"))))
    slots = tuple(dict.fromkeys([*other.slots, *cortex.slots]))
    return Layout(slots, cortex, other)


def fixed_point(weight, largest_degree):
    """32-bit integers of weights, so wide that no kick overflows, and the weight of integer 1."""
    bits = min(24, 32 - int(np.ceil(np.log2(max(largest_degree, 1) + 1))))
    scale = (float(weight.max(initial=0)) or 1.0) / (2**bits - 1)
    return np.rint(weight.astype(np.float64) / scale).astype(np.uint32), scale
