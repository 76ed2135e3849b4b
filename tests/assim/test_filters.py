"""The filters against the exact Kalman filter, the literal text of DTB's, and their symmetries."""

from functools import partial

import numpy as np
import pytest
from assim.gaussian import exact_ensemble, kalman, random_covariance
from hypothesis import given
from hypothesis import strategies as st

from dtbdask.assim.filters import denkf, dhmda, enkf, etkf
from dtbdask.assim.weights import rotation
from dtbdask.errors import InputError
from dtbdask.rng import generator

MEMBERS, VARIABLES, OBS = 6, 4, 3


class Drawn:
    """Stands for a generator and hands out given normals."""

    def __init__(self, xi):
        self.xi = xi

    def standard_normal(self, shape):
        assert shape == self.xi.shape
        return self.xi


def problem(seed, *batch, voxel=False):
    """A random (state, predicted, observation, error variance)."""
    rng = np.random.default_rng(seed)
    middle = (OBS,) if voxel else ()
    state = rng.normal(size=(*batch, MEMBERS, *middle, VARIABLES))
    predicted = rng.normal(size=(*batch, MEMBERS, OBS)) + state.mean(-1).reshape(
        *batch, MEMBERS, -1
    )
    return state, predicted, rng.normal(size=(*batch, OBS)), rng.uniform(0.1, 2, (*batch, OBS))


def filters(xi):
    """Each filter as a function of a problem, with the perturbations it is to use."""
    return {
        "etkf": partial(etkf, inflation=1.1),
        "denkf": partial(denkf, inflation=1.1),
        "enkf": partial(enkf, generator=Drawn(xi), inflation=1.1),
        "dhmda": partial(dhmda, rho=0.7, generator=Drawn(xi)),
    }


def normals(*shape):
    return np.random.default_rng(99).normal(size=shape)


def draws(name, seed, *batch):
    return problem(seed, *batch, voxel=name == "dhmda")


names = pytest.mark.parametrize("name", ["etkf", "denkf", "enkf", "dhmda"])
seeds = st.integers(0, 2**31)


@pytest.mark.parametrize("seed", range(5))
def test_etkf_is_the_kalman_filter_on_a_linear_gaussian_problem(seed):
    rng = np.random.default_rng(seed)
    n, members = 5, 16
    M = np.linalg.qr(rng.normal(size=(n, n)))[0] * 0.98
    Q, H, R = 0.1 * random_covariance(n, rng), rng.normal(size=(OBS, n)), rng.uniform(0.1, 1, OBS)
    mean, P = rng.normal(size=n), random_covariance(n, rng)
    ensemble = exact_ensemble(mean, P, members, rng)
    for _ in range(30):
        mean, P = M @ mean, M @ P @ M.T + Q
        ensemble = ensemble @ M.T
        ensemble += exact_ensemble(np.zeros(n), Q, members, rng, avoid=ensemble)
        y = rng.normal(size=OBS)
        mean, P = kalman(mean, P, H, y, np.diag(R))
        ensemble = etkf(ensemble, ensemble @ H.T, y, R)
        np.testing.assert_allclose(ensemble.mean(axis=0), mean, rtol=0, atol=1e-10)
        np.testing.assert_allclose(np.cov(ensemble.T), P, rtol=0, atol=1e-10)


@given(seeds)
def test_enkf_corrects_an_exact_mean_exactly(seed):
    """Its perturbations have mean 0, so chance is left to the covariance alone."""
    rng = np.random.default_rng(seed)
    mean, P = rng.normal(size=VARIABLES), random_covariance(VARIABLES, rng)
    H, R, y = rng.normal(size=(OBS, VARIABLES)), rng.uniform(0.1, 1, OBS), rng.normal(size=OBS)
    x = exact_ensemble(mean, P, 12, rng)
    analysis = enkf(x, x @ H.T, y, R, generator(seed, "test"))
    wanted, _ = kalman(mean, P, H, y, np.diag(R))
    np.testing.assert_allclose(analysis.mean(axis=0), wanted, rtol=0, atol=1e-10)


