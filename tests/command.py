"""Calling the command line in tests, and what it must look like when it refuses."""

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from dtbdask import cli

SIZE = ["--neurons", "1600", "--degree", "20", "--seed", "7"]


def call(*words):
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def done(*words):
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def figures(*words):
    """What a verb prints with `--json`: that and nothing else."""
    return json.loads(done(*words, "--json"))


def refused(code, told, *words):
    """Fails with this status and one line, below it the problems of a connectome; no traceback."""
    result = call(*words)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    line, *problems = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert all(problem.startswith("- ") for problem in problems)
    assert told in result.stderr


def in_process(*words):
    command = [Path(sys.executable).with_name("dtbdask"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def snapshot(folder):
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
