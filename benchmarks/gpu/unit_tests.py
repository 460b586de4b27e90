"""The unit tests of models and training, in a process of their own."""

import subprocess
import sys
import time

from benchmarks import ROOT
from benchmarks.gpu import Row

# Those that need nothing besides what training needs.
FILES = ["conv_tt_lstm", "models", "fused_update", "layout", "benchmark_variants", "overfitting"]
FILES += ["schedules", "repeatability", "randomness"]


def run(deadline: float) -> list[Row]:
    """Return pytest's last line.

    Raises:
        AssertionError: a test failed; with what pytest printed last.
        TimeoutExpired: they take longer than there is time.
    """
    files = [f"tests/unit/test_{name}.py" for name in FILES]
    command = [sys.executable, "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider", "-n", "4", *files]
    done = subprocess.run(
        command,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=deadline - time.monotonic(),
    )
    if done.returncode:
        raise AssertionError(done.stdout[-3000:])
    return [{"unit_tests": done.stdout.strip().splitlines()[-1]}]