def test_enkf_approaches_the_kalman_filter_as_members_grow():
    rng = np.random.default_rng(7)
    mean, P = rng.normal(size=VARIABLES), random_covariance(VARIABLES, rng)
    H, R, y = rng.normal(size=(OBS, VARIABLES)), rng.uniform(0.1, 1, OBS), rng.normal(size=OBS)
    wanted, covariance = kalman(mean, P, H, y, np.diag(R))
    errors, misfits = [], []
    for members in (20, 80, 320):
        x = rng.multivariate_normal(mean, P, (40, members))
        analysis = enkf(x, x @ H.T, y, R, generator(1, "test", members))
        errors.append(np.sqrt(((analysis.mean(axis=1) - wanted) ** 2).mean()))
        misfits.append(np.mean([np.abs(np.cov(a.T) - covariance).mean() for a in analysis]))
    scale = np.sqrt(np.diag(covariance).mean())
    assert errors[2] < 3 * scale / np.sqrt(320)
    for found in (errors, misfits):  # four times the members: half the error
        assert 1.5 < found[0] / found[1] < 2.7
        assert 1.5 < found[1] / found[2] < 2.7


@given(seeds)
def test_denkf_has_the_kalman_mean_and_half_the_gain_for_its_anomalies(seed):
    rng = np.random.default_rng(seed)
    mean, P = rng.normal(size=VARIABLES), random_covariance(VARIABLES, rng)
    H, R, y = rng.normal(size=(OBS, VARIABLES)), rng.uniform(0.1, 1, OBS), rng.normal(size=OBS)
    x = exact_ensemble(mean, P, 12, rng)
    analysis = denkf(x, x @ H.T, y, R)
    wanted, covariance = kalman(mean, P, H, y, np.diag(R))
    KH = P @ H.T @ np.linalg.inv(H @ P @ H.T + np.diag(R)) @ H
    half = np.eye(VARIABLES) - KH / 2
    np.testing.assert_allclose(analysis.mean(axis=0), wanted, rtol=0, atol=1e-10)
    np.testing.assert_allclose(analysis - wanted, (x - mean) @ half.T, rtol=0, atol=1e-10)
    np.testing.assert_allclose(np.cov(analysis.T), covariance + KH @ P @ KH.T / 4, atol=1e-10)


