"""A process that runs the steps, so that a step that crashes or hangs stops no other."""

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

from benchmarks import conditions
from benchmarks.gpu import Options, Records
from benchmarks.gpu.steps import plan
from convttlstm.provenance import device_name

SPAWN = multiprocessing.get_context("spawn")  # a forked process could not use a GPU


class Worker:
    """Runs steps in another process, and in a new one after a step that failed."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.process: Any = None

    def run(self, name: str, records: Records, seconds: float, deadline: float) -> dict[str, Any]:
        """Return a step's record: its status, and its rows or the error.

        Args:
            name: the step's name.
            records: records of all steps so far.
            seconds: after which the step is stopped.
            deadline: by `time.monotonic`, for open-ended steps.
        """
        started = time.monotonic()
        if self.process is None:
            self.connection, theirs = SPAWN.Pipe()
            self.process = SPAWN.Process(target=_serve, args=(theirs, self.options), daemon=False)
            self.process.start()
            theirs.close()
        record = {"status": "failed", "error": f"stopped after {seconds:.0f} s"}
        try:
            # All processes of a machine share its monotonic clock.
            self.connection.send((name, dict(records), deadline))
            if self.connection.poll(seconds):
                record = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            record["error"] = f"the process ended with status {self.process.exitcode}"
        if record["status"] == "failed":  # after an error the process may not be able to use the GPU
            self.close()
        return record | {"seconds": round(time.monotonic() - started, 2)}

    def close(self) -> None:
        """End the process and all that it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just begun, and is no group yet
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.join()
            self.connection.close()
            self.process = None


def _serve(connection: Connection, options: Options) -> None:
    os.setpgid(0, 0)  # a new group, which `close` ends
    steps = {step.name: step for step in plan(options)}
    where = {"device": device_name(options.kind), "conditions": conditions(options.kind)}
    while True:
        try:
            name, records, deadline = connection.recv()
        except EOFError:
            return
        try:
            rows = steps[name].call(records, deadline)
            connection.send({"status": "done", "rows": rows} | where)
        except Exception as error:
            short = f"{type(error).__name__}: {error}"[:4000]
            end = traceback.format_exc()[-2000:]
            connection.send({"status": "failed", "error": short, "traceback": end} | where)
