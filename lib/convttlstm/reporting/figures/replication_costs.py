"""The replication plot of claims about size, arithmetic and time."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from convttlstm.reporting.replication import HEADING, READING, TABLE, draw_claims, marks_of
from convttlstm.reporting.report import FigureReport, Runs
from convttlstm.reporting.tables.claims import COLUMNS
from convttlstm.results import Scale, read_table


def draw(scale: Scale, dataset: str, loaded: Runs) -> tuple[Figure, str]:
    """Return a line for each claim that counts or measured times decide."""
    note = (
        "The axis is the first model's count or time, divided by the most that the claim allows. Lines are "
        "the range of repeated measurements, 5 % wider on both sides"
    )
    return draw_claims(_counted(scale), "ratio"), f"{READING}\n{note}"


def marks(scale: Scale) -> dict[str, Any]:
    """Return the same for the page."""
    return marks_of(_counted(scale), "ratio")


def _counted(scale: Scale) -> pd.DataFrame:
    table = read_table(scale.folder / TABLE, COLUMNS)
    return table[table["group"].isin(["counting", "timing"])]


REPORT = FigureReport(
    name="replication_costs",
    each=False,
    reads=lambda scale, dataset: [scale.folder / TABLE],
    heading=HEADING,
    place=2,
    title="Claims tested by counting and timing",
    caption="The claims about parameters, arithmetic and time, at the paper's sizes: counted exactly, or "
    "measured on the devices named. They are the same at every scale.",
    alternative="A dot for each claim, and the paper's; the list of claims has the numbers.",
    draw=draw,
    marks=marks,
)
