"""Chunks change nothing, what is lazy stays lazy, and no array leaves its library."""

from functools import partial

import dask
import dask.array as da
import numpy as np
import pytest
from assim.foreign import Foreign
from hypothesis import given, settings
from hypothesis import strategies as st

from dtbdask.assim.arrays import is_lazy
from dtbdask.assim.filters import denkf, dhmda, enkf, etkf
from dtbdask.assim.inflation import inflate, rtpp, rtps
from dtbdask.assim.local import letkf
from dtbdask.assim.localisation import gaspari_cohn
from dtbdask.assim.smoothers import enks, es_mda
from dtbdask.errors import InputError

MEMBERS, VARIABLES, OBS = 5, 7, 4


def problem(name, dtype=np.float64, batch=()):
    """A random (state, predicted, observation, error variance)."""
    rng = np.random.default_rng(3)
    middle = (OBS,) if name == "dhmda" else ()
    state = rng.normal(size=(*batch, MEMBERS, *middle, VARIABLES)).astype(dtype)
    predicted = rng.normal(size=(*batch, MEMBERS, OBS)).astype(dtype)
    return state, predicted, rng.normal(size=(*batch, OBS)), rng.uniform(0.1, 2, OBS)


def taper(of=lambda a: a):
    return of(gaspari_cohn(np.abs(np.subtract.outer(np.arange(VARIABLES), np.arange(OBS))), 2.0))


def draw():
    return np.random.default_rng(9)


def before(x, b, y, R, **options):
    """The past state of a smoother."""
    return enks([x, x], b, y, R, lag=1, **options)[0]


def by_parameters(x, b, y, R):
    """A model that predicts two parameters, and knows of no library."""
    return es_mda(x, lambda m: m[..., :OBS] * 2, y, R, draw(), 3)


RUNS = {
    "etkf": partial(etkf, inflation=1.1),
    "etkf, rotated": lambda *p: etkf(*p, generator=draw()),
    "denkf": denkf,
    "enkf": lambda *p: enkf(*p, draw()),
    "dhmda": lambda *p: dhmda(*p, 0.7, draw()),
    "letkf": lambda *p: letkf(*p, taper(), 1.1),
    "letkf, rotated": lambda *p: letkf(*p, taper(), generator=draw()),
    "enks": before,
    "enks of enkf": lambda *p: before(*p, method="enkf", generator=draw()),
    "es_mda": by_parameters,
    "inflate": lambda x, b, y, R: inflate(x, 1.3),
    "rtpp": lambda x, b, y, R: rtpp(x, x * x, 0.4),
    "rtps": lambda x, b, y, R: rtps(x, x * x, 0.4),
}
every = pytest.mark.parametrize("name", RUNS)


@pytest.fixture(autouse=True)
def _at_once():
    with dask.config.set(scheduler="synchronous"):
        yield


@st.composite
def chunks(draw_):
    """A division of the variables."""
    cuts = sorted(draw_(st.sets(st.integers(1, VARIABLES - 1))))
    return tuple(int(n) for n in np.diff([0, *cuts, VARIABLES]))


@every
@settings(deadline=None, max_examples=20)
@given(division=chunks(), lazy_state=st.booleans(), lazy_predicted=st.booleans())
def test_chunks_change_nothing(name, division, lazy_state, lazy_predicted):
    x, b, y, R = problem(name)
    wanted = RUNS[name](x, b, y, R)
    state = da.from_array(x, chunks=(-1,) * (x.ndim - 1) + (division,)) if lazy_state else x
    predicted = da.from_array(b, chunks=(2, 3)) if lazy_predicted else b
    found = RUNS[name](state, predicted, y, R)
    by_state = name in ("inflate", "rtpp", "rtps", "es_mda")  # look at no other predictions
    assert is_lazy(found) == (lazy_state or (lazy_predicted and not by_state))
    if lazy_state:
        assert found.chunks == state.chunks
    assert (found.dtype, found.shape) == (x.dtype, x.shape)
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=0, atol=1e-12)


