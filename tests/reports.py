"""Reports from made-up runs, at scales that are made up for them."""

from dataclasses import replace
from pathlib import Path

from convttlstm.config import Settings, load_settings
from convttlstm.reporting import find_report, find_reports
from convttlstm.results import Result, Scale, load_result
from tests.made_up_runs import DATASET, ROOT, RUNS, RUNTIME, write_claims

NO_BENCHMARKS = ROOT / "tests/none"
MADE_UP = ("claims", "runtime", "summary", "weights", "page")  # by hand, or of no use here


def settings_with(dataset: str, runs: list[str], scale: str = "demo") -> Settings:
    """Return a scale's settings, with these runs alone in Table 2."""
    settings = load_settings(ROOT / f"config/{scale}.yaml")
    parts = [run.rpartition("-seed") for run in runs]
    changes = {
        "table": list(dict.fromkeys(system or name for system, _, name in parts)),
        "seeds": sorted({int(seed) for system, _, seed in parts if system}) or [0],
        "ablations": [],
        "finalists": [],
    }
    experiment = settings.experiments[dataset].model_copy(update=changes)
    return settings.model_copy(update={"experiments": {dataset: experiment}})


def write_report(
    name: str,
    results: Path,
    dataset: str,
    runs: list[str],
    output: Path,
    settings: Settings | None = None,
    benchmarks: Path = NO_BENCHMARKS,
) -> None:
    """Write a report on these runs, in place of the settings' runs; `output` is its path without suffix."""
    scale = Scale(
        results.name,
        settings or load_settings(ROOT / "config/demo.yaml"),
        results,
        ROOT / "data/paper",
        benchmarks,
    )
    report = find_report(name)
    if runs:
        report = replace(report, runs=lambda settings, name: runs if name == dataset else [])
    report.write(scale, dataset, output)


def load_results(results: Path, dataset: str, runs: list[str]) -> list[Result]:
    """Return evaluated runs."""
    return [load_result(results, dataset, run) for run in runs]


def write_page(results: Path, runs: list[str] = RUNS, scale: str = "demo") -> None:
    settings = settings_with(DATASET, runs, scale)
    write_report("page", results, DATASET, runs, results, settings)


def write_all(results: Path, runs: list[str] = RUNS, scale: str = "demo") -> None:
    settings = settings_with(DATASET, runs, scale)
    write_claims(results)
    for suffix in ("csv", "md", "tex"):
        (results / f"tables/runtime.{suffix}").write_text(RUNTIME)
    for name, report in find_reports().items():
        if name not in MADE_UP:
            for dataset in report.made_for(settings):
                write_report(name, results, DATASET, runs, results / report.stem(dataset), settings)
    write_page(results, runs, scale)
