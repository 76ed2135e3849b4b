"""A film of the brain: every frame is its moment, in one scale, and it travels in a page."""

import holoviews as hv
import numpy as np
import pytest
from bokeh.models.widgets import Slider

from dtbdask.brain.aal import AAL90
from dtbdask.brain.aal_xyz import aal_xyz
from dtbdask.errors import InputError
from dtbdask.viz import brain_film, save
from dtbdask.viz.film import played
from dtbdask.viz.page import Section, write_report

RATE = hv.Dimension("rate", label="Firing rate", unit="Hz")
NAMES = AAL90[:12]
TIME = np.arange(1, 6) * 0.5


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).gamma(3, 3, (5, 12))


@pytest.fixture(scope="module")
def film(values):
    return brain_film(values, TIME, aal_xyz(NAMES), NAMES, RATE)


def test_every_frame_has_the_values_of_its_moment_in_one_scale(film, values):
    assert [float(key) for key in film.keys()] == TIME.tolist()  # noqa: SIM118
    for points, expected in zip(film, values, strict=True):
        found = dict(zip(points.dimension_values("region"), points.dimension_values("rate"),
                         strict=True))  # fmt: skip
        assert found == dict(zip(NAMES, expected, strict=True))
        options = hv.Store.lookup_options("bokeh", points, "plot").kwargs
        assert options["clim"] == (values.min(), values.max())


def test_a_voxel_that_is_unknown_at_any_time_is_left_out(values):
    holed = values.copy()
    holed[2, 3] = np.nan
    film = brain_film(holed, TIME, aal_xyz(NAMES), NAMES, RATE)
    assert {len(points) for points in film} == {11}


def test_a_page_carries_what_changes_between_frames(film, values):
    models = played(film)
    slider = models.select_one({"type": Slider})
    assert (slider.start, slider.end, slider.value) == (0, 4, 4)
    (code,) = slider.js_property_callbacks["change:value"]
    frames = code.args["frames"]
    assert {"rate", "size"} <= set(frames[0])
    assert not {"across", "depth", "up", "region", "x3", "y3"} & set(frames[0])
    order = [str(name) for name in film.last.dimension_values("region")]
    for frame, expected in zip(frames, values, strict=True):
        np.testing.assert_array_equal(
            frame["rate"], [expected[NAMES.index(name)] for name in order]
        )
    assert "2.500 s" in code.args["titles"][-1]


def test_a_film_is_in_a_report_and_its_last_frame_in_print(film, tmp_path):
    section = Section("Brain", (), (), [(film, "Over time.")])
    path = write_report(tmp_path / "page.html", title="Film", sections=[section])
    assert "setInterval" in path.read_text(encoding="utf-8")
    assert save(film, tmp_path / "film.png").stat().st_size > 5000


@pytest.mark.parametrize("shape", [(0, 12), (5,), (401, 12)])
def test_what_is_no_film_is_refused(shape):
    with pytest.raises(InputError, match="frames"):
        brain_film(np.ones(shape), np.arange(shape[0]), aal_xyz(NAMES), NAMES, RATE)
