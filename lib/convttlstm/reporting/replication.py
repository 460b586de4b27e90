"""The replication plots: a line for each claim, with the paper's effect and ours."""

import textwrap
from math import isnan, nan
from typing import Any

import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convttlstm.evaluation.intervals import decimals_of
from convttlstm.reporting.drawing import COLUMN, GREY, SMALL
from convttlstm.reporting.tables.claims import ASKED, SHAPES

HEADING = "Which claims hold"  # of the page's section that they open
TABLE = "tables/claims.csv"
# The verdicts in their order, with colours.
VERDICTS = {
    "reproduced": "#00664d",
    "holds": "#00664d",
    "no difference": "#5d3a9b",
    "undecided": "#5d3a9b",
    "contradicted": "#a33b00",
    "fails": "#a33b00",
}
# Labels of the axis, from left to right.
ENDS = {
    "ratio": ("← more than claimed", "value / bound", "as claimed →"),
    "margins": ("← the other way", "lead / margin", "as claimed →"),
}
SIZELESS = "a law of growth: holds or fails, without a ratio"
# Inches.
LINE, STRIP, SPACE, FOOT, SIDE = 0.105, 0.13, 0.05, 0.36, 0.06
LETTERS, LINES = 70, 2  # of a statement
READING = (
    "Each line is a claim. Solid: the comparison that decides its verdict; hollow: the same in the paper; "
    "ticks: the claim's other comparisons. To the right is as claimed"
)


def draw_claims(claims: pd.DataFrame, axis: str) -> Figure:
    """Return a line for each claim, those of one verdict under each other.

    Args:
        claims: rows of claims.csv, read as text.
        axis: "margins", linear up to one margin either side of zero and logarithmic beyond; or "ratio",
            logarithmic and falling, so that what is less than claimed is to the right.
    """
    ratio = axis == "ratio"
    parts = _by_verdict(claims)
    statements = {row["claim"]: _wrapped(row["statement"]) for _, rows in parts for _, row in rows.iterrows()}
    lines = sum(map(len, statements.values()))
    height = len(parts) * 1.6 * LINE + lines * LINE + len(statements) * (STRIP + SPACE) + 0.02
    figure = Figure(figsize=(COLUMN, height + FOOT))
    figure.set_layout_engine("none")
    total = height + FOOT
    axes = figure.add_axes(
        (SIDE / COLUMN, FOOT / total, 1 - 2 * SIDE / COLUMN, height / total), ylim=(height, 0)
    )
    _set_axis(axes, ratio)
    y = 0.02
    for verdict, rows in parts:
        title = f"{SHAPES[verdict]} {verdict}: {len(rows)}"
        _write(axes, y, title, fontweight="bold", color=VERDICTS[verdict], fontsize=7)
        y += 1.6 * LINE
        for _, row in rows.iterrows():
            for line in statements[row["claim"]]:
                _write(axes, y, line, fontsize=SMALL)
                y += LINE
            _draw_claim(axes, y + STRIP / 2, row, VERDICTS[verdict], ratio)
            y += STRIP + SPACE
    return figure


def marks_of(claims: pd.DataFrame, axis: str) -> dict[str, Any]:
    """Return the same plot for the page, with positions in percent of the axis.

    Args:
        claims: rows of claims.csv, read as text.
        axis: see `draw_claims`.
    """
    ratio = axis == "ratio"
    axes = Figure().subplots()
    _set_axis(axes, ratio)

    def place(value: float) -> float:
        return round(float((axes.transData - axes.transAxes).transform((value, 0))[0]) * 100, 2)

    def place_of(cell: str) -> float | None:
        value = _place(cell, ratio, axes)
        return None if isnan(value) else place(value)

    def row_of(row: pd.Series) -> dict[str, Any]:
        value, low, high, paper = (
            place_of(row[name]) for name in ("effect", "effect_low", "effect_high", "effect_paper")
        )
        numbers = [
            _on_axis(row[name], ratio) if row[name] else nan
            for name in ("effect", "effect_low", "effect_high", "effect_paper")
        ]
        size = next((number for number in (numbers[0], numbers[3]) if not isnan(number)), 0.0)
        places = decimals_of(size, *sorted(numbers[1:3]))
        effect, *bounds, printed = ("" if isnan(number) else f"{number:.{places}f}" for number in numbers)
        said = f"here {effect}" if effect else ""
        said += f" [{', '.join(sorted(bounds, key=float))}]" if all(bounds) and bounds[0] != bounds[1] else ""
        said += f"; in the paper {printed}" if printed else ""
        ends = None if low is None or high is None else sorted((low, high))
        return {
            "claim": row["claim"],
            "statement": row["statement"],
            "said": said,
            "value": value,
            "line": ends and (ends[0], round(100 - ends[1], 2)),
            "paper": paper,
            "others": [place_of(other) for other in row["effect_others"].split()],
        }

    groups = [
        {"verdict": verdict, "shape": SHAPES[verdict], "rows": [row_of(row) for _, row in rows.iterrows()]}
        for verdict, rows in _by_verdict(claims)
    ]
    ticks = [float(tick) for tick in axes.xaxis.get_major_locator().tick_values(0, 0)]
    return {
        "groups": groups,
        "ticks": [(place(tick), f"{tick:g}") for tick in ticks],
        "zero": place(1 if ratio else 0),
        "shade": None if ratio else (place(-1), round(100 - place(1), 2)),
        "ends": ENDS[axis],
        "sizeless": SIZELESS,
    }


