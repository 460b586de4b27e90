"""Tables as Markdown and LaTeX; page/macros.html makes their HTML."""

import itertools
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Packages that the output of `to_latex` needs.
LATEX_HEAD = r"% \usepackage{booktabs, graphicx, rotating}"
LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"$\sim$",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "→": r"$\rightarrow$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "\N{MINUS SIGN}": "$-$",
    "±": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≈": r"$\approx$",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "“": "``",
    "”": "''",
}
# Characters per line of text, sentences and headings.
TEXT_WIDTH, SENTENCE_WIDTH, HEAD_WIDTH = 22, 40, 11
# Characters that fill a page 5.5 inches wide, shrunk from 8 points to 5; lines that fit a sideways page.
PAGE_WIDTH, SIDE_LINES = 160, 32
BEST, SECOND = "best", "second"
MARKDOWN_MARKS = {BEST: "**{}**", SECOND: "*{}*"}
LATEX_MARKS = {BEST: r"\textbf{{{}}}", SECOND: r"\underline{{{}}}"}


@dataclass(frozen=True)
class Row:
    """The cells of one row; `ours` shades it: a reproduced row, or in the grid a winner.

    Attributes:
        runs: names of the runs shown, as <data set>/<run> if a table has several data sets.
        marks: BEST or SECOND, by column, for the best two values of a group.
    """

    cells: list[str]
    ours: bool
    runs: Sequence[str] = ()
    marks: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table of plain text with (group, name) headings; equal adjacent groups are merged.

    `align` has one letter per column: l, r, or w for sentences, which have longer lines in LaTeX.
    `parts` are the headings of two blocks: rows with `ours` False, and rows with `ours` True.
    """

    title: str
    note: str
    header: list[tuple[str, str]]
    align: str
    rows: list[Row]
    parts: tuple[str, str] = ("The paper", "Reproduced here")

    def bodies(self) -> list[tuple[str, list[Row]]]:
        """Return the two blocks of rows with their names if there are two; else all rows without a name."""
        blocks = [(ours, list(rows)) for ours, rows in itertools.groupby(self.rows, lambda row: row.ours)]
        if len(blocks) != 2:
            return [("", self.rows)]
        return [(self.parts[ours], rows) for ours, rows in blocks]

    def groups(self) -> list[tuple[str, int]]:
        """Return the groups of adjacent columns, with their lengths."""
        runs = itertools.groupby(group for group, _ in self.header)
        return [(group, len(list(members))) for group, members in runs]


@dataclass(frozen=True)
class Origin:
    """The provenance of a reproduced row: a sentence, and the commands that made it."""

    method: str
    facts: str
    commands: list[tuple[str, str]]


@dataclass(frozen=True)
class Document:
    """Tables, with text above and below them.

    Attributes:
        tables: the tables, at least one.
        title: title of the document; "" to use the first table's.
        lead: Markdown above the tables.
        notes: reservations about the paper's rows.
        origins: provenance of the reproduced rows.
        printed: the tables for LaTeX, if they differ.
    """

    tables: list[Table]
    title: str = ""
    lead: str = ""
    notes: Sequence[str] = ()
    origins: Sequence[Origin] = ()
    printed: Sequence[Table] = ()

    def to_markdown(self) -> str:
        """Return everything as Markdown."""
        text = "\n".join(map(to_markdown, self.tables))
        lines = [f"# {self.title}", "", self.lead, "", text] if self.title else [text.removeprefix("#")]
        if self.origins:
            lines += ["## Where the reproduced rows come from", ""]
        for origin in self.origins:
            lines.append(f"- **{origin.method}**: {origin.facts}")
            lines += [f"  - {verb} `{command}`" for verb, command in origin.commands]
        if self.notes:
            lines += ["", "## Notes on the paper's rows", "", *(f"- {note}" for note in self.notes)]
        return markdown("\n".join(lines).rstrip() + "\n")

    def to_latex(self) -> str:
        """Return everything as LaTeX, the notes as a list below the tables."""
        items = []
        for origin in self.origins:
            items.append(rf"\item {latex(origin.method)}: {latex(origin.facts)}")
            items += [rf"\\ {verb} {latex_code(command)}" for verb, command in origin.commands]
        items += [rf"\item {latex(note)}" for note in self.notes]
        if items:
            items = [r"\begin{itemize}\footnotesize\raggedright", *items, r"\end{itemize}", ""]
        return "\n".join([LATEX_HEAD, *map(to_latex, self.printed or self.tables), *items])


def markdown(text: str) -> str:
    """Return Markdown without HTML and links: titles and labels come from users."""
    return re.sub(r"<(?=[A-Za-z/!?])", r"\\<", text).replace("](", r"]\(")


def latex(text: str) -> str:
    """Return `text` escaped for LaTeX, with curly quotes."""
    return _escaped(re.sub(r'"([^"]*)"', r"“\1”", text))


def _escaped(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)


def latex_code(text: str) -> str:
    """Return a command line or path in typewriter font, breakable at slashes and underscores."""
    escaped = _escaped(text).replace("--", "-{}-").replace(LATEX["~"], r"\textasciitilde{}")
    for mark in ("/", r"\_", ","):
        escaped = escaped.replace(mark, mark + r"\allowbreak{}")
    return rf"\texttt{{{escaped}}}"


def to_markdown(table: Table) -> str:
    """Return the table with a heading, its columns padded so that the source is readable too."""
    heads = [f"{group} {name}".strip() for group, name in table.header]
    cells = [heads] + [
        [_marked(cell.replace("|", r"\|"), row.marks.get(i)) for i, cell in enumerate(row.cells)]
        for row in table.rows
    ]
    widths = [max(3, *(len(line[i]) for line in cells)) for i in range(len(heads))]
    left = [letter != "r" for letter in table.align]
    rule = [
        ":" + "-" * (w - 1) if to_left else "-" * (w - 1) + ":"
        for w, to_left in zip(widths, left, strict=True)
    ]

    def line(texts: list[str]) -> str:
        padded = [
            text.ljust(w) if to_left else text.rjust(w)
            for text, w, to_left in zip(texts, widths, left, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    lines = [line(cells[0]), line(rule), *map(line, cells[1:])]
    return "\n".join([f"## {table.title}", "", table.note, "", *lines, ""])


def _marked(cell: str, mark: str | None) -> str:
    """Return a cell in Markdown, its value in bold or italics if it is best or second best."""
    figure, *interval = cell.partition(" [")
    return (MARKDOWN_MARKS[mark].format(figure) if mark else figure) + "".join(interval)


def to_latex(table: Table) -> str:
    """Return a table for the booktabs package, with a rule between the paper's rows and ours.

    To stay readable at a page's width, intervals are below their values and text is wrapped. A table that is
    still too wide, and not too long, is turned sideways with the rotating package.
    """
    head = [_wrapped(name, HEAD_WIDTH) for _, name in table.header]
    deepest = max(map(len, head))
    head = [[""] * (deepest - len(lines)) + lines for lines in head]
    bodies = [
        [_latex_lines(*cell) for cell in zip(row.cells, table.align, strict=True)] for row in table.rows
    ]
    body = []
    for previous, row, lines in zip([None, *table.rows], table.rows, bodies, strict=False):
        if previous and previous.ours != row.ours:
            body.append(r"\midrule")
        body += _latex_rows(lines, row.marks)
    columns = zip(head, *bodies, strict=True)
    # The space between columns has the width of two characters.
    width = sum(2 + max(len(line) for lines in column for line in lines) for column in columns)
    kind = "sidewaystable" if width > PAGE_WIDTH and len(body) <= SIDE_LINES else "table"
    return "\n".join(
        [
            rf"\begin{{{kind}}}[p]",
            r"\centering",
            rf"\caption{{{latex(table.title)}. {latex(table.note)}}}",
            r"\footnotesize\setlength{\tabcolsep}{3pt}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{table.align.replace('w', 'l')}}}",
            r"\toprule",
            *_latex_groups(table),
            *_latex_rows(head),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            rf"\end{{{kind}}}",
            "",
        ]
    )


def _latex_groups(table: Table) -> list[str]:
    """Return the row of group names and the rules below it, nothing if no group has a name."""
    spans, rules, column = [], "", 1
    for group, width in table.groups():
        spans.append(rf"\multicolumn{{{width}}}{{c}}{{{latex(group)}}}")
        rules += rf"\cmidrule(lr){{{column}-{column + width - 1}}}" if group else ""
        column += width
    return [" & ".join(spans) + r" \\", rules] if rules else []


def _latex_lines(cell: str, letter: str) -> list[str]:
    """Return the lines of a cell: wrapped text, or a value above its interval."""
    if letter == "r":
        figure, bracket, bounds = cell.partition(" [")
        return [figure, f"[{bounds}"] if bracket else [cell]
    return _wrapped(cell, SENTENCE_WIDTH if letter == "w" else TEXT_WIDTH)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _latex_rows(cells: list[list[str]], marks: Mapping[int, str] | None = None) -> list[str]:
    """Return the LaTeX lines of a row; if cells have several lines, space follows the row."""
    lines = [[latex(text) for text in line] for line in itertools.zip_longest(*cells, fillvalue="")]
    for column, mark in (marks or {}).items():
        lines[0][column] = LATEX_MARKS[mark].format(lines[0][column])
    rows = [" & ".join(line) for line in lines]
    # After a line's end LaTeX would read a bracket or star as an option.
    rows = [f"{{}}{row}" if row.startswith(("[", "*")) else row for row in rows]
    ends = [r" \\"] * (len(rows) - 1) + [r" \\[2pt]" if len(rows) > 1 else r" \\"]
    return [row + end for row, end in zip(rows, ends, strict=True)]
