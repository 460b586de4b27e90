"""What the systems cost: counts beside the paper's arithmetic, and measured times."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from convttlstm.files import write_text
from convttlstm.reporting.markup import LATEX_HEAD, Row, Table, to_latex, to_markdown
from convttlstm.reporting.results import beside, read_table

SIZES = (64, 120, 128)
PAPER_SIZES = (64, 120)
COUNTS = ["scale", "title", "parameters"]
COUNTS += [f"{what}_{size}" for size in SIZES for what in ("multiplications", "activation_bytes")]
COUNTS += [f"paper_flops_{size}" for size in PAPER_SIZES]
TIMES = ["device", "torch", "title", "size", "forward_seconds", "training_seconds", "steps", "sequence_steps"]

COUNTS_NOTE = (
    "Of predicting a sequence's fourth frame; in E3D-LSTM each frame costs more than the one before. The "
    "paper's FLOPs column is no count of operations: it is the parameters, rounded to 0.01 million, times "
    "height times width / 1024 times 1000. Beside it stand the multiplications that the step really takes, "
    "and the float32 activations that training keeps of it."
)
RECOGNISERS_NOTE = (
    "Colour frames of 224 x 224 pixels, 41 activities; parameters include encoder, decoder and classifier, "
    "whose own multiplications come once a clip and are left out."
)
TIMES_NOTE = (
    "Seconds for one sequence of 10 → 10 frames: prediction, and forward and backward pass of training. "
    "~ is extrapolated from 2 → 2 frames, where training on the whole sequence would keep more than 8 GiB. "
    "VPN predicts pixel by pixel, which was not timed."
)


def write_complexity(results: Path, times: Sequence[Path], output: Path) -> None:
    """Write the complexity table: counts for every system, and times on each device.

    Args:
        results: folder of a scale, which holds complexity.csv.
        times: CSV files of measured times, one for each device; there may be none.
        output: path without suffix; .csv, .md and .tex are written. The CSV holds the counts.

    Raises:
        UserError: a file is missing or damaged.
    """
    tables = complexity_tables(results, times)
    write_text(beside(output, ".csv"), (results / "complexity.csv").read_text())
    markdown = "\n".join(map(to_markdown, tables)).replace("## ", "# ", 1)
    write_text(beside(output, ".md"), markdown)
    write_text(beside(output, ".tex"), "\n".join([LATEX_HEAD, *map(to_latex, tables)]))


def complexity_tables(results: Path, times: Sequence[Path]) -> list[Table]:
    """Return the tables of counts and, if times were measured, those of times; see `write_complexity`."""
    measured = [read_table(path, TIMES) for path in times]
    counts = read_table(results / "complexity.csv", COUNTS)
    predict = counts[f"multiplications_{SIZES[0]}"] != ""
    tables = [_counts(counts[predict])]
    if not predict.all():
        tables.append(_recognisers(counts[~predict]))
    return [*tables, *map(_times, measured)]


def _recognisers(counts: pd.DataFrame) -> Table:
    header = [("", name) for name in ("Layers", "Scale", "Parameters", "Multiplications", "Activations")]
    rows = []
    for _, row in counts.iterrows():
        cells = [row["title"], row["scale"], f"{int(row['parameters']):,}"]
        cells += [billions(row["multiplications_224"]), _mebibytes(row["activation_bytes_224"])]
        rows.append(Row(cells, ours=False))
    return Table(
        "Complexity of one step of early activity recognition", RECOGNISERS_NOTE, header, "llrrr", rows
    )


def _counts(counts: pd.DataFrame) -> Table:
    header = [("", "Model"), ("", "Scale"), ("", "Parameters")]
    for size in SIZES:
        group = f"{size} x {size} pixels"
        header += [(group, "Multiplications"), (group, "Activations")]
        header += [(group, "Paper's FLOPs")] if size in PAPER_SIZES else []
    rows = []
    for _, row in counts.iterrows():
        cells = [row["title"], row["scale"], f"{int(row['parameters']):,}"]
        for size in SIZES:
            cells.append(billions(row[f"multiplications_{size}"]))
            cells.append(_mebibytes(row[f"activation_bytes_{size}"]))
            cells += [billions(row[f"paper_flops_{size}"])] if size in PAPER_SIZES else []
        rows.append(Row(cells, row["scale"] != "paper"))
    return Table("Complexity of one step on one frame", COUNTS_NOTE, header, "ll" + "r" * 9, rows)


def _times(times: pd.DataFrame) -> Table:
    header = [("", "Model")]
    header += [(f"{size} x {size} pixels", name) for size in SIZES for name in ("Prediction", "Training")]
    rows = []
    for title in dict.fromkeys(times["title"]):
        cells = [title]
        for size in SIZES:
            found = times[(times["title"] == title) & (times["size"] == str(size))]
            cells += _seconds(found.iloc[0]) if len(found) else ["-", "-"]
        rows.append(Row(cells, ours=True))
    device, torch = times.iloc[0][["device", "torch"]]
    title = f"Measured on {device}, PyTorch {torch}"
    return Table(title, TIMES_NOTE, header, "l" + "r" * 6, rows)


def _seconds(row: pd.Series) -> list[str]:
    sign = "~" if row["steps"] != row["sequence_steps"] else ""
    forward = row["forward_seconds"]
    return [
        f"{sign}{float(forward):.3g} s" if forward else "-",
        f"{sign}{float(row['training_seconds']):.3g} s",
    ]


def billions(count: str | int) -> str:
    """Return a count in billions or millions."""
    billions = int(count) / 1e9
    return f"{billions:.2f} G" if billions >= 1 else f"{billions * 1e3:.1f} M"


def _mebibytes(count: str) -> str:
    mebibytes = int(count) / 2**20
    return f"{mebibytes:,.0f} MiB" if mebibytes >= 10 else f"{mebibytes:.1f} MiB"
