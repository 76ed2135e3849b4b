"""A build that is killed and resumed makes the same network as another, in little memory."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "out_of_core.py"


def test_twenty_million_synapses_survive_a_kill_under_a_cap(tmp_path):
    """The same script proves it for 2e9 synapses under 4 GB."""
    command = [
        sys.executable, SCRIPT, "--neurons", "2e5", "--chunk", "300000", "--other-chunk", "450001",
        "--folder", tmp_path,
    ]  # fmt: skip
    told = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=280
    )
    assert told.returncode == 0, told.stderr
    figures = json.loads(told.stdout)
    assert figures["synapses"] > 1.99e7
    assert 0 < figures["chunks_when_killed"] < figures["chunks"]
    assert figures["same_content"]
    assert figures["peak_memory_bytes"] < 1e9
    assert not list(tmp_path.iterdir())
