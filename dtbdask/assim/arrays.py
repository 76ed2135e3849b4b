"""What filters ask of arrays: one namespace, and chunks of variables where the state is lazy.

An ensemble may be a NumPy or CuPy array or a Dask array of either. Weights of members come from the
predictions of the whole ensemble; they are applied to each variable by itself. So a Dask state may
have chunks of variables in any number, and never of members. What is lazy stays lazy: its values
are checked where they are computed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from dtbdask.errors import InputError


def namespace(*arrays: Any) -> Any:
    """The array library of the first array that is not NumPy's, else NumPy.

    Parameters
    ----------
    *arrays : array_like
        (...) of any dtype. Of a Dask array counts what its chunks are.

    Returns
    -------
    module
    """
    for a in arrays:
        a = getattr(a, "_meta", a)
        if isinstance(a, np.ndarray | np.generic):
            continue
        if hasattr(a, "__array_namespace__"):
            return a.__array_namespace__()
        if hasattr(a, "__cuda_array_interface__"):  # CuPy's arrays do not tell theirs
            return import_module(type(a).__module__.partition(".")[0])
    return np


def is_lazy(a: Any) -> bool:
    """Whether this is a Dask array, or the promise of an array.

    Parameters
    ----------
    a : object
        (...) of any dtype, if an array.
    """
    graph = getattr(a, "__dask_graph__", None)
    return graph is not None and graph() is not None


def of_members(function: Callable[..., Any], predicted: Any, *others: Any) -> Any:
    """A function of all predictions, or the promise of it where they are lazy.

    Parameters
    ----------
    function : callable
        Its first argument is `predicted`.
    predicted : array
        (..., member, obs) float.
    *others : object
        Further arguments.

    Returns
    -------
    object
    """
    if not is_lazy(predicted):
        return function(predicted, *others)
    from dask import delayed

    return delayed(function, pure=False)(predicted, *others)


def parts(made: Any, *shapes: tuple[int, ...]) -> list[Any]:
    """Arrays of float64 that `of_members` made, lazy ones if it only promised them.

    Parameters
    ----------
    made : sequence of array, or the promise of it
        (...) float64 each.
    *shapes : tuple of int
        Their shapes.

    Returns
    -------
    list of array
    """
    if not is_lazy(made):
        return list(made)
    import dask.array as da

    return [da.from_delayed(made[i], shape, float) for i, shape in enumerate(shapes)]


def of_variables(
    function: Callable[..., Any], state: Any, *shared: Any, each: Any = (), axis: int = -1
) -> Any:
    """A function that treats every variable of the state by itself, chunk by chunk where lazy.

    Parameters
    ----------
    function : callable
        `function(state, *each, *shared)` gives an array like the state.
    state : array
        (..., member, variable) float, any unit.
    *shared : object
        What all variables need, or promises of it.
    each : sequence of array
        (..., other, variable) float. What belongs to single variables.
    axis : int
        Where the variables are in the state, after the members: -1, or -2 if one more dimension
        follows.

    Returns
    -------
    array
        (..., member, variable), of the kind and dtype of the state.

    Raises
    ------
    InputError
        Members of a lazy state are divided among chunks.
    """
    if not any(is_lazy(a) for a in (state, *each, *shared)):
        return function(state, *each, *shared)
    import dask.array as da

    if not is_lazy(state):
        state = da.from_array(state, chunks=-1)
    members = state.chunks[axis - 1]
    if len(members) > 1:
        raise InputError(
            f"state has its members in chunks of {members}; use one, "
            f"state.rechunk({{{state.ndim + axis - 1}: -1}})"
        )
    index = tuple(range(state.ndim))
    pairs: list[Any] = [state, index]
    n = state.ndim  # names of dimensions so far
    for own in each:
        lazy = own if is_lazy(own) else da.from_array(own, chunks=-1)
        whole, other = (-1,) * (lazy.ndim - 1), tuple(range(n, n + lazy.ndim - 1))
        pairs += [lazy.rechunk((*whole, state.chunks[axis])), (*other, index[axis])]
        n += len(other)
    for a in shared:
        pairs += [a, None]
    return da.blockwise(
        function, index, *pairs, concatenate=True,
        dtype=state.dtype, meta=state._meta, align_arrays=False,
    )  # fmt: skip
