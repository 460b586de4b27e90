"""Section 5's question, whether fewer multiplications mean less time: the paper's answer and measurements."""

from collections.abc import Sequence

import pandas as pd

from convttlstm.config import Settings, run_id
from convttlstm.markup import Document, Row, Table
from convttlstm.planning.costs import (
    BASELINE,
    DATASETS,
    OURS,
    PAPER,
    PAPER_SCALE,
    Measure,
    answer,
    measures_from,
    measures_of,
    rows_of,
)
from convttlstm.reporting.cells import capital
from convttlstm.reporting.report import Runs, TableReport, predicted
from convttlstm.results import Scale

NOTE = (
    "The ratio is Conv-TT-LSTM's value divided by ConvLSTM's. It depends on device, precision and length of "
    "the sequences. The paper's FLOPs are its arithmetic on parameters, not a count; "
    "minutes are for 10,000 samples, the paper's on a machine that it does not describe. A training step is "
    "this project's (ours), or of a module that makes one convolution after the other (textbook)."
)


def rows(scale: Scale, dataset: str, loaded: Runs) -> pd.DataFrame:
    """Return a row for each measure."""
    return rows_of(measures_of(scale))


def document(scale: Scale, dataset: str, table: pd.DataFrame) -> Document:
    """Return the table to read."""
    return Document([runtime_table(measures_from(table))])


def runtime_table(measures: Sequence[Measure]) -> Table:
    """Return the table to read: a line for each measure, ours shaded."""
    names = ["Data set", "Models", "Quantity", "From", "Device", "ConvLSTM", "Conv-TT-LSTM", "Ratio"]
    rows = [
        Row(
            [
                *(
                    DATASETS[measure.dataset],
                    PAPER_SCALE if measure.models == PAPER_SCALE else "this scale's models",
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
    own = dict.fromkeys(m.models for m in measures if m.models != PAPER_SCALE)
    note = f"{'. '.join(map(capital, own))}. These are this scale's models. " if own else ""
    note += f"{NOTE} Of the times that were measured: {answer(measures)}."
    return Table("Multiplications and run-time", note, [("", n) for n in names], "lllllrrr", rows)


def compared(settings: Settings, dataset: str) -> list[str]:
    """Return the runs of both models, where a data set has both."""
    experiment = settings.experiments[dataset]
    if dataset not in DATASETS or not {BASELINE, OURS} <= set(experiment.table):
        return []
    return [run_id(settings, system, {}, seed) for system in (BASELINE, OURS) for seed in experiment.seeds]


REPORT = TableReport(
    name="runtime",
    datasets=predicted,
    each=False,
    runs=compared,
    reads=lambda scale, dataset: [
        scale.folder / "complexity.csv",
        scale.paper / "table2.csv",
        *scale.measured("system_times", "train_step"),
    ],
    heading="Does it take less time? (Section 5)",
    place=20,
    folded=True,
    title="Multiplications and run-time",
    rows=rows,
    document=document,
    columns=["dataset", "models", "what", "source", "device", "unit", "conv_lstm", "conv_tt_lstm"],
)
