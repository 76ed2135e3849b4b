"""One analysis of the cycle: the filter that is chosen, in each voxel or near it.

The state of a voxel is what the filter may correct there: hyper-parameters, their velocities and
their past, and the haemodynamic state. Not all voxels need be observed. One that is not learns from
those that are by what it shares with them: with C the correlation of the walks (see
`dtbdask.assim.walk`), the change of each member in the observed voxels o is carried to the others,

    dx_h = C_ho (C_oo + nugget I)^-1 dx_o,

as kriging does. What a member is there beyond that, it keeps, so that its spread stays as wide as
what is not known. It needs no correlations of the sample.

The state of many voxels is a Dask array, of pieces that threads of this process analyse at once.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dtbdask.assim.arrays import is_lazy, of_variables
from dtbdask.assim.checks import positive, share
from dtbdask.assim.filters import dhmda
from dtbdask.assim.single import update_each
from dtbdask.assim.weights import combined, enkf_weights, etkf_weights, total
from dtbdask.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Method = Literal["etkf", "denkf", "enkf", "dhmda", "letkf"]

NUGGET = 0.02
"""Share of an observed voxel's change that is taken to be its own."""
PIECE = 2**24
"""Bytes of the state that are analysed at once."""


class Analysis:
    """The filter of a cycle.

    Parameters
    ----------
    method : {"etkf", "denkf", "enkf", "dhmda", "letkf"}
    error : (voxel,) float64
        Variance of the observation error.
    observed : (index,) int64
        Voxels that are observed.
    rho : float
        Weight of a voxel's own correction in `dhmda`.
    inflation : float
        Multiplies the analysis anomalies.
    taper : array_like, optional
        (voxel, voxel) float, 0 to 1: what an observation of the second counts for the first, in
        `letkf`, which needs it.
    correlation : array_like, optional
        (voxel, voxel) float: by it changes are carried to voxels that are not observed.

    Raises
    ------
    InputError
        The method is unknown, a value is out of its range, or shapes disagree.
    """

    def __init__(
        self, method: Method, error: Floats, observed: Ints, *, rho: float = 0.8,
        inflation: float = 1.0, taper: ArrayLike | None = None,
        correlation: ArrayLike | None = None,
    ) -> None:  # fmt: skip
        if method not in get_args(Method):
            raise InputError(f"method is {method!r}; use one of {get_args(Method)}")
        self._method, self._error, self._observed = method, error[observed], observed
        self._rho, self._inflation = share("rho", rho), positive("inflation", inflation)
        if method == "dhmda" and inflation != 1:
            raise InputError(f"inflation is {inflation}; dhmda of the cycle has none")
        if (method == "letkf") != (taper is not None):
            raise InputError(f"method is {method!r}; letkf, and only it, needs a taper")
        self._taper = None if taper is None else _near(taper, error.size)[:, observed]
        unseen = np.setdiff1d(np.arange(error.size), observed)
        self._unseen, self._carry = unseen, None
        if correlation is not None and unseen.size and method != "letkf":
            self._carry = kriging(correlation, observed, unseen)

    def __call__(
        self, state: Floats, predicted: Floats, y: Floats, generator: np.random.Generator
    ) -> Floats:
        """State of the members after the update.

        Parameters
        ----------
        state : (member, voxel, variable) float64
        predicted : (member, voxel) float64
            What each member predicts of each voxel, observed or not.
        y : (voxel,) float64
            Observations; values of voxels that are not observed are not looked at.
        generator : numpy.random.Generator
            Of perturbations.
        """
        at = self._observed
        predicted = np.ascontiguousarray(predicted)
        if self._method not in ("etkf", "denkf"):
            # in one order of memory, whatever it came in: sums over members then have the same bits
            state = np.ascontiguousarray(state)
        if self._taper is not None:
            return _computed(self._local(_pieces(state), predicted[:, at], y[at]))
        before = state if at.size == y.size else state[:, at]
        now = _computed(self._own(_pieces(before), predicted[:, at], y[at], generator))
        if at.size == y.size:
            return now
        after = state.copy()
        after[:, at] = now
        if self._carry is not None:
            after[:, self._unseen] += np.einsum("ho,mov->mhv", self._carry, now - before)
        return after

    def _own(self, state: Any, b: Floats, y: Floats, generator: np.random.Generator) -> Any:
        """Update of each voxel with its own observation, or by diffusion."""
        if self._method == "dhmda":
            return dhmda(state, b, y, self._error, self._rho, generator)
        each: tuple[Floats, ...] = (b, y, self._error)
        if self._method == "enkf":
            xi = generator.standard_normal((y.size, len(b))).T
            return of_variables(_perturbed, state, self._inflation, each=(*each, xi), axis=-2)
        single = "denkf" if self._method == "denkf" else "etkf"
        return of_variables(_alone, state, single, self._inflation, each=each, axis=-2)

    def _local(self, state: Any, b: Floats, y: Floats) -> Any:
        """Update of each voxel with the observations near it (Hunt et al. 2007)."""
        assert self._taper is not None
        given, near = (b, y, self._error, self._inflation), self._taper.T
        return of_variables(_nearby, state, *given, each=(near,), axis=-2)