def _by_verdict(claims: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return each verdict that occurs with its claims, in the order in which plots show them."""
    parts = [(verdict, claims[claims["verdict"] == verdict]) for verdict in VERDICTS]
    return [(verdict, rows) for verdict, rows in parts if len(rows)]


def _set_axis(axes: Axes, ratio: bool) -> None:
    axes.set(yticks=[])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    if ratio:
        axes.set_xscale("log")
        axes.set_xlim(12, 1 / 12)
        ticks = [10, 5, 2, 1, 0.5, 0.2, 0.1]
    else:
        axes.set_xscale("symlog", linthresh=1, linscale=0.6)
        axes.set_xlim(-200, 200)
        ticks = [-100, -10, -1, 0, 1, 10, 100]
        axes.axvspan(-1, 1, color="#f0f0f0", lw=0, zorder=0)
    axes.xaxis.set_major_locator(ticker.FixedLocator(ticks))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.set_xlabel("    ".join(ENDS["ratio" if ratio else "margins"]))
    axes.axvline(1 if ratio else 0, color=GREY, lw=0.8)


def _draw_claim(axes: Axes, y: float, row: pd.Series, colour: str, ratio: bool) -> None:
    if not row["effect"]:
        _write(axes, y - LINE / 2, SIZELESS, fontsize=SMALL, color=GREY)
        return
    value, low, high, paper = (
        _place(row[name], ratio, axes) for name in ("effect", "effect_low", "effect_high", "effect_paper")
    )
    others = [_place(other, ratio, axes) for other in row["effect_others"].split()]
    axes.plot(others, [y] * len(others), "|", ms=4, mew=0.6, color=colour, alpha=0.5)
    axes.plot(paper, y, "D", ms=4.2, mfc="white", mec=GREY, mew=0.8, zorder=3)
    axes.hlines(y, low, high, color=colour, lw=1.1)
    axes.plot(value, y, "o", ms=3, color=colour, zorder=4)


def _place(cell: str, ratio: bool, axes: Axes) -> float:
    """Return where a cell lies on the axis, at its edge if it lies beyond; NaN for an empty one."""
    value = _on_axis(cell, ratio)
    left, right = sorted(axes.get_xlim())
    return value if isnan(value) else min(max(value, left), right)


def _on_axis(cell: str, ratio: bool) -> float:
    """Return a cell's value in the axis's unit: the share of the bound that is used, or the lead."""
    value = float(cell or "nan")
    return 1 - value if ratio else value


def _write(axes: Axes, y: float, text: str, **style: Any) -> None:
    white = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
    axes.text(
        0, y, text, transform=axes.get_yaxis_transform(), va="top", bbox=white, zorder=5, **style,
    )  # fmt: skip


def _wrapped(statement: str) -> list[str]:
    return textwrap.wrap(statement, LETTERS, max_lines=LINES, placeholder=" …")


def not_drawn(table: pd.DataFrame) -> str:
    """Return in words which claims are in no replication plot."""
    papers = table["topic"] != ASKED
    lacking, undecidable = (((table["group"] == name) & papers).sum() for name in ("lacking", "undecidable"))
    asked = int((~papers & (table["group"] == "asked")).sum())
    said = f"Among them are {asked} questions that the paper does not ask. " if asked else ""
    said += f"Not drawn: {lacking} claims that were not tested, and {undecidable} that no program can decide."
    return said
