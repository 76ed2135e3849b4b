"""Matrices: the picture is the matrix, row target and column source."""

import holoviews as hv
import numpy as np
import pytest
import xarray as xr

from dtbdask.errors import InputError
from dtbdask.viz import connectivity_matrix, functional_connectivity


def cells(image):
    return image.dimension_values(2, flat=False)


def test_image_is_the_matrix(brain):
    np.testing.assert_array_equal(cells(connectivity_matrix(brain)), brain["connection"].values)


def test_row_is_target_and_column_is_source(brain):
    image = connectivity_matrix(brain)
    assert image[4.0, 1.0] == brain["connection"].values[1, 4]
    assert [d.label for d in image.kdims] == ["Source region", "Target region"]


def test_dimensions_are_read_by_name_not_by_place(brain):
    turned = brain.assign(connection=brain["connection"].transpose("voxel_source", "voxel"))
    np.testing.assert_array_equal(
        cells(connectivity_matrix(turned)), cells(connectivity_matrix(brain))
    )


def test_matrix_is_computed_once(brain, computes):
    connectivity_matrix(brain)
    assert len(computes) == 1


def test_empty_matrix_is_refused(brain):
    with pytest.raises(InputError, match="no entry above 0"):
        connectivity_matrix(brain.assign(connection=brain["connection"] * 0))


def test_matrix_beyond_any_screen_is_refused_before_it_is_computed(computes):
    import dask.array as da

    huge = xr.Dataset({"connection": (("voxel", "voxel_source"), da.ones((9000, 9000)))})
    with pytest.raises(InputError, match=r"81,000,000 pixels.*isel"):
        connectivity_matrix(huge)
    assert not computes


def test_functional_connectivity_is_the_correlation_of_every_input(brain, recording):
    bold = brain["bold_rest"]
    expected = np.corrcoef(bold.values.T)
    for given_as in (brain, bold, bold.T):
        np.testing.assert_allclose(cells(functional_connectivity(given_as)), expected, atol=1e-12)
    np.testing.assert_allclose(
        cells(functional_connectivity(recording)), np.corrcoef(recording["bold"].values.T)
    )


def test_constant_series_has_no_correlation(brain):
    bold = brain["bold_rest"].values.copy()
    bold[:, 2] = 7.0
    image = cells(functional_connectivity(xr.DataArray(bold, dims=("frame", "voxel"))))
    assert np.isnan(image[2]).all()
    assert np.isfinite(np.delete(np.delete(image, 2, 0), 2, 1)).all()


def test_lack_of_bold_is_said(brain):
    with pytest.raises(InputError, match="no BOLD"):
        functional_connectivity(brain.drop_vars("bold_rest"))
    with pytest.raises(InputError, match="2 frames"):
        functional_connectivity(brain["bold_rest"][:2])


@pytest.mark.parametrize("draw", [connectivity_matrix, functional_connectivity])
def test_renders(draw, brain, backend):
    hv.render(draw(brain), backend=backend)


def test_bokeh_names_regions_under_the_pointer(brain):
    figure = hv.render(connectivity_matrix(brain), backend="bokeh")
    formatters = figure.hover[0].formatters
    assert formatters["$y"].args["names"] == brain["label"].values.tolist()
    assert formatters["$x"].args["names"] == brain["label"].values.tolist()
    assert len(figure.yaxis[0].ticker.ticks) <= 20
    assert figure.yaxis[0].axis_label == "Target region"


def test_matplotlib_colours_are_logarithmic_and_absence_is_grey(brain):
    figure = hv.render(connectivity_matrix(brain), backend="matplotlib")
    shown = figure.axes[0].images[0]
    assert type(shown.norm).__name__ == "LogNorm"
    assert shown.norm.vmin == np.min(brain["connection"].values[brain["connection"].values > 0])


def test_the_same_picture_renders_again_and_again(brain):
    picture = connectivity_matrix(brain)
    for _ in range(2):
        for backend in ("bokeh", "matplotlib"):
            hv.render(picture, backend=backend)
