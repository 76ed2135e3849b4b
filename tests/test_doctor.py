"""The doctor never falls ill itself, and what it prescribes exists."""

import io
import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from dtbdask import doctor
from dtbdask.doctor import Check, Report, examine, render

STATUSES = ("ok", "missing", "warning")
checks = st.builds(
    Check,
    st.text(max_size=5),
    st.sampled_from(STATUSES),
    st.text(max_size=5),
    required=st.booleans(),
)


def found(report, name):
    (check,) = [check for check in report.checks if check.name == name]
    return check


def pretend_installed(monkeypatch, versions, requirements=None):
    """Let the doctor see other versions (None: absent) than the ones that are installed."""
    version, requires = doctor.version, doctor.requires

    def fake_version(name):
        if versions.get(name, "") is None:
            raise PackageNotFoundError(name)
        return versions[name] if name in versions else version(name)

    def fake_requires(name):
        return requirements[name] if name in (requirements or {}) else requires(name)

    monkeypatch.setattr(doctor, "version", fake_version)
    monkeypatch.setattr(doctor, "requires", fake_requires)


def pretend_importable(monkeypatch, find_spec):
    monkeypatch.setattr(doctor, "PathFinder", SimpleNamespace(find_spec=find_spec))


def raising(error):
    def stand_in(*args, **kwargs):
        raise error

    return stand_in


@given(st.lists(checks))
def test_only_what_is_required_decides_health(findings):
    needed = [check.status for check in findings if check.required]
    assert Report(tuple(findings)).healthy == (set(needed) <= {"ok"})


def test_this_machine_can_run_dtbdask():
    report = examine()
    names = [check.name for check in report.checks]
    assert len(set(names)) == len(names)
    assert report.healthy, [check for check in report.checks if check.required]
    assert {"Python", "dtbdask", "numba", "zarr", "cores", "memory", "GPU", "UCX"} <= set(names)


def test_whatever_is_not_well_comes_with_a_remedy():
    for check in examine().checks:
        assert check.status in STATUSES
        assert check.found
        assert check.status == "ok" or check.hint, check


def test_prescribed_extras_exist():
    extras = set(metadata("dtbdask").get_all("Provides-Extra"))
    told = {check.name: check for check in examine().checks}
    assert {f"extra [{extra}]" for extra in extras} <= set(told)
    for check in told.values():
        assert set(re.findall(r"dtbdask\[(\w+)\]", check.hint)) <= extras


def test_report_is_json_and_a_table_that_shows_every_finding():
    report = examine()
    assert json.loads(json.dumps(report.to_dict()))["healthy"] is report.healthy
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(render(report))
    shown = console.export_text()
    for check in report.checks:
        assert check.name in shown
        assert check.hint in shown


@pytest.mark.parametrize("extra", ["viz", "cuda", "slurm", "formats", "ucx"])
def test_a_missing_extra_names_the_exact_command(monkeypatch, extra):
    absent = dict.fromkeys(r.name for r in doctor._requirements(extra))
    pretend_installed(monkeypatch, absent)
    monkeypatch.setattr(doctor, "packages_distributions", dict)
    check = found(examine(), f"extra [{extra}]")
    assert check.status == "missing"
    assert check.hint == f'pip install "dtbdask[{extra}]"'
    assert all(name in check.found for name in absent)


def test_a_wheel_for_another_cuda_counts(monkeypatch):
    pretend_importable(monkeypatch, lambda name: name == "ucxx")
    pretend_installed(monkeypatch, {"ucxx-cu13": None, "ucxx-cu12": "0.52.0"})
    monkeypatch.setattr(doctor, "packages_distributions", lambda: {"ucxx": ["ucxx-cu12"]})
    assert found(examine(), "extra [ucx]").status == "ok"


@pytest.mark.parametrize("bad", [None, "0.0.1"])
def test_a_required_package_absent_or_too_old_is_illness(monkeypatch, bad):
    pretend_installed(monkeypatch, {"zarr": bad})
    if bad is None:
        monkeypatch.setattr(doctor, "packages_distributions", dict)
    report = examine()
    assert not report.healthy
    assert found(report, "zarr").hint.startswith('pip install "zarr')


