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
    from dtbdask.viz.bold import bold_traces as bold_traces
    from dtbdask.viz.connectivity import connectivity_matrix as connectivity_matrix
    from dtbdask.viz.connectivity import functional_connectivity as functional_connectivity
    from dtbdask.viz.export import save as save
    from dtbdask.viz.page import Section as Section
    from dtbdask.viz.page import write_report as write_report
    from dtbdask.viz.parameters import parameter_error_curve as parameter_error_curve
    from dtbdask.viz.parameters import parameter_traces as parameter_traces
    from dtbdask.viz.parameters import twin_recovery as twin_recovery
    from dtbdask.viz.rates import population_rates as population_rates
    from dtbdask.viz.rates import rate_histogram as rate_histogram
    from dtbdask.viz.rates import region_rates as region_rates
    from dtbdask.viz.spikes import raster as raster
    from dtbdask.viz.standard import report as report

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
