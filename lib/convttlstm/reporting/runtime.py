"""Section 5's question, whether fewer multiplications mean less time: the paper's answer and measurements."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from convttlstm.config import Settings, read_run, run_id
from convttlstm.files import write_text
from convttlstm.reporting.markup import LATEX_HEAD, Row, Table, to_latex, to_markdown
from convttlstm.reporting.results import Provenance, beside, read_checked, read_table, what_it_proves

BASELINE, OURS = "conv_lstm", "conv_tt_lstm"
METHODS = {BASELINE: "ConvLSTM (baseline{})", OURS: "Conv-TT-LSTM (Ours{})"}  # rows of the paper's Table 2
DATASETS = {"moving_mnist_2": "Moving-MNIST-2", "kth": "KTH"}
SIZES = {"moving_mnist_2": "64", "kth": "120"}  # pixels of training frames at the paper's scale
PAPER_SCALE = "the paper's models"
CODES = {"original code": "", "optimized code": ", optimized code"}
PAPER, COUNTED, MEASURED = "the paper", "counted here", "measured here"

NOTE = (
    "The ratio tells what Conv-TT-LSTM takes where ConvLSTM takes 1. Ratios compare across devices and "
    "scales; minutes and seconds do not. The paper's FLOPs are its arithmetic on parameters, not a count; "
    "minutes are for 10,000 samples, the paper's on a machine that it does not describe."
)


@dataclass(frozen=True)
class Measure:
    """One quantity of the two models; the ratio is Conv-TT-LSTM's over ConvLSTM's.

    `models` says which models, and what the scale of ours proves; `where` names the device, "" for counts and
    for the paper.
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
        """Below 1 where Conv-TT-LSTM needs less."""
        return self.conv_tt_lstm / self.conv_lstm

    @property
    def is_time(self) -> bool:
        """Minutes or seconds, no count."""
        return self.unit in ("min", "s")


def write_runtime(
    results: Path, settings: Settings, times: Sequence[Path], paper: Path, output: Path
) -> None:
    """Write tables/runtime and figures/runtime.

    Args:
        results: folder of a scale, which holds complexity.csv and its runs.
        settings: of the scale.
        times: CSV files of benchmarks.train_step and benchmarks.system_times, one for each device.
        paper: data/paper/table2.csv.
        output: folder of tables/ and figures/.

    Raises:
        UserError: a file is missing or damaged.
    """
    # Imported here, so that the page, which shows the table, needs no matplotlib.
    from convttlstm.reporting.cost_figures import draw_runtime

    measures = measures_of(results, settings, times, paper)
    stem = output / "tables" / "runtime"
    rows = [
        {"dataset": m.dataset, "models": m.models, "what": m.what, "source": m.source, "device": m.where}
        | {"unit": m.unit, "conv_lstm": m.conv_lstm, "conv_tt_lstm": m.conv_tt_lstm, "ratio": m.ratio}
        for m in measures
    ]
    write_text(beside(stem, ".csv"), pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))
    table = runtime_table(measures, settings.label)
    write_text(beside(stem, ".md"), to_markdown(table).removeprefix("#"))
    write_text(beside(stem, ".tex"), f"{LATEX_HEAD}\n{to_latex(table)}")
    own = dict.fromkeys(measure.models for measure in measures if measure.models != PAPER_SCALE)
    note = "\n".join([f"{settings.label}: {answer(measures)}", *(f"this scale: {models}" for models in own)])
    draw_runtime(measures, note, output / "figures" / "runtime")


def measures_of(results: Path, settings: Settings, times: Sequence[Path], paper: Path) -> list[Measure]:
    """Return the paper's figures, counts and measurements, data set by data set; see `write_runtime`."""
    printed = read_table(paper, ["dataset", "method", "flops_billions", "minutes_per_epoch"])
    counts = read_table(results / "complexity.csv", ["scale", "system", "multiplications_64"])
    scale = str(counts["scale"].iloc[-1])  # after the paper's, which every scale counts too
    found = list[Measure]()
    for dataset, size in SIZES.items():
        found += _paper_measures(printed[printed["dataset"] == dataset], dataset)
        found += _counted(counts, "paper", dataset, size, PAPER_SCALE)
        found += [measure for path in times for measure in _benchmarked(path, dataset, size)]
        if dataset in settings.experiments and {BASELINE, OURS} <= set(settings.experiments[dataset].table):
            runs = {
                system: [
                    results / "runs" / dataset / run_id(settings, system, {}, seed)
                    for seed in settings.experiments[dataset].seeds
                ]
                for system in (BASELINE, OURS)
            }
            proves = what_it_proves(read_run(runs[BASELINE][0]))
            models = PAPER_SCALE if scale == "paper" else proves
            found += [] if scale == "paper" else _counted(counts, scale, dataset, "64", models)
            found += _trained(runs, dataset, models)
    return found


