"""Every public function and class explains itself; every array argument gives its dimensions."""

import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest
from numpy.typing import NDArray

import dtbdask

MODULES = ["dtbdask", *(m.name for m in pkgutil.walk_packages(dtbdask.__path__, "dtbdask."))]
ARRAY = re.compile(r"\b(NDArray|ArrayLike|DataArray|ndarray)\b")
DIMENSIONS = re.compile(r"\([^()]*\)")


def public(module):
    """Functions and classes that a module defines, and the methods of those classes."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing):
            yield thing
            methods = (m for n, m in vars(thing).items() if not n.startswith("_"))
            yield from filter(inspect.isfunction, methods)
        elif callable(thing):
            yield inspect.unwrap(thing)


def entries(doc):
    """Parameters section of a docstring: names and the text of each entry."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=\n\n\S+\n-+\n|\Z)", doc, re.DOTALL | re.MULTILINE
    )
    lines = re.split(r"\n(?=\S)", section[1]) if section else []
    for line in lines:
        names, _, text = line.partition(":")
        for name in names.split(","):
            yield name.strip(" *"), text


def faults(thing):
    doc = inspect.cleandoc(thing.__doc__ or "")
    if not doc or doc.startswith(f"{thing.__name__}("):  # what dataclass writes by itself
        return [f"{thing.__qualname__} has no docstring"]
    kinds = {} if inspect.isclass(thing) else inspect.get_annotations(thing)
    arrays = [name for name, kind in kinds.items() if ARRAY.search(str(kind))]
    bare = [name for name, text in entries(doc) if name in arrays and not DIMENSIONS.search(text)]
    return [f"{thing.__qualname__}: array {name!r} lacks its (dimensions)" for name in bare]


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_documented(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "dtbdask").startswith("dtbdask"):
            raise
        pytest.skip(f"{error.name} is not installed")
    assert [fault for thing in public(module) for fault in faults(thing)] == []


def test_faults_are_seen():
    def good(v: NDArray[np.float32], n: int) -> None:
        """Say.

        Parameters
        ----------
        v : (neuron,) float32, mV
            Potential.
        n : int
            Number.
        """

    def bare(v: "np.ndarray", w: "xr.DataArray") -> None:  # noqa: F821
        """Say.

        Parameters
        ----------
        v, w : float32, mV
            Potential.

        Returns
        -------
        (nothing)
        """

    def mute():
        pass

    assert faults(good) == []
    assert [fault.split(": ")[1] for fault in faults(bare)] == [
        "array 'v' lacks its (dimensions)",
        "array 'w' lacks its (dimensions)",
    ]
    assert faults(mute)[0].endswith("mute has no docstring")
