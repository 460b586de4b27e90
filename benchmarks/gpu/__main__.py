"""Measures on a GPU within the given minutes, the most useful steps first.

Each step's result is in results.json of the output's folder as soon as it is there, and in CSV files named
after the device. Steps that the folder already holds are skipped. A step that fails is recorded with its
error, and is tried again, after all others, at the next call. Steps that do not fit the time left are
skipped.
"""

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.gpu import Options, Step
from benchmarks.gpu.steps import plan
from benchmarks.gpu.tables import write_tables
from benchmarks.gpu.worker import Worker
from convttlstm.files import UserError, cut, read_json, write_json
from convttlstm.repeatability import device_kind

RESULTS, RUNS = "results.json", ROOT / "results/h100/runs"
PATIENCE = 2  # a step is stopped after its estimate times this, and START
START = 20  # seconds that a new process takes to start


def main(arguments: list[str] | None = None) -> int:
    """Run the steps that fit the time; return 1 if one of them failed."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="from now to the end (default 10)")
    parser.add_argument("--output", type=Path, required=True, help="folder of results, old and new")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--small", action="store_true", help="tiny models and frames: a rehearsal")
    parser.add_argument("--only", nargs="+", metavar="PREFIX", help="of steps' names, such as 'step 64'")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the runs that `training` trains")
    parser.add_argument("--list", action="store_true", help="list the steps with their estimates, and exit")
    given = parser.parse_args(arguments)
    options = Options(given.device, given.small, given.output.resolve(), given.runs.resolve())
    steps = plan(options)
    try:
        for prefix in given.only or []:
            if not any(step.name.startswith(prefix) for step in steps):
                raise UserError(f"--only {prefix!r}: no step's name starts so; see --list")
        steps = [step for step in steps if not given.only or step.name.startswith(tuple(given.only))]
        if given.list:
            print(listing(steps, load_records(options)))
            return 0
        device_kind(options.kind)
        records = run(steps, options, started + 60 * given.minutes)
    except UserError as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return 1
    return int(any(records[step.name]["status"] == "failed" for step in steps if step.name in records))


def load_records(options: Options) -> dict[str, Any]:
    """Return the records that the output's folder holds."""
    path = options.output / RESULTS
    return dict(read_json(path)) if path.exists() else {}


def listing(steps: list[Step], records: dict[str, Any]) -> str:
    """Return a line for each step: its estimate, the minutes until its end, its status."""
    lines, total = [], float(START)
    for step in steps:
        status = status_of(step, records)
        total += step.seconds if status != "done" else 0
        lines.append(f"{step.seconds:5.0f} s {total / 60:6.1f} min  {status:10}  {step.name}")
    return "\n".join(lines)


def status_of(step: Step, records: dict[str, Any]) -> str:
    """Return "done", "failed", "unfinished" for training that has to continue, or "" before the first try."""
    record = records.get(step.name, {"status": "", "rows": []})
    if record["status"] == "done" and step.open_ended and not all(row["finished"] for row in record["rows"]):
        return "unfinished"
    return str(record["status"])


def run(steps: list[Step], options: Options, deadline: float) -> dict[str, Any]:
    """Run the steps without a result, as long as there is time; return all records."""
    records = load_records(options)
    status = {step.name: status_of(step, records) for step in steps}
    missing = [step for step in steps if status[step.name] != "done"]
    missing.sort(key=lambda step: status[step.name] == "failed")  # failed steps last
    worker, skipped = Worker(options), []
    try:
        for step in missing:
            left = deadline - time.monotonic()
            if step.seconds > left:
                skipped.append(step.name)
                continue
            limit = PATIENCE * step.seconds + START
            # Estimates are those of a GPU.
            seconds = left if step.open_ended or options.kind == "cpu" else min(left, limit)
            record = worker.run(step.name, records, seconds, deadline)
            if record["status"] == "failed" and time.monotonic() >= deadline:
                skipped.append(step.name)  # which is not its fault: next time it keeps its place
                continue
            records[step.name] = record
            write_json(options.output / RESULTS, records)
            write_tables(records, options.output)
            result = cut(" ".join(record.get("error", "done").split()), 200)
            print(f"{record['seconds']:6.1f} s  {step.name}: {result}", flush=True)
    finally:
        worker.close()
    if skipped:
        print(f"skipped {len(skipped)} steps for lack of time, first {skipped[0]!r}")
    return records


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # closes the worker first
    sys.exit(main())
