"""Filters: one analysis of all voxels, hyper-parameter and four haemodynamic variables each."""

from __future__ import annotations

import numpy as np

from dtbdask.assim.filters import dhmda, etkf

VARIABLES, ERROR, RHO = 5, 1e-6, 0.8


class Analysis:
    """An ensemble about some truth."""

    params = ((16, 64), (94, 1000))
    param_names = ("members", "voxels")

    def setup(self, members: int, voxels: int) -> None:
        self.draw = np.random.default_rng(1)
        self.state = self.draw.normal(1.0, 0.1, (members, voxels, VARIABLES))
        self.bold = 0.03 + 0.001 * self.state[..., 0]
        self.observed = 0.031 + self.draw.normal(0.0, 1e-3, voxels)

    def time_dhmda(self, members: int, voxels: int) -> None:
        dhmda(self.state, self.bold, self.observed, ERROR, RHO, self.draw)

    def time_etkf_of_each_voxel(self, members: int, voxels: int) -> None:
        etkf(self.state.swapaxes(0, 1), self.bold.T[:, :, None], self.observed[:, None], ERROR)
