"""Costs of Conv-TT-LSTM relative to ConvLSTM: printed, counted and measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from convttlstm.config import run_id
from convttlstm.results import Result, Scale, read_table, source_label

BASELINE, OURS = "conv_lstm", "conv_tt_lstm"
METHODS = {BASELINE: "ConvLSTM (baseline{})", OURS: "Conv-TT-LSTM (Ours{})"}  # rows of the paper's Table 2
DATASETS = {"moving_mnist_2": "Moving-MNIST-2", "kth": "KTH"}
SIZES = {"moving_mnist_2": "64", "kth": "120"}  # pixels of training frames at the paper's scale
PAPER_SCALE = "the paper's models"
CODES = {"original code": "", "optimized code": ", optimized code"}
PAPER, COUNTED, MEASURED = "the paper", "counted here", "measured here"


@dataclass(frozen=True)
class Measure:
    """One quantity of both models, and the ratio of Conv-TT-LSTM's to ConvLSTM's.

    `models` names the models and the scale of their runs; `where` names the device, "" for counts and for the
    paper.
    """

    dataset: str
    models: str
    what: str
    source: str
    where: str
    unit: str
    conv_lstm: float
    conv_tt_lstm: float

    @property
    def ratio(self) -> float:
        """Conv-TT-LSTM's value divided by ConvLSTM's."""
        return self.conv_tt_lstm / self.conv_lstm

    @property
    def is_time(self) -> bool:
        """Whether the unit is minutes or seconds."""
        return self.unit in ("min", "s")


def measures_of(scale: Scale) -> list[Measure]:
    """Return the paper's numbers, counts and measurements, data set by data set.

    Raises:
        UserError: a file is missing or damaged.
    """
    printed = scale.printed(2, ["dataset", "method", "flops_billions", "minutes_per_epoch"])
    counts = read_table(scale.folder / "complexity.csv", ["scale", "system", "multiplications_64"])
    found = list[Measure]()
    for dataset, size in SIZES.items():
        found += _paper_measures(printed[printed["dataset"] == dataset], dataset)
        found += _counted(counts, "paper", dataset, size, PAPER_SCALE)
        for path in scale.measured("system_times", "train_step"):
            found += benchmarked(path, dataset, size)
        experiment = scale.settings.experiments.get(dataset)
        if experiment and {BASELINE, OURS} <= set(experiment.table):
            runs = {
                system: scale.predictions(
                    dataset, [run_id(scale.settings, system, {}, seed) for seed in experiment.seeds]
                )
                for system in (BASELINE, OURS)
            }
            at_paper_scale = scale.name == "paper"
            models = PAPER_SCALE if at_paper_scale else source_label(runs[BASELINE][0].config)
            found += [] if at_paper_scale else _counted(counts, scale.name, dataset, "64", models)
            found += _trained(runs, dataset, models)
    return found


def rows_of(measures: Sequence[Measure]) -> pd.DataFrame:
    """Return a table with a row for each measure."""
    rows = pd.DataFrame([vars(measure) | {"ratio": measure.ratio} for measure in measures])
    numbers = {name: rows[name].map("{:.6g}".format) for name in ("conv_lstm", "conv_tt_lstm", "ratio")}
    return rows.assign(**numbers).rename(columns={"where": "device"})


def measures_from(table: pd.DataFrame) -> list[Measure]:
    """Return the measures of a table whose cells were read as text."""
    texts = ("dataset", "models", "what", "source", "device", "unit")
    return [
        Measure(*(row[name] for name in texts), *(float(row[name]) for name in (BASELINE, OURS)))
        for _, row in table.iterrows()
    ]


def _paper_measures(printed: pd.DataFrame, dataset: str) -> list[Measure]:
    cells = printed.set_index("method")
    base, ours = (METHODS[system].format("") for system in (BASELINE, OURS))
    flops = [float(cells.loc[method, "flops_billions"]) for method in (base, ours)]
    found = [Measure(dataset, PAPER_SCALE, "FLOPs, as printed", PAPER, "", "G", *flops)]
    for code, suffix in CODES.items():
        methods = [METHODS[system].format(suffix) for system in (BASELINE, OURS)]
        minutes = [float(cells.loc[method, "minutes_per_epoch"]) for method in methods]
        found.append(Measure(dataset, PAPER_SCALE, f"training, {code}", PAPER, "", "min", *minutes))
    return found


def _counted(counts: pd.DataFrame, scale: str, dataset: str, size: str, models: str) -> list[Measure]:
    own = counts[counts["scale"] == scale].set_index("system")
    if not {BASELINE, OURS} <= set(own.index):
        return []
    base, ours = (float(own.loc[system, f"multiplications_{size}"]) / 1e9 for system in (BASELINE, OURS))
    return [Measure(dataset, models, f"multiplications at {size}x{size}", COUNTED, "", "G", base, ours)]


def benchmarked(path: Path, dataset: str, size: str) -> list[Measure]:
    """Return the seconds in one device's file, `system_times-*` or `train_step-*` (at 64 x 64 only).

    Raises:
        UserError: the file is missing or lacks columns.
    """
    table = read_table(path, ["device", "threads", "torch"])
    where = f"{table['device'].iloc[0]}, {table['threads'].iloc[0]} threads"
    if "training_seconds" in table:
        table = table[table["size"] == size].set_index("system")
        timed = {"training step": table["training_seconds"]}
    elif size == "64":
        shown = table[table["variant"].isin(["ours", "textbook"])]
        timed = {
            f"training step, {precision}, {code}": rows.set_index("model")["seconds"]
            for (code, precision), rows in shown.groupby(["variant", "precision"], sort=False)
        }
    else:
        timed = {}
    return [
        Measure(
            dataset, PAPER_SCALE, what, MEASURED, where, "s", float(seconds[BASELINE]), float(seconds[OURS])
        )
        for what, seconds in timed.items()
        if {BASELINE, OURS} <= set(seconds.index)
    ]


def _trained(runs: dict[str, list[Result]], dataset: str, models: str) -> list[Measure]:
    """Return the minutes of this scale's fastest seeds, if all were trained on one device."""
    made = {system: [run.provenance for run in own if run.provenance] for system, own in runs.items()}
    devices = {(run.device, run.threads) for own in made.values() for run in own}
    if len(devices) > 1:
        return []
    [(device, threads)] = devices
    base, ours = (min(run.minutes_per_10000_samples for run in own) for own in made.values())
    where = f"{device}, {threads} thread{'s' if threads > 1 else ''}"
    return [Measure(dataset, models, "training", MEASURED, where, "min", base, ours)]


def answer(measures: Sequence[Measure]) -> str:
    """Return a sentence: in how many measured times Conv-TT-LSTM is faster, in the paper and here."""
    said = []
    for source, name in ((PAPER, "in the paper"), (MEASURED, "here")):
        ratios = [measure.ratio for measure in measures if measure.is_time and measure.source == source]
        if ratios:
            faster = sum(ratio < 1 for ratio in ratios)
            said.append(f"{name} Conv-TT-LSTM is faster in {faster} of {len(ratios)} measurements")
    return "; ".join(said)
