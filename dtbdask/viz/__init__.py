"""Pictures of brains, activity and fits, as HoloViews objects, and a report in one HTML file.

Functions take labelled datasets, compute only the slice they show, and return objects that Bokeh
and Matplotlib both draw; compose them with `+` and `*`, style them with `.opts(...)`, write them
with `save`. Nothing here is loaded before it is used; HoloViews comes with
`pip install "dtbdask[viz]"`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dtbdask.errors import MissingDependencyError

if TYPE_CHECKING:
    from dtbdask.viz.app.server import check_address as check_address
    from dtbdask.viz.app.server import free_port as free_port
    from dtbdask.viz.app.server import serve as serve
    from dtbdask.viz.app.study import Study as Study
    from dtbdask.viz.bold import bold_traces as bold_traces
    from dtbdask.viz.brain import brain_points as brain_points
    from dtbdask.viz.brain import glass_brain as glass_brain
    from dtbdask.viz.comparison import fc_comparison as fc_comparison
    from dtbdask.viz.comparison import rate_scatter as rate_scatter
    from dtbdask.viz.connectivity import connectivity_matrix as connectivity_matrix
    from dtbdask.viz.connectivity import functional_connectivity as functional_connectivity
    from dtbdask.viz.export import save as save
    from dtbdask.viz.film import brain_film as brain_film
    from dtbdask.viz.matrices import population_matrix as population_matrix
    from dtbdask.viz.matrices import voxel_matrix as voxel_matrix
    from dtbdask.viz.matrices import zoom_matrix as zoom_matrix
    from dtbdask.viz.network import degree_histogram as degree_histogram
    from dtbdask.viz.network import partition_picture as partition_picture
    from dtbdask.viz.network import weight_histogram as weight_histogram
    from dtbdask.viz.page import Section as Section
    from dtbdask.viz.page import write_report as write_report
    from dtbdask.viz.parameters import parameter_error_curve as parameter_error_curve
    from dtbdask.viz.parameters import parameter_traces as parameter_traces
    from dtbdask.viz.parameters import twin_recovery as twin_recovery
    from dtbdask.viz.rates import population_rates as population_rates
    from dtbdask.viz.rates import rate_histogram as rate_histogram
    from dtbdask.viz.rates import region_rates as region_rates
    from dtbdask.viz.skill import innovations as innovations
    from dtbdask.viz.skill import rank_bars as rank_bars
    from dtbdask.viz.skill import spread_and_error as spread_and_error
    from dtbdask.viz.slices import brain_slices as brain_slices
    from dtbdask.viz.spikes import raster as raster
    from dtbdask.viz.standard import report as report
    from dtbdask.viz.statistics import correlation_histogram as correlation_histogram
    from dtbdask.viz.statistics import interval_histogram as interval_histogram
    from dtbdask.viz.statistics import rate_boxes as rate_boxes
    from dtbdask.viz.statistics import rate_spectrum as rate_spectrum
    from dtbdask.viz.statistics import rate_wavelet as rate_wavelet
    from dtbdask.viz.traces import membrane_traces as membrane_traces
    from dtbdask.viz.traces import neuron_currents as neuron_currents
    from dtbdask.viz.traces import receptor_currents as receptor_currents
    from dtbdask.viz.traces import region_curves as region_curves
    from dtbdask.viz.traces import region_means as region_means
    from dtbdask.viz.zoom import zoom_raster as zoom_raster

_MODULE_OF = {
    "connectivity_matrix": "connectivity",
    "functional_connectivity": "connectivity",
    "raster": "spikes",
    "population_rates": "rates",
    "region_rates": "rates",
    "rate_histogram": "rates",
    "bold_traces": "bold",
    "parameter_traces": "parameters",
    "twin_recovery": "parameters",
    "parameter_error_curve": "parameters",
    "fc_comparison": "comparison",
    "rate_scatter": "comparison",
    "zoom_raster": "zoom",
    "zoom_matrix": "matrices",
    "population_matrix": "matrices",
    "voxel_matrix": "matrices",
    "brain_points": "brain",
    "glass_brain": "brain",
    "brain_slices": "slices",
    "brain_film": "film",
    "region_curves": "traces",
    "region_means": "traces",
    "membrane_traces": "traces",
    "neuron_currents": "traces",
    "receptor_currents": "traces",
    "Study": "app.study",
    "check_address": "app.server",
    "free_port": "app.server",
    "serve": "app.server",
    "interval_histogram": "statistics",
    "correlation_histogram": "statistics",
    "rate_boxes": "statistics",
    "rate_spectrum": "statistics",
    "rate_wavelet": "statistics",
    "innovations": "skill",
    "spread_and_error": "skill",
    "rank_bars": "skill",
    "degree_histogram": "network",
    "weight_histogram": "network",
    "partition_picture": "network",
    "save": "export",
    "Section": "page",
    "write_report": "page",
    "report": "standard",
}

__all__ = list(_MODULE_OF)

_LIBRARIES = ("holoviews", "bokeh", "matplotlib", "panel")


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_MODULE_OF[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _LIBRARIES:
            raise
        raise MissingDependencyError(
            f'pictures need {error.name}, which is not installed; pip install "dtbdask[viz]"'
        ) from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