@given(seeds, st.integers(2, 9))
def test_a_rotation_is_orthogonal_and_leaves_the_mean(seed, members):
    Q = rotation(np.random.default_rng(seed), members, (2,))
    eye = np.broadcast_to(np.eye(members), Q.shape)
    np.testing.assert_allclose(Q @ Q.mT, eye, rtol=0, atol=1e-12)
    np.testing.assert_allclose(Q.sum(axis=-2), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(Q.sum(axis=-1), 1, rtol=0, atol=1e-12)
    assert members == 2 or np.abs(Q[0] - Q[1]).max() > 1e-6


@given(seeds)
def test_a_rotated_analysis_has_other_members_with_the_same_mean_and_covariance(seed):
    problems = problem(seed)
    plain, turned = etkf(*problems), etkf(*problems, generator=np.random.default_rng(seed))
    np.testing.assert_allclose(turned.mean(axis=0), plain.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.cov(turned.T), np.cov(plain.T), rtol=0, atol=1e-12)
    assert np.abs(turned - plain).max() > 1e-6


def literal_dhmda(x, b, y, R, rho, xi):
    """The formulas of DTB's analysis step, one sum at a time."""
    E, V, M = x.shape
    mean_b, mean_x = b.mean(axis=0), x.mean(axis=0)
    c = [sum((b[e, v] - mean_b[v]) ** 2 for e in range(E)) / (E - 1) + R[v] for v in range(V)]

    def gain(v, w):  # of observation v on the state of voxel w
        total = np.zeros(M)
        for e in range(E):
            total = total + (b[e, v] - mean_b[v]) * (x[e, w] - mean_x[w])
        return total / ((E - 1) * c[v])

    out = np.empty_like(x)
    for e in range(E):
        r = [y[v] + np.sqrt(R[v]) * xi[e, v] - b[e, v] for v in range(V)]
        for v in range(V):
            everyone = np.zeros(M)
            for w in range(V):
                everyone = everyone + r[w] * gain(w, v)
            out[e, v] = x[e, v] + rho * r[v] * gain(v, v) + (1 - rho) / V * everyone
    return out


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_dhmda_is_the_literal_text(rho, seed):
    x, b, y, R = problem(seed, voxel=True)
    analysis = dhmda(x, b, y, R, rho, generator(seed, "test"))
    xi = generator(seed, "test").standard_normal(b.shape)
    np.testing.assert_allclose(analysis, literal_dhmda(x, b, y, R, rho, xi), rtol=0, atol=1e-12)


@given(seeds)
def test_dhmda_with_rho_one_is_a_scalar_filter_in_each_voxel(seed):
    x, b, y, R = problem(seed, voxel=True)
    xi = normals(MEMBERS, OBS)
    analysis = dhmda(x, b, y, R, 1.0, Drawn(xi))
    for v in range(OBS):
        column = slice(v, v + 1)
        alone = dhmda(x[:, column], b[:, column], y[column], R[column], 1.0, Drawn(xi[:, column]))
        np.testing.assert_allclose(analysis[:, column], alone, rtol=0, atol=1e-12)
    # and that is the stochastic filter, where the perturbations have mean 0 and are not widened
    centred = xi - xi.mean(axis=0)
    own = dhmda(x, b, y, R, 1.0, Drawn(centred * np.sqrt(MEMBERS / (MEMBERS - 1))))
    for v in range(OBS):
        one = enkf(x[:, v], b[:, v : v + 1], y[v : v + 1], R[v], Drawn(centred[:, v : v + 1]))
        np.testing.assert_allclose(own[:, v], one, rtol=0, atol=1e-12)


def test_a_case_to_check_by_hand():
    """Members -1 and 1 (variance 2), error variance 2, observation 3: gain 1/2, mean 1.5."""
    x = np.array([[-1.0], [1.0]])
    analysis = etkf(x, x, [3.0], 2.0)
    np.testing.assert_allclose(analysis, 1.5 + np.array([[-1], [1]]) / np.sqrt(2), rtol=1e-14)
    one = dhmda(x[:, None], x, [3.0], 2.0, 0.8, Drawn(np.zeros((2, 1))))
    np.testing.assert_allclose(one[:, 0], [[1.0], [2.0]], rtol=1e-14)  # -1 + 4/2, 1 + 2/2


@names
@given(seeds, st.permutations(range(MEMBERS)))
def test_the_order_of_members_changes_nothing(name, seed, order):
    x, b, y, R = draws(name, seed)
    xi = normals(*b.shape)
    plain = filters(xi)[name](x, b, y, R)
    permuted = filters(xi[order])[name](x[order], b[order], y, R)
    np.testing.assert_allclose(permuted, plain[order], rtol=0, atol=1e-10)


@names
@given(seeds)
def test_linear_rescaling_of_state_and_observations_changes_nothing(name, seed):
    x, b, y, R = draws(name, seed)
    rng = np.random.default_rng(seed + 1)
    scale, shift = 10 ** rng.uniform(-2, 2, VARIABLES), rng.normal(size=VARIABLES)
    unit, zero = 10 ** rng.uniform(-2, 2, OBS) * rng.choice([-1, 1], OBS), rng.normal(size=OBS)
    xi = normals(*b.shape)
    plain = filters(xi)[name](x, b, y, R)
    # a reversed unit reverses its perturbations
    run = filters(xi * np.sign(unit))[name]
    rescaled = run(x * scale + shift, b * unit + zero, y * unit + zero, R * unit**2)
    np.testing.assert_allclose((rescaled - shift) / scale, plain, rtol=0, atol=1e-8)


@names
@given(seeds)
def test_the_order_of_observations_changes_nothing(name, seed):
    x, b, y, R = draws(name, seed)
    xi = normals(*b.shape)
    plain = filters(xi)[name](x, b, y, R)
    state = x[:, ::-1] if name == "dhmda" else x
    turned = filters(xi[:, ::-1])[name](state, b[:, ::-1], y[::-1], R[::-1])
    np.testing.assert_allclose(
        turned[:, ::-1] if name == "dhmda" else turned, plain, rtol=0, atol=1e-10
    )


@names
def test_a_batch_is_many_single_problems(name):
    batch = draws(name, 5, 2, 3)
    xi = normals(*batch[1].shape)
    together = filters(xi)[name](*batch)
    for i in np.ndindex(2, 3):
        alone = filters(xi[i])[name](*(a[i] for a in batch))
        np.testing.assert_allclose(together[i], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("filtered", [enkf, partial(dhmda, rho=0.5)])
def test_a_batch_draws_as_its_problems_do_in_turn(filtered):
    batch = draws("enkf" if filtered is enkf else "dhmda", 6, 4)
    together = filtered(*batch, generator=generator(1, "test"))
    one_by_one = generator(1, "test")
    for i in range(4):
        alone = filtered(*(a[i] for a in batch), generator=one_by_one)
        np.testing.assert_allclose(together[i], alone, rtol=0, atol=1e-12)


@names
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inputs_stay_as_they_were_and_the_dtype_too(name, dtype):
    inputs = [a.astype(dtype) for a in draws(name, 8)]
    copies = [a.copy() for a in inputs]
    for a in inputs:
        a.flags.writeable = False
    xi = normals(*inputs[1].shape)
    analysis = filters(xi)[name](*inputs)
    assert analysis.dtype == dtype
    assert not np.shares_memory(analysis, inputs[0])
    for a, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(a, copy)
    double = filters(xi)[name](*(a.astype(np.float64) for a in inputs))
    np.testing.assert_allclose(analysis, double, rtol=0, atol=2e-6 if dtype == np.float32 else 0)


@names
def test_one_error_variance_serves_all_observations(name):
    x, b, y, _ = draws(name, 9)
    run = filters(normals(*b.shape))[name]
    np.testing.assert_array_equal(run(x, b, y, 0.3), run(x, b, y, np.full(OBS, 0.3)))


@pytest.mark.parametrize("name", ["etkf", "denkf", "enkf"])
@given(seeds, st.floats(0.5, 2))
def test_inflation_widens_the_analysis_and_keeps_its_mean(name, seed, inflation):
    x, b, y, R = problem(seed)
    drawn = Drawn(normals(*b.shape))
    run = {"etkf": etkf, "denkf": denkf, "enkf": partial(enkf, generator=drawn)}[name]
    plain, wide = run(x, b, y, R), run(x, b, y, R, inflation=inflation)
    mean = plain.mean(axis=0)
    np.testing.assert_allclose(wide, mean + inflation * (plain - mean), rtol=0, atol=1e-12)


@names
def test_an_exact_observation_is_taken_over_and_a_vague_one_ignored(name):
    x, b, y, _ = draws(name, 10)
    run = partial(filters(normals(*b.shape))[name], x, b, y)
    if name != "dhmda":
        run = partial(run, inflation=1.0)
    np.testing.assert_allclose(run(1e20), x, rtol=0, atol=1e-8)
    if name in ("etkf", "enkf"):  # half the anomalies are left to the deterministic filter
        taken = etkf(b, b, y, 1e-14) if name == "etkf" else enkf(b, b, y, 1e-14, generator(1, "t"))
        np.testing.assert_allclose(taken, np.broadcast_to(y, b.shape), rtol=0, atol=1e-5)


@names
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, b, y, R: (x, b[:-1], y, R), "predicted has shape"),
        (lambda x, b, y, R: (x[:1], b[:1], y, R), "1 members; at least 2"),
        (lambda x, b, y, R: (x, b, y[:-1], R), r"observation has shape \(2,\).*\(3,\)"),
        (lambda x, b, y, R: (x, b, y, R[:-1]), r"error_variance has shape \(2,\)"),
        (lambda x, b, y, R: (x, b, y, 0 * R), "as low as 0.0"),
        (lambda x, b, y, R: (x, b, y * np.nan, R), r"observation is nan at index \(0, 0\)"),
        (lambda x, b, y, R: (x, b * np.inf, y, R), "predicted is -?inf"),
        (lambda x, b, y, R: (np.where(x == x[3], np.nan, x), b, y, R), r"state is nan.*\(3, "),
        (lambda x, b, y, R: (x.astype(int), b, y, R), "int64"),
    ],
)
def test_wrong_input_is_named(name, change, message):
    inputs = change(*draws(name, 11))
    with pytest.raises(InputError, match=message):
        filters(normals(*inputs[1].shape))[name](*inputs)


@pytest.mark.parametrize("rho", [-0.1, 1.1, np.nan])
def test_rho_is_a_share(rho):
    with pytest.raises(InputError, match=f"rho is {rho}"):
        dhmda(*problem(1, voxel=True), rho, generator(1, "test"))


@pytest.mark.parametrize("inflation", [0.0, -1.0, np.inf, np.nan])
def test_inflation_is_positive(inflation):
    with pytest.raises(InputError, match=f"inflation is {inflation}"):
        etkf(*problem(1), inflation)
