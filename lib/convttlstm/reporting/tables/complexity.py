"""Costs of the models: counts, the paper's FLOPs, and measured times."""

import pandas as pd

from convttlstm.config.counted import PAPER_SIZES, SIZES
from convttlstm.markup import Document, Row, Table
from convttlstm.reporting.quantities import billions, mebibytes
from convttlstm.reporting.report import Runs, TableReport
from convttlstm.results import Scale, read_table

COUNTS = ["scale", "title", "parameters"]
COUNTS += [f"{what}_{size}" for size in SIZES for what in ("multiplications", "activation_bytes")]
COUNTS += [f"paper_flops_{size}" for size in PAPER_SIZES]
TIMES = ["device", "torch", "title", "size", "forward_seconds", "training_seconds", "steps", "sequence_steps"]

COUNTS_NOTE = (
    "To predict a sequence's fourth frame; in E3D-LSTM each frame costs more than the one before. The "
    "paper's FLOPs column is not a count of operations: it is the parameters, rounded to 0.01 million, times "
    "height times width / 1024 times 1000. The multiplications are those that the step really takes; the "
    "activations are those that training keeps, in float32."
)
RECOGNIZERS_NOTE = (
    "Colour frames of 224 x 224 pixels, 41 activities. Parameters include encoder, decoder and classifier; "
    "multiplications do not, as these run once a clip."
)
TIMES_NOTE = (
    "Seconds for one sequence of 10 → 10 frames: prediction, and forward and backward pass of training. "
    "~ is extrapolated from 2 → 2 frames, where training on the whole sequence would keep more than 8 GiB. "
    "VPN predicts pixel by pixel, which was not timed."
)


def rows(scale: Scale, dataset: str, loaded: Runs) -> pd.DataFrame:
    """Return the counts, as they were counted."""
    return read_table(scale.folder / "complexity.csv", COUNTS)


def document(scale: Scale, dataset: str, table: pd.DataFrame) -> Document:
    """Return a table of counts, one of recognizers if there are any, and one for each device's times."""
    predict = table[f"paper_flops_{PAPER_SIZES[0]}"] != ""
    tables = [_counts(table[predict])]
    if not predict.all():
        tables.append(_recognizers(table[~predict]))
    times = (read_table(path, TIMES) for path in scale.measured("system_times"))
    return Document([*tables, *map(_times, times)])


def _recognizers(counts: pd.DataFrame) -> Table:
    header = [("", name) for name in ("Layers", "Scale", "Parameters", "Multiplications", "Activations")]
    rows = []
    for _, row in counts.iterrows():
        cells = [row["title"], row["scale"], f"{int(row['parameters']):,}"]
        cells += [billions(row["multiplications_224"]), mebibytes(row["activation_bytes_224"])]
        rows.append(Row(cells, ours=False))
    return Table(
        "Complexity of one step of early activity recognition", RECOGNIZERS_NOTE, header, "llrrr", rows
    )


def _counts(counts: pd.DataFrame) -> Table:
    header = [("", "Model"), ("", "Scale"), ("", "Parameters")]
    for size in SIZES:
        group = f"{size} x {size} pixels"
        header += [(group, "Multiplications"), (group, "Activations")]
        header += [(group, "FLOPs, paper's formula")] if size in PAPER_SIZES else []
    rows = []
    for _, row in counts.iterrows():
        cells = [row["title"], row["scale"], f"{int(row['parameters']):,}"]
        for size in SIZES:
            cells.append(billions(row[f"multiplications_{size}"]))
            cells.append(mebibytes(row[f"activation_bytes_{size}"]))
            cells += [billions(row[f"paper_flops_{size}"])] if size in PAPER_SIZES else []
        rows.append(Row(cells, row["scale"] != "paper"))
    parts = "At the paper's sizes", "At this scale's sizes"
    return Table("Complexity of one step on one frame", COUNTS_NOTE, header, "ll" + "r" * 9, rows, parts)


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


REPORT = TableReport(
    name="complexity",
    each=False,
    reads=lambda scale, dataset: [scale.folder / "complexity.csv", *scale.measured("system_times")],
    heading="Cost of one step",
    place=10,
    folded=True,
    title="Parameters, multiplications, times",
    rows=rows,
    document=document,
    columns=COUNTS,
)
