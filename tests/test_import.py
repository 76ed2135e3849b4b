"""Importing dtbdask is silent and light; its public names are all there."""

import json
import subprocess
import sys

import pytest

HEAVY = ("cupy", "numba", "distributed", "holoviews", "bokeh", "panel", "matplotlib", "ucxx")
MOST_MODULES = 500
"""The standard library's and Dask's configuration come to about 300."""


def run(code):
    """Run code in a fresh interpreter; return what it printed, on both streams."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_import_prints_nothing():
    assert run("import dtbdask") == ("", "")


@pytest.mark.parametrize(
    "name", ["dtbdask", "dtbdask.errors", "dtbdask.progress", "dtbdask.doctor"]
)
def test_import_loads_nothing_heavy(name):
    out, _ = run(f"import {name}, json, sys; print(json.dumps(sorted(sys.modules)))")
    loaded = json.loads(out)
    assert name in loaded
    assert set(HEAVY).isdisjoint(loaded)
    assert len(loaded) < MOST_MODULES


def test_import_changes_neither_the_environment_nor_threads():
    code = (
        "import os, threading; before = dict(os.environ); import dtbdask\n"
        "assert dict(os.environ) == before; assert threading.active_count() == 1"
    )
    assert run(code) == ("", "")


def test_every_public_name_resolves_and_is_listed():
    code = (
        "import dtbdask\n"
        "names = getattr(dtbdask, '__all__', [])\n"
        "assert len(names) == len(set(names))\n"
        "assert set(names) <= set(dir(dtbdask))\n"
        "[getattr(dtbdask, name) for name in names]"
    )
    assert run(code)[0] == ""


def test_an_unknown_name_is_an_attribute_error():
    code = "import dtbdask\ntry: dtbdask.no_such_name\nexcept AttributeError as error: print(error)"
    assert "no_such_name" in run(code)[0]