def test_voxels_may_be_chunked_for_dtbs_filter():
    x, b, y, R = problem("dhmda")
    state = da.from_array(x, chunks=(-1, (1, 3), (4, 3)))
    found = RUNS["dhmda"](state, da.from_array(b, chunks=2), y, R)
    assert found.chunks == state.chunks
    np.testing.assert_allclose(found.compute(), RUNS["dhmda"](x, b, y, R), rtol=0, atol=1e-12)


@every
def test_a_batch_may_be_lazy(name):
    x, b, y, R = problem(name, batch=(2,))
    state = da.from_array(x, chunks=(-1,) * (x.ndim - 1) + (3,))
    wanted = RUNS[name](x, b, y, R)
    np.testing.assert_allclose(RUNS[name](state, b, y, R).compute(), wanted, rtol=0, atol=1e-12)


@every
def test_float32_stays_float32_in_chunks(name):
    x, b, y, R = problem(name, np.float32)
    state = da.from_array(x, chunks=(-1,) * (x.ndim - 1) + (3,))
    found = RUNS[name](state, b, y, R)
    assert found.dtype == found.compute().dtype == RUNS[name](x, b, y, R).dtype == np.float32


def test_a_lazy_taper_is_taken():
    x, b, y, R = problem("letkf")
    lazy = letkf(da.from_array(x, chunks=(-1, 2)), b, y, R, taper(lambda a: da.from_array(a, 3)))
    np.testing.assert_allclose(lazy.compute(), letkf(x, b, y, R, taper()), rtol=0, atol=1e-12)


@every
def test_nothing_is_computed_before_it_is_asked_for(name):
    x, b, y, R = problem(name)

    def touched(block):
        raise AssertionError("computed")

    state, predicted = (
        da.from_array(a, chunks=-1).map_blocks(touched, dtype=a.dtype, meta=a[:0]) for a in (x, b)
    )
    lazy = RUNS[name](state, predicted, y, R)
    with pytest.raises(AssertionError, match="computed"):
        lazy.compute()


@every
def test_members_in_several_chunks_are_refused(name):
    x, b, y, R = problem(name)
    with pytest.raises(InputError, match=r"members in chunks of \(2, 2, 1\).*rechunk\({0: -1}\)"):
        RUNS[name](da.from_array(x, chunks=(2,) + (-1,) * (x.ndim - 1)), b, y, R)


@every
def test_a_lazy_value_that_is_not_finite_is_found_where_it_is_computed(name):
    x, b, y, R = problem(name)
    x[1, ..., -1] = np.nan
    lazy = RUNS[name](da.from_array(x, chunks=(-1,) * (x.ndim - 1) + (3,)), b, y, R)
    with pytest.raises(InputError, match="is nan at index"):
        lazy.compute()
    if name in ("etkf", "denkf", "enkf", "dhmda", "letkf"):
        lazy = RUNS[name](problem(name)[0], da.from_array(b * np.inf, chunks=2), y, R)
        with pytest.raises(InputError, match=r"predicted is -?inf"):
            lazy.compute()


@every
def test_no_array_leaves_its_library(name):
    inputs = problem(name)
    for y_and_R in (inputs[2:], tuple(map(Foreign, inputs[2:]))):
        found = RUNS[name](*map(Foreign, inputs[:2]), *y_and_R)
        assert isinstance(found, Foreign)
        np.testing.assert_array_equal(found.values, RUNS[name](*inputs))


def test_tapers_stay_in_their_library():
    x, b, y, R = map(Foreign, problem("letkf"))
    distance = Foreign(np.abs(np.subtract.outer(np.arange(VARIABLES), np.arange(OBS))))
    near = gaspari_cohn(distance, 2.0)
    assert isinstance(near, Foreign)
    np.testing.assert_array_equal(near.values, taper())
    wanted = letkf(*problem("letkf"), taper())
    np.testing.assert_array_equal(letkf(x, b, y, R, near).values, wanted)


@pytest.mark.gpu
@every
def test_a_device_gives_what_the_host_does(name):
    cp = pytest.importorskip("cupy")
    inputs = problem(name)
    found = RUNS[name](*map(cp.asarray, inputs))
    assert isinstance(found, cp.ndarray)
    np.testing.assert_allclose(cp.asnumpy(found), RUNS[name](*inputs), rtol=0, atol=1e-10)