def test_a_required_package_that_does_not_import_is_illness(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    report = examine()
    assert not report.healthy
    assert "does not import" in found(report, "numba").found


def test_the_source_tree_without_its_package_is_told_from_health(monkeypatch):
    monkeypatch.setattr(doctor, "metadata", raising(PackageNotFoundError("dtbdask")))
    report = examine()
    assert not report.healthy
    assert found(report, "dtbdask").hint == "pip install -e ."


@pytest.mark.parametrize(
    ("versions", "requirements", "told"),
    [
        ({"dask-cuda": "0.18.0"}, {"dask-cuda": []}, "older than 26.8"),
        (
            {"dask-cuda": "26.10.0", "dask": "2026.8.0"},
            {"dask-cuda": ["rapids-dask-dependency"], "rapids-dask-dependency": ["dask<2026.7.2"]},
            "rapids-dask-dependency refuses it: dask 2026.8.0 is not <2026.7.2",
        ),
    ],
)
def test_the_rapids_trap_is_seen_with_its_remedy(monkeypatch, versions, requirements, told):
    pretend_installed(monkeypatch, versions, requirements)
    check = found(examine(), "RAPIDS")
    assert check.status == "warning"
    assert told in check.found
    assert check.hint == 'pip install --upgrade "dtbdask[cuda]"'


def test_rapids_that_fits_is_fine(monkeypatch):
    fitting = {"dask-cuda": ["rapids-dask-dependency"], "rapids-dask-dependency": ["dask>=2020"]}
    pretend_installed(monkeypatch, {"dask-cuda": "26.10.0"}, fitting)
    assert found(examine(), "RAPIDS").status == "ok"


def smi(tmp_path, monkeypatch, body):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    pretend_importable(monkeypatch, lambda name: None)


def test_gpus_are_read_from_nvidia_smi(tmp_path, monkeypatch):
    smi(tmp_path, monkeypatch, "echo 'NVIDIA H100, 81920, 40960, 570.1'; echo 'T4, 1024, 0, 570.1'")
    (check,) = doctor._gpus()
    assert check.status == "ok"
    assert check.found.startswith("NVIDIA H100, 80.0 GiB, 40.0 GiB free, driver 570.1; T4, 1.0 GiB")


@pytest.mark.parametrize("body", ["exit 9", "echo no devices were found", "echo 'T4, [N/A], 1, 5'"])
def test_a_failing_nvidia_smi_is_a_finding(tmp_path, monkeypatch, body):
    smi(tmp_path, monkeypatch, body)
    assert next(doctor._gpus()).status == "warning"


def test_a_hanging_nvidia_smi_is_a_finding(tmp_path, monkeypatch):
    smi(tmp_path, monkeypatch, "")
    monkeypatch.setattr(doctor.subprocess, "run", raising(subprocess.TimeoutExpired("smi", 20)))
    assert next(doctor._gpus()).status == "warning"


def fake_nvml(init=lambda: None):
    nvml = ModuleType("pynvml")
    nvml.NVMLError = type("NVMLError", (Exception,), {})
    for name in ("LibraryNotFound", "DriverNotLoaded"):
        setattr(nvml, f"NVMLError_{name}", type(name, (nvml.NVMLError,), {}))
    nvml.nvmlInit = init
    nvml.nvmlSystemGetDriverVersion = lambda: "570.1"
    nvml.nvmlDeviceGetCount = lambda: 2
    nvml.nvmlDeviceGetHandleByIndex = lambda index: index
    nvml.nvmlDeviceGetName = "GPU number {}".format
    nvml.nvmlDeviceGetMemoryInfo = lambda index: SimpleNamespace(total=2**31, free=2**30)
    return nvml


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "ok"), ("NVMLError_DriverNotLoaded", "missing"), ("NVMLError", "warning")],
)
def test_nvml_tells_devices_their_absence_and_its_own_failure(monkeypatch, error, status):
    nvml = fake_nvml()
    if error:
        nvml.nvmlInit = raising(getattr(nvml, error)("no"))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    pretend_importable(monkeypatch, lambda name: True)
    (check,) = doctor._gpus()
    assert check.status == status
    assert error or "GPU number 1, 2.0 GiB, 1.0 GiB free, driver 570.1" in check.found


@pytest.mark.parametrize(
    ("total", "status"), [(35, "ok"), (34, "warning"), (None, "warning")], ids=str
)
def test_cupy_is_judged_by_a_kernel(monkeypatch, total, status):
    class Vector:
        __pow__ = __add__ = lambda self, other: self

        def sum(self):
            if total is None:
                raise Exception("nvrtc: cannot open cuda_fp16.h\nand more")
            return total

    cupy = ModuleType("cupy")
    cupy.__version__, cupy.arange = "14.2.0", lambda n: Vector()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    (check,) = doctor._cupy()
    assert check.status == status
    assert "\n" not in check.found


@pytest.mark.parametrize(("name", "probe"), [("cupy", doctor._cupy), ("ucxx", doctor._ucx)])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (lambda name: ModuleNotFoundError("no", name=name), "not installed"),
        (lambda name: ModuleNotFoundError("no", name="rmm"), "does not load"),
        (lambda name: ImportError("libcuda.so.1: cannot open"), "does not load"),
    ],
)
def test_absent_and_broken_libraries_are_told_apart(monkeypatch, name, probe, error, told):
    monkeypatch.setattr(doctor, "import_module", raising(error(name)))
    (check,) = probe()
    assert check.status == "missing"
    assert told in check.found


def test_a_vanished_folder_and_a_full_disk_are_findings(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", raising(OSError("stale handle")))
    assert found(examine(), "disk, here").status == "warning"
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    assert found(examine(), "disk, temporary").status == "warning"