def read_runtime(results: Path) -> list[Measure]:
    """Return what `write_runtime` wrote to tables/runtime.csv.

    Raises:
        UserError: the file is missing or damaged.
    """
    columns = ["dataset", "models", "what", "source", "device", "unit"]
    table = read_table(results / "tables/runtime.csv", [*columns, "conv_lstm", "conv_tt_lstm"])
    found = []
    for _, row in table.iterrows():
        dataset, models, what, source, where, unit = (row[column] for column in columns)
        both = float(row["conv_lstm"]), float(row["conv_tt_lstm"])
        found.append(Measure(dataset, models, what, source, where, unit, *both))
    return found


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


def _benchmarked(path: Path, dataset: str, size: str) -> list[Measure]:
    """Return the ratios in one device's file; a training step was measured at 64 x 64 only."""
    table = read_table(path, ["device", "threads", "torch"])
    where = f"{table['device'].iloc[0]}, {table['threads'].iloc[0]} threads"
    if "training_seconds" in table:
        table = table[table["size"] == size].set_index("system")
        pairs = {"training step": (table["training_seconds"], BASELINE, OURS)}
    elif size == "64":
        shown = table[table["variant"].isin(["ours", "textbook"])]
        pairs = {
            f"training step, {precision}, {code}": (rows.set_index("model")["seconds"], BASELINE, OURS)
            for (code, precision), rows in shown.groupby(["variant", "precision"], sort=False)
        }
    else:
        pairs = {}
    return [
        Measure(dataset, PAPER_SCALE, what, MEASURED, where, "s", float(seconds[base]), float(seconds[ours]))
        for what, (seconds, base, ours) in pairs.items()
        if {base, ours} <= set(seconds.index)
    ]


def _trained(runs: dict[str, list[Path]], dataset: str, models: str) -> list[Measure]:
    """Return the minutes of this scale's own trainings, the mean over seeds, if one device made them all."""
    made = {
        system: [read_checked(folder / "provenance.json", Provenance) for folder in folders]
        for system, folders in runs.items()
    }
    devices = {(run.device, run.threads) for runs_of in made.values() for run in runs_of}
    if len(devices) > 1:
        return []
    [(device, threads)] = devices
    base, ours = (
        float(np.mean([run.minutes_per_10000_samples for run in runs_of])) for runs_of in made.values()
    )
    where = f"{device}, {threads} thread{'s' if threads > 1 else ''}"
    return [Measure(dataset, models, "training", MEASURED, where, "min", base, ours)]


def answer(measures: Sequence[Measure]) -> str:
    """Return in how many of the measured times Conv-TT-LSTM is the faster one, in the paper and here."""
    said = []
    for source, name in ((PAPER, "in the paper"), (MEASURED, "here")):
        ratios = [measure.ratio for measure in measures if measure.is_time and measure.source == source]
        if ratios:
            faster = sum(ratio < 1 for ratio in ratios)
            said.append(f"{name} Conv-TT-LSTM is the faster one in {faster} of {len(ratios)} times")
    return "; ".join(said)


def runtime_table(measures: Sequence[Measure], label: str) -> Table:
    """Return the table to read: a line for each measure, ours shaded."""
    names = ["Data set", "Models", "What", "From", "Device", "ConvLSTM", "Conv-TT-LSTM", "Ratio"]
    rows = [
        Row(
            [
                *(
                    DATASETS[measure.dataset],
                    measure.models,
                    measure.what,
                    measure.source,
                    measure.where or "-",
                ),
                f"{measure.conv_lstm:.4g} {measure.unit}",
                f"{measure.conv_tt_lstm:.4g} {measure.unit}",
                f"{measure.ratio:.2f}",
            ],
            measure.source != PAPER,
        )
        for measure in measures
    ]
    note = f"{label}. {NOTE} Of the times that were measured: {answer(measures)}."
    return Table("Multiplications and run-time", note, [("", n) for n in names], "lllllrrr", rows)
