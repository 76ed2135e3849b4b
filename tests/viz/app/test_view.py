"""The view without a browser: what it opens, what it refuses, what it draws again."""

import numpy as np
import pytest
from click.testing import CliRunner
from recorded import random_spikes, write_recording
from viz.app.conftest import N_STEPS, SIZE

from dtbdask.cli import main
from dtbdask.errors import InputError, StoreError
from dtbdask.viz.app.server import View, check_address
from dtbdask.viz.app.study import Study


@pytest.fixture
def view(recording_path):
    return View(Study([recording_path]))


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_this_machine_needs_no_password(address):
    check_address(address, guarded=False)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "8.8.8.8"])
def test_an_address_for_others_is_refused_unless_guarded(address):
    check_address(address, guarded=True)
    with pytest.raises(InputError, match="password or OAuth"):
        check_address(address, guarded=False)


def test_what_is_no_address_is_refused_even_guarded():
    with pytest.raises(InputError, match="give an IP address"):
        check_address("example.org", guarded=True)


def test_the_verb_refuses_before_it_opens_anything(tmp_path):
    done = CliRunner().invoke(main, ["view", str(tmp_path / "no.zarr"), "--address", "0.0.0.0"])
    assert done.exit_code == 2
    assert "other machines" in done.output
    done = CliRunner().invoke(main, ["view", str(tmp_path / "no.zarr")])
    assert done.exit_code == 70
    assert "no such store" in done.output


def test_stores_of_other_brains_or_kinds_are_refused(recording_path, tmp_path):
    other = write_recording(tmp_path / "o.zarr", [0], [0], n_steps=5, size=[2, 2])
    with pytest.raises(InputError, match="other regions"):
        Study([recording_path, other])
    with pytest.raises(InputError, match="at most 2"):
        Study([recording_path] * 3)
    with pytest.raises(InputError, match="empty"):
        Study([])
    with pytest.raises(StoreError, match="no such store"):
        Study([tmp_path / "nothing.zarr"])


def test_only_what_is_open_and_changed_is_drawn(view):
    names = list(view._pages)
    assert names == ["Overview", "Activity", "Statistics", "BOLD", "Brain"]
    parts = view._pages["Activity"]
    assert not any(part._drawn for part in parts)
    view.tabs.active = names.index("Activity")
    assert all(part._drawn for part in parts)
    assert not any(part.update() for part in parts)
    view.choice.regions = [2]
    drawn = [part._pane.object for part in parts]
    assert "Firing rate of regions" in str(drawn[2].opts.get("plot").kwargs["title"])
    assert len(drawn[2]) == 1


def test_the_time_that_is_chosen_is_that_of_every_picture(view):
    view.tabs.active = 1
    view.choice.time_s = (0.2, 0.4)
    rates = view._pages["Activity"][1]._pane.object
    time = next(iter(rates)).dimension_values("time")
    assert 0.2 <= time.min() < time.max() <= 0.4
    view.choice.time_s = (5.0, 6.0) if view.choice.param.time_s.bounds[1] > 5 else (0.0, 1.0)


def test_a_region_is_chosen_and_let_go(view):
    view.choice.toggle(1, 3)
    assert view.choice.regions == [1, 3]
    view.choice.toggle(1)
    assert view.choice.regions == [3]


def test_two_runs_are_compared(recording_path, tmp_path):
    step, neuron = random_spikes(N_STEPS, sum(SIZE), 40.0, 5)
    bold = np.random.default_rng(2).normal(0.03, 0.01, (20, 6))
    other = write_recording(
        tmp_path / "other.zarr", step, neuron, n_steps=N_STEPS, size=SIZE, bold=bold
    )
    view = View(Study([recording_path, other]))
    view.tabs.active = list(view._pages).index("Compare")
    table, scatter, matrices = view._pages["Compare"]
    assert "similarity of functional connectivity" in table._pane.object
    points = scatter._pane.object.values()[1]
    expected = np.bincount(np.searchsorted(np.cumsum(SIZE), neuron, side="right") // 2) / 10
    np.testing.assert_allclose(points.dimension_values("rate_other"), expected)
    assert len(matrices._pane.object) == 3


def test_hostile_names_stay_text(view):
    view.study.runs[0].data.attrs["source"] = "<script>alert(1)</script>"
    view.update()
    text = view._pages["Overview"][-1]._pane.object
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_a_range_that_stays_does_not_keep_the_raster_from_following_regions(view):
    view.tabs.active = 1
    raster = view._pages["Activity"][0]
    before = raster._pane.object
    before.event(x_range=view.choice.time_s, y_range=(0.0, 59.0))
    view.choice.regions = [2]
    assert raster._pane.object is not before
