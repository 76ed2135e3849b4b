"""The room itself: nothing is loaded before it is used, and what is missing is named."""

import importlib
import subprocess
import sys
import typing

import pytest

import dtbdask.viz
from dtbdask.viz import embed, style


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_import_loads_no_library():
    loaded = (
        "[m for m in ('holoviews', 'bokeh', 'matplotlib', 'dask', 'numpy') if m in sys.modules]"
    )
    done = run(f"import sys, dtbdask.viz; dir(dtbdask.viz); print({loaded})")
    assert done.stdout.strip() == "[]", done.stderr


def test_missing_library_names_the_command_that_mends_it():
    done = run(
        "import sys; sys.modules['holoviews'] = None\n"
        "import dtbdask.viz\n"
        "from dtbdask.errors import MissingDependencyError\n"
        "try:\n    dtbdask.viz.raster\n"
        "except MissingDependencyError as error:\n    print(error)"
    )
    assert 'pip install "dtbdask[viz]"' in done.stdout, done.stderr
    assert "holoviews" in done.stdout


def test_a_fault_of_our_own_is_not_taken_for_a_missing_library():
    done = run(
        "import sys; sys.modules['dtbdask.viz.regions'] = None\n"
        "import dtbdask.viz\n"
        "try:\n    dtbdask.viz.raster\n"
        "except ModuleNotFoundError as error:\n    print(type(error).__name__)"
    )
    assert done.stdout.strip() == "ModuleNotFoundError", done.stderr


def test_viz_knows_neither_cluster_nor_devices():
    names = " ".join(f"dtbdask.viz.{name};" for name in dtbdask.viz.__all__)
    modules = "('distributed', 'numba', 'cupy', 'dtbdask.kernels.cpu', 'dtbdask.kernels.cuda')"
    done = run(
        f"import sys, dtbdask.viz; {names} print([m for m in {modules} if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", dtbdask.viz.__all__)
def test_every_public_name_is_callable_and_documented(name):
    thing = getattr(dtbdask.viz, name)
    assert callable(thing)
    assert "Parameters\n" in thing.__doc__
    assert name in typing.cast("list[str]", dir(dtbdask.viz))


def test_names_stay_functions_whatever_is_imported_first():
    for module in set(dtbdask.viz._MODULE_OF.values()):
        importlib.import_module(f"dtbdask.viz.{module}")
    assert all(callable(getattr(dtbdask.viz, name)) for name in dtbdask.viz.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="sankey"):
        _ = dtbdask.viz.sankey


def test_series_differ_in_more_than_colour():
    assert len({look.marker for look in style.CYCLE}) == len(style.CYCLE)
    for one, other in (
        (style.EXCITATORY, style.INHIBITORY),
        (style.ENSEMBLE, style.PRIOR),
        (style.TRUTH, style.BOUND),
    ):
        assert one.color != other.color
        assert one.dash != other.dash


def test_no_picture_needs_no_library_in_the_page():
    assert embed.embed([]) == ("", [])
