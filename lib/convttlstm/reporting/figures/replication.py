"""The replication plot of the claims that training at a scale tests."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from convttlstm.claims.evidence import percent
from convttlstm.config import Settings
from convttlstm.config.text import read_yaml
from convttlstm.reporting.drawing import COLUMN, say
from convttlstm.reporting.replication import HEADING, READING, TABLE, draw_claims, marks_of, not_drawn
from convttlstm.reporting.report import FigureReport, Runs, every
from convttlstm.reporting.tables.claims import COLUMNS
from convttlstm.results import Scale, read_table


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return a line for each claim that training at the scale tests."""
    table = read_table(scale.folder / TABLE, COLUMNS)
    tested = _tested(table)
    share = float(read_yaml(scale.paper / "claims.yaml")["margin"])
    note = [
        READING,
        f"Metrics share the axis in units of their margin, {percent(share)} of the paper's smallest lead "
        "over its baseline. Lines are 95 % intervals; where one lies within the shade, even corrected for "
        "the number of comparisons, the difference counts as none",
        not_drawn(table),
        scale.settings.label,
    ]
    if tested.empty:
        figure = Figure(figsize=(COLUMN, 0.5))
        axes = figure.subplots()
        axes.set_axis_off()
        say(axes, "Training at this scale tests no claim.")
        return figure, "\n".join(note)
    return draw_claims(tested, "margins"), "\n".join(note)


def marks(scale: Scale) -> dict[str, Any]:
    """Return the same for the page."""
    return marks_of(_tested(read_table(scale.folder / TABLE, COLUMNS)), "margins")


def _tested(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["group"].isin(["training", "asked"])]


def testing(settings: Settings) -> list[str]:
    """Return a scale's data sets if training at it can test claims, else none."""
    return every(settings) if settings.decides_claims else []


REPORT = FigureReport(
    name="replication",
    datasets=testing,
    each=False,
    reads=lambda scale, dataset: [scale.folder / TABLE, scale.paper / "claims.yaml"],
    heading=HEADING,
    place=1,
    title="Claims tested by training",
    caption="The claims about quality that training at this scale tests.",
    alternative="A dot with an interval for each claim, and the paper's; the list of claims has the numbers.",
    draw=draw,
    marks=marks,
)
