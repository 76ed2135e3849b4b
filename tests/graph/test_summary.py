"""What is shown of a network is what it is, and harms neither a page nor a terminal."""

import dataclasses
import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from kept import as_import, held
from networks import make_brain, make_network
from rich.console import Console

from dtbdask.graph.build import build
from dtbdask.graph.description import describe, figures
from dtbdask.graph.mixture import Mixture
from dtbdask.graph.modify import modify
from dtbdask.graph.network import Network
from dtbdask.graph.parameters import Parameters
from dtbdask.graph.population import Populations
from dtbdask.graph.summary import html, render
from dtbdask.graph.synapses import Procedural
from dtbdask.graph.wiring import Recipe

SMALL = {"neurons": 300, "degree": 10, "seed": 5}
KEYS = {
    "path", "neurons", "synapses", "voxels", "populations", "population_size", "in_degree",
    "layout", "seed", "synapses_are", "source", "made",
}  # fmt: skip


def shown(network, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(render(network))
    return console.file.getvalue()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "brain.zarr"
    brain = make_brain().assign(
        tract_length=(("voxel", "voxel_source"), np.array([[0, 4, 9], [4, 0, 30], [9, 30, 0.0]]))
    )
    return build(brain, path, speed=2.0, gamma={"g_gaba_a": 5.0}, **SMALL)


def test_figures_are_those_of_the_network_and_plain(stored):
    told = figures(stored)
    assert set(told) >= KEYS
    assert told == json.loads(json.dumps(told)) == stored.summary()
    table = stored.populations
    assert told["population_size"] == [table.size.min(), np.median(table.size), table.size.max()]
    assert (told["neurons"], told["synapses"]) == (table.size.sum(), table.size.sum() * 10)


def test_long_range_share_and_delays_are_means_over_all_synapses(stored):
    table = stored.populations
    matrix = table.matrix().toarray() * (table.size * table.degree)[:, None]
    away = table.voxel[:, None] != table.voxel
    told = figures(stored)
    assert told["long_range_share"] == pytest.approx(matrix[away].sum() / matrix.sum())
    steps = np.array([[0, 2, 4], [2, 0, 15], [4, 15, 0]])[np.ix_(table.voxel, table.voxel)]
    low, mean, high = told["delay_steps"]
    assert (low, high) == (2, 15)
    assert mean == pytest.approx((matrix * steps)[away].sum() / matrix[away].sum())
    direct = Mixture.direct(table.matrix())
    plain = dataclasses.replace(stored, populations=dataclasses.replace(table, mixture=direct))
    assert figures(plain)["long_range_share"] == pytest.approx(told["long_range_share"])
    assert figures(plain)["delay_steps"] is None
    assert figures(held(stored))["bytes_on_disk"] == 0


def test_slots_add_up(stored):
    described = describe(stored)
    assert [(slot.name, slot.sign) for slot in described.slots] == [("E", "E"), ("I", "I")]
    assert sum(slot.neurons for slot in described.slots) == stored.n_neurons
    assert sum(slot.populations for slot in described.slots) == 6
    sizes = stored.populations.size[::2]
    assert described.slots[0].size == (sizes.min(), np.median(sizes), sizes.max())
    both = dataclasses.replace(stored.populations, excitatory=np.arange(6) < 3)
    signs = [slot.sign for slot in describe(dataclasses.replace(stored, populations=both)).slots]
    assert signs == ["E, I", "E, I"]


def test_departures_from_defaults_are_told_by_slot(tmp_path, stored):
    (gamma,) = describe(stored).departures
    own = stored.parameters.neuron["g_gaba_a"]
    assert gamma.name == "g_gaba_a"
    assert gamma.slots == (("all", 0.01, 0.01),)
    assert gamma.neuron == (own.min(), np.median(own), own.max())
    network = make_network(g_ampa=[1, 2, 3, 2, 5, 2], tau_ampa=3.0)
    tau, g = sorted(describe(network).departures, key=lambda d: d.name, reverse=True)
    assert (tau.name, tau.slots, tau.neuron) == ("tau_ampa", (("all", 3.0, 3.0),), None)
    assert (g.unit, g.default, g.slots) == ("1/ms", 0.002, (("E", 1.0, 5.0), ("I", 2.0, 2.0)))
    assert describe(make_network()).departures == ()


def test_the_terminal_shows_all_of_it(stored, tmp_path):
    text = shown(stored)
    for part in (
        f"{stored.n_synapses:,}", "2 to 15 steps", "g_gaba_a", "by neuron", "of a test", "█",
        "numpy 2.", "in-degree",
    ):  # fmt: skip
        assert part in text, part
    assert "Modified" not in text
    assert all(len(line) <= 60 for line in shown(stored, width=60).splitlines())
    imported = as_import(stored, tmp_path / "i.zarr")
    modify(imported.path, "c", 0.7, population="region 1 E")
    imported = modify(imported.path, "c", 2.0, neuron=[3, 4], how="multiply")
    for text in (shown(imported), html(imported)):
        assert "unknown: it follows no recipe" in text
        assert "population region 1 E" in text
        assert "neuron [3, 4]" in text


def test_bytes_on_disk_are_those_of_all_files(stored, tmp_path):
    size = sum(p.stat().st_size for p in Path(stored.path).rglob("*") if p.is_file())
    assert figures(stored)["bytes_on_disk"] == size
    assert figures(dataclasses.replace(stored, path=str(tmp_path / "gone")))["bytes_on_disk"] == 0


def test_names_stay_text(stored):
    about = {**stored.attributes, "source": "<img src=x onerror=alert(1)>[red]\x1b[2J",
             "slots": ["<b>E</b>", "[bold]I"], "modified": [{"when": "<i>"}]}  # fmt: skip
    network = dataclasses.replace(stored, attributes=about)
    page, text = html(network), shown(network)
    for harm in ("<img", "<b>", "<i>"):
        assert harm not in page
    assert "&lt;img" in page
    assert "&lt;b&gt;E" in page
    for kept in ("<img", "[red]", "[bold]I", "<b>E</b>"):
        assert kept in text
    assert "\x1b" not in text


def test_a_hundred_and_eighty_thousand_populations_are_shown_quickly():
    n = 180_000
    voxel, slot = np.divmod(np.arange(n), 8)
    size = np.random.default_rng(0).integers(100, 5000, n)
    ring = sp.csr_array((np.ones(n), (np.arange(n), (np.arange(n) + 8) % n)), shape=(n, n))
    table = Populations(
        voxel, slot, slot % 2 == 0, size, np.full(n, 100, np.int32), Mixture.direct(ring)
    )
    values = Parameters.make(n, {"g_ampa": size / 5000})
    labels = tuple(f"voxel {v}" for v in range(n // 8))
    about = {"slots": tuple(f"slot {s}" for s in range(8)), "seed": 0}
    network = Network(table, values, Procedural(Recipe.make(table, 0)), labels, about)
    start = time.process_time()
    text, page = shown(network), html(network)
    assert time.process_time() - start < 5
    assert "180,000" in text
    assert "100.0%" in page
