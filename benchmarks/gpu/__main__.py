"""Measures on a GPU, in the given minutes, what matters most and is not in the output's folder yet.

Each step's result is in results.json of that folder as soon as it is there, and in CSV files named after the
device. A step that fails is recorded with its error, and is tried again, after all others, at the next call.
Steps that would not fit the time that is left are passed over. `--list` shows all of them.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.gpu import Options, Step
from benchmarks.gpu.steps import plan
from benchmarks.gpu.tables import write_tables
from benchmarks.gpu.worker import Worker
from convttlstm.files import UserError, read_json, write_json
from convttlstm.repeatability import device_kind

RESULTS, RUNS = "results.json", ROOT / "results/h100/runs"
PATIENCE = 3  # times its estimate, after which a step is given up
START = 20  # seconds for a process to start, which the first step has more


def main(arguments: list[str] | None = None) -> int:
    """Make the steps that there is time for; return 1 if one of them failed."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="from now to the end")
    parser.add_argument("--output", type=Path, required=True, help="folder of results, which may hold some")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--small", action="store_true", help="tiny models and frames: a rehearsal")
    parser.add_argument(
        "--only", nargs="+", metavar="BEGINNING", help="of the names of steps, such as 'step 64'"
    )
    parser.add_argument(
        "--runs", type=Path, default=ROOT / "results/h100/runs", help="of the step `training`"
    )
    parser.add_argument(
        "--list", action="store_true", help="show the steps and their seconds; measure nothing"
    )
    given = parser.parse_args(arguments)
    options = Options(given.device, given.small, given.output.resolve(), given.runs.resolve())
    steps = [step for step in plan(options) if not given.only or step.name.startswith(tuple(given.only))]
    if given.list:
        print("\n".join(f"{step.seconds:5.0f} s  {step.name}" for step in steps))
        return 0
    try:
        device_kind(options.kind)
        records = make(steps, options, started + 60 * given.minutes)
    except UserError as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return 1
    return int(any(records[step.name]["status"] == "failed" for step in steps if step.name in records))


def make(steps: list[Step], options: Options, deadline: float) -> dict[str, Any]:
    """Make the steps that are not done, as long as there is time; return all records."""
    path = options.output / RESULTS
    records: dict[str, Any] = read_json(path) if path.exists() else {}
    status = {step.name: records.get(step.name, {}).get("status") for step in steps}
    # What failed before comes last.
    todo = sorted(
        (step for step in steps if status[step.name] != "done"), key=lambda s: status[s.name] is not None
    )
    worker, passed = Worker(options), []
    try:
        for step in todo:
            left = deadline - time.monotonic()
            if step.seconds > left:
                passed.append(step.name)
                continue
            limit = PATIENCE * step.seconds + START
            # What hangs on a GPU ends; a CPU may be busy with other work.
            patience = left if step.waits or options.kind == "cpu" else min(left, limit)
            records[step.name] = record = worker.make(step.name, records, patience, deadline)
            write_json(path, records)
            write_tables(records, options.output)
            print(f"{record['seconds']:6.1f} s  {step.name}: {record.get('error', 'done')[:200]}", flush=True)
    finally:
        worker.close()
    if passed:
        print(f"no time was left for {len(passed)} steps, of which the first is {passed[0]!r}")
    return records


if __name__ == "__main__":
    sys.exit(main())