def _alone(
    state: Floats, b: Floats, y: Floats, error: Floats, method: Literal["etkf", "denkf"],
    inflation: float,
) -> Floats:  # fmt: skip
    """Some voxels, each with its own observation, by a deterministic filter."""
    return update_each(state, np.ascontiguousarray(b), y, error, method, inflation)


def _perturbed(
    state: Floats, b: Floats, y: Floats, error: Floats, xi: Floats, inflation: float
) -> Floats:
    """Some voxels, each with its own observation, perturbed by xi (member, voxel)."""
    y, R, xi = (a[..., None] for a in (y[:, None], error[:, None], xi.T))
    weights = enkf_weights(np.ascontiguousarray(b.T)[..., None], y, R, xi)
    own: Floats = combined(state.swapaxes(0, 1), total(weights, inflation))
    return own.swapaxes(0, 1)


def _nearby(
    state: Floats, near: Floats, b: Floats, y: Floats, error: Floats, inflation: float
) -> Floats:
    """Some voxels, each with the observations near it; `near` is (obs, voxel)."""
    after = np.empty(state.shape)
    for voxel, taper in enumerate(near.T):
        of = taper > 0
        weights = etkf_weights(b[:, of], y[None, of], error[of] / taper[of][None])
        after[:, voxel] = combined(state[:, voxel], total(weights, inflation))
    return after


def _pieces(state: Floats) -> Any:
    """A state that is large as a Dask array, of pieces of voxels."""
    n_pieces = -(-state.nbytes // PIECE)
    if n_pieces < 2:
        return state
    import dask.array as da

    return da.from_array(state, chunks=(-1, -(-state.shape[1] // n_pieces), -1), name=False)


def _computed(state: Any) -> Floats:
    """The state as an array of this process, which a cluster would not compute any sooner."""
    made: Floats = state.compute(scheduler="threads") if is_lazy(state) else state
    return made


def kriging(correlation: ArrayLike, observed: Ints, unseen: Ints) -> Floats:
    """Weights by which voxels that are not seen follow those that are: (unseen, observed) float64.

    Parameters
    ----------
    correlation : (voxel, voxel) float
    observed, unseen : (index,) int64
    """
    c = np.asarray(correlation, dtype=np.float64)
    among = c[np.ix_(observed, observed)] + NUGGET * np.eye(observed.size)
    solved = np.linalg.solve(among, c[np.ix_(observed, unseen)])
    return np.asarray(solved.T, dtype=np.float64)


def _near(taper: ArrayLike, n_voxels: int) -> Floats:
    near = np.asarray(taper, dtype=np.float64)
    if near.shape != (n_voxels, n_voxels):
        raise InputError(f"taper has shape {near.shape}; expected {(n_voxels, n_voxels)}")
    if not ((near >= 0) & (near <= 1)).all():
        raise InputError(f"taper has values from {near.min()} to {near.max()}; expected 0 to 1")
    return near
