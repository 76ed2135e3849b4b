"""An array library that is not NumPy, as strict as CuPy: nothing converts by itself, nothing mixes.

It computes with NumPy behind a wall, so that a filter which lets a NumPy array slip into its
arithmetic, or its result, is found without the library's device.
"""

import numpy as np


class Foreign(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that refuses NumPy arrays beside it."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion to a NumPy array")

    def __array_namespace__(self, *, api_version=None):
        return Library

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        assert method == "__call__"
        return through(ufunc)(*inputs, **options)

    def __getitem__(self, key):
        return out(self.values[inner(key)])

    def __setitem__(self, key, value):
        self.values[inner(key)] = inner(value)

    def __bool__(self):
        return bool(self.values)

    def __float__(self):
        return float(self.values)

    def __getattr__(self, name):
        if name.startswith("_") or name == "mT":  # which CuPy has since lately only
            raise AttributeError(name)
        found = getattr(self.values, name)
        return through(found) if callable(found) and name != "dtype" else out(found)


def inner(thing):
    """What is behind the wall; a NumPy array of one dimension or more may not go there."""
    if isinstance(thing, Foreign):
        return thing.values
    if isinstance(thing, tuple):
        return tuple(inner(a) for a in thing)
    if isinstance(thing, np.ndarray) and thing.ndim:
        raise TypeError("a NumPy array among foreign ones")
    return thing


def out(thing):
    """Arrays as foreign ones."""
    if isinstance(thing, np.ndarray | np.generic) and not isinstance(thing, np.dtype):
        return Foreign(thing)
    if isinstance(thing, tuple) and any(isinstance(a, np.ndarray) for a in thing):
        return tuple(out(a) for a in thing)
    return thing


def through(function):
    """A function of NumPy for foreign arrays."""

    def called(*args, **options):
        inside = {name: inner(value) for name, value in options.items()}
        return out(function(*(inner(a) for a in args), **inside))

    return called


class _Library:
    def __init__(self, module):
        self._module = module

    def asarray(self, values, dtype=None):
        values = values.values if isinstance(values, Foreign) else values
        return Foreign(np.asarray(values, dtype=dtype))

    def __getattr__(self, name):
        found = getattr(self._module, name)
        if name == "linalg":
            return _Library(found)
        return through(found)


Library = _Library(np)
