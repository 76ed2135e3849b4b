"""What is planned is what is measured, whatever the shape of the network and of its run."""

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import weighing
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import FOUR, make_brain

from dtbdask.errors import InputError
from dtbdask.graph.planning import footprint
from dtbdask.graph.planning.figures import amount
from dtbdask.graph.planning.plan import plan
from dtbdask.graph.population import MOST_NEURONS
from dtbdask.sim import edges

SHAPES = {
    "stored": ({"voxels": 90, "neurons": 90_000, "degree": 100, "chunk": 2_000_000}, {"blocks": 2}),
    "paired column": (
        {"voxels": 20, "neurons": 60_000, "degree": 60, "layout": "column", "chunk": 200_000,
         "g_nmda": 2e-4, "g_gaba_b": 5e-4},
        {"blocks": 4},
    ),
    "procedural": (
        {"voxels": 300, "neurons": 120_000, "degree": 40, "synapses": "procedural"},
        {"blocks": 5, "threads": 2},
    ),
    "ensemble": (
        {"voxels": 12, "neurons": 20_000, "degree": 240, "layout": "column", "g_nmda": 2e-4,
         "synapses": "procedural"},
        {"blocks": 1, "members": 6, "dtype": "float64"},
    ),
    "many blocks": (
        {"voxels": 500, "neurons": 240_000, "degree": 20, "chunk": 1_000_000,
         "gamma": {"g_ampa": 5.0}},
        {"blocks": 12},
    ),
}  # fmt: skip
WITHIN = 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_planned_is_what_is_measured(shape, tmp_path):
    asked = json.dumps(SHAPES[shape])
    run = [sys.executable, weighing.__file__, tmp_path / "network.zarr", asked]
    child = subprocess.run(run, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert child.returncode == 0, child.stderr
    planned, measured = json.loads(child.stdout)
    kind = planned["kind"]
    assert (planned["neurons"], planned["synapses"]) == (measured["neurons"], measured["synapses"])
    assert planned["disk"][kind] == pytest.approx(measured["disk"], rel=WITHIN)
    if kind == "stored":
        assert planned["disk"]["files"] == measured["files"]
    assert planned["build"]["peak"] == pytest.approx(measured["peak"], rel=WITHIN)
    foreign = measured["blocks"].pop("foreign")
    figures = {name: planned["block"][name] for name in measured["blocks"]}
    for name, values in {**measured["blocks"], "foreign": foreign}.items():
        figure = figures.get(name, planned["traffic"]["foreign"])
        assert figure["largest"] == pytest.approx(max(values), rel=WITHIN), name
        assert figure["mean"] == pytest.approx(np.mean(values), rel=WITHIN), name


def test_the_constants_of_loading_are_those_of_the_blocks():
    for name in ("CHUNK", "PACKED_TARGETS"):
        assert getattr(footprint, name) == getattr(edges, name), name


SMALL = {"neurons": 3000, "degree": 20}


@given(
    blocks=st.integers(1, 20), voxels=st.integers(2, 8), layout=st.sampled_from(["voxel", "column"])
)
@settings(max_examples=8, deadline=None)
def test_blocks_own_everything_once_and_more_blocks_hold_less(blocks, voxels, layout):
    brain = make_brain(voxels)
    some = plan(brain, neurons=6000, degree=20, layout=layout, min_size=25, blocks=blocks)
    for name in ("neurons", "synapses"):
        assert some.owned[name].mean * blocks == pytest.approx(getattr(some, name))
    sent, heard = some.traffic.spikes.mean, some.traffic.foreign.mean
    assert sent == pytest.approx(heard * 7e-3), "what is sent is what is heard"
    assert heard <= some.neurons - some.owned["neurons"].mean + 1e-6
    twice = some.footprint(2 * blocks)
    assert twice.edges.max() <= some.block.edges.largest
    assert twice.edges.sum() == pytest.approx(some.footprint(blocks).edges.sum())


def test_one_block_hears_nobody_and_sends_nothing():
    alone = plan(make_brain(), **SMALL)
    assert alone.traffic.foreign.largest == alone.traffic.bytes_per_second.largest == 0
    assert (alone.traffic.peers, alone.traffic.peers_in_grid) == (0, 0)


def test_traffic_follows_the_rate_and_four_bytes_a_spike():
    slow, fast = (plan(make_brain(), **SMALL, blocks=3, rate_hz=rate).traffic for rate in (5, 15))
    assert fast.spikes.mean == pytest.approx(3 * slow.spikes.mean)
    assert slow.foreign == fast.foreign
    assert slow.bytes_per_step.mean == 4 * slow.spikes.mean
    assert slow.bytes_per_second.mean == pytest.approx(1000 * slow.bytes_per_step.mean)
    half = plan(make_brain(), **SMALL, blocks=3, rate_hz=5, dt_ms=0.5).traffic
    assert half.spikes.mean == pytest.approx(slow.spikes.mean / 2)
    assert half.bytes_per_second.mean == pytest.approx(slow.bytes_per_second.mean)


@pytest.mark.parametrize(
    ("blocks", "hosted", "peers"),
    [(14_012, 4, 3502 + 3), (100, None, 18), (7, 100, 6), (2, None, 1)],
)
def test_a_grid_has_the_peers_of_its_row_and_its_column(blocks, hosted, peers):
    wide = plan(voxels=100, neurons=1e8, blocks=blocks, workers_per_host=hosted).traffic
    assert (wide.peers, wide.peers_in_grid) == (blocks - 1, peers)


def test_receptors_that_are_on_cost_memory():
    two, four = (plan(make_brain(), **SMALL, parameters=values).block for values in (None, FOUR))
    assert four.edges.mean == pytest.approx(1.5 * two.edges.mean)
    assert four.state.mean > two.state.mean


def test_the_largest_network_is_planned_in_seconds_and_little_memory():
    asked = {"neurons": 86e9, "degree": 556, "voxels": 22_703, "blocks": 14_012}
    plan(voxels=10, neurons=1e5)  # loads the codecs
    tracemalloc.start()
    whole = plan(**asked)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500e6
    assert whole.neurons == pytest.approx(86e9, rel=1e-6)
    assert whole.synapses == pytest.approx(47.8e12, rel=1e-3)
    assert whole.owned["neurons"].mean == pytest.approx(6.14e6, rel=1e-3)
    assert whole.owned["synapses"].mean == pytest.approx(3.41e9, rel=1e-3)
    assert whole.owned["neurons"].mean < whole.traffic.foreign.mean < whole.neurons
    assert any(f"{MOST_NEURONS:,}" in remark for remark in whole.remarks)
    assert any("206 others" in remark for remark in whole.remarks)


def test_any_number_of_neurons_is_planned_of_voxels_but_not_of_a_brain():
    assert plan(voxels=1000, neurons=1e12).neurons == pytest.approx(1e12)
    with pytest.raises(InputError, match="neurons is 1000000000000"):
        plan(make_brain(), neurons=1e12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"blocks": 0}, {"blocks": 1e9}, {"threads": 0}, {"members": 0}, {"dtype": "float16"},
        {"rate_hz": -1}, {"rate_hz": np.nan}, {"dt_ms": 0}, {"synapses": "both"}, {"chunk": 0},
        {"layout": "columns"}, {"weights": (9, 300)}, {"gamma": {"g_xyz": 5}}, {"degree": 0},
        {"workers_per_host": 0}, {"partners": 3}, {"voxels": 3}, {"source": None},
        {"parameters": {"c": 0}},
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(wrong):
    name = next(iter(wrong.get("parameters", wrong.get("gamma", wrong))))
    with pytest.raises(InputError, match="brain" if name in ("source", "partners") else name):
        plan(**{"source": make_brain(), **SMALL, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [{"voxels": 0}, {"partners": 3000}, {"layout": "mixed"}, {"neurons": 4}, {"speed": 3.0}],
    ids=str,
)
def test_voxels_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        plan(**{"voxels": 50, **SMALL, **wrong})


def test_a_plan_is_read_by_people_and_by_programs():
    brain = make_brain().assign_attrs(source="<b>ours</b>")
    shown = plan(brain, **SMALL, blocks=4)
    figures = json.loads(json.dumps(shown.to_dict()))
    assert figures["block"]["held"]["largest"] == shown.block.held.largest
    assert figures["disk"]["procedural"] < figures["disk"]["stored"]
    text, page = repr(shown), shown._repr_html_()
    for value in (f"{shown.neurons:,} neurons", amount(shown.block.held.largest), "4 blocks"):
        assert value in text
        assert value in page
    assert "&lt;b&gt;ours" in page
    assert "<b>ours" not in page


@pytest.mark.parametrize(
    ("size", "told"), [(0, "0 B"), (999, "999 B"), (999.6, "1.0 kB"), (92.4e9, "92.4 GB"),
                       (1e15, "1.0 PB"), (5e24, "5000000.0 EB")]
)  # fmt: skip
def test_amounts_are_told_in_units_of_a_thousand(size, told):
    assert amount(size) == told
