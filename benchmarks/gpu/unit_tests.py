"""Runs the unit tests of models and training in another process."""

import os
import subprocess
import sys
import time

from benchmarks import ROOT
from benchmarks.gpu import Row

# Files that need only the packages of training.
FILES = ["conv_tt_lstm", "models", "fused_update", "layout", "benchmark_variants", "overfitting"]
FILES += ["schedules", "repeatability", "randomness"]
PROCESSES = min(8, os.cpu_count() or 1)
# Without other plugins of the machine, which may conflict with the tests' settings.
ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}


def run(deadline: float) -> list[Row]:
    """Return pytest's last line.

    Raises:
        AssertionError: a test failed; the message is the end of pytest's output.
        TimeoutExpired: the tests did not end before the deadline.
    """
    command = [sys.executable, "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider"]
    command += ["-p", "xdist", "-n", str(PROCESSES), *(f"tests/unit/test_{name}.py" for name in FILES)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=deadline - time.monotonic(),
    )
    if done.returncode:
        raise AssertionError(done.stdout[-3000:])
    return [{"unit_tests": done.stdout.strip().splitlines()[-1]}]
