"""Linear-Gaussian problems, of which the answer is known."""

import numpy as np


def exact_ensemble(mean, covariance, members, rng, avoid=None):
    """Members, as rows, with exactly this mean and covariance; anomalies orthogonal to `avoid`."""
    n = len(mean)
    span = np.column_stack([np.ones(members)] + ([] if avoid is None else [avoid]))
    basis = np.linalg.qr(np.column_stack([span, rng.normal(size=(members, n))]))[0][:, -n:]
    return mean + np.sqrt(members - 1) * basis @ np.linalg.cholesky(covariance).T


def kalman(mean, P, H, y, R):
    gain = P @ H.T @ np.linalg.inv(H @ P @ H.T + R)
    return mean + gain @ (y - H @ mean), (np.eye(len(mean)) - gain @ H) @ P


def random_covariance(n, rng):
    a = rng.normal(size=(n, n))
    return a @ a.T / n + 0.1 * np.eye(n)
