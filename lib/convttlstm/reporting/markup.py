"""One table, written as Markdown, LaTeX and HTML."""

import html
import itertools
from dataclasses import dataclass

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "→": r"$\rightarrow$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
}


@dataclass(frozen=True)
class Row:
    """The cells of one line; `ours` tells reproduced lines from the paper's."""

    cells: list[str]
    ours: bool


@dataclass(frozen=True)
class Table:
    """Plain text under (group, name) headings; equal neighbouring groups belong together.

    `align` has one letter a column, l or r.
    """

    title: str
    note: str
    header: list[tuple[str, str]]
    align: str
    rows: list[Row]

    def groups(self) -> list[tuple[str, int]]:
        """Return each run of equal group names with its length."""
        runs = itertools.groupby(group for group, _ in self.header)
        return [(group, len(list(members))) for group, members in runs]


def latex(text: str) -> str:
    """Return `text` with everything that LaTeX would read as a command escaped."""
    return "".join(LATEX.get(character, character) for character in text)


def latex_code(text: str) -> str:
    """Return a command line or path in typewriter, breakable at slashes and underscores."""
    escaped = latex(text).replace("--", "-{}-")
    for mark in ("/", r"\_", ","):
        escaped = escaped.replace(mark, mark + r"\allowbreak{}")
    return rf"\texttt{{{escaped}}}"


def to_markdown(table: Table) -> str:
    """Return the table under a heading, its columns padded so that the source reads well too."""
    heads = [f"{group} {name}".strip() for group, name in table.header]
    cells = [heads] + [[cell.replace("|", r"\|") for cell in row.cells] for row in table.rows]
    widths = [max(3, *(len(line[i]) for line in cells)) for i in range(len(heads))]
    left = [letter == "l" for letter in table.align]
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


def to_latex(table: Table) -> str:
    """Return a table for the booktabs package, a rule between the paper's lines and ours."""
    spans, rules, column = [], [], 1
    for group, width in table.groups():
        spans.append(rf"\multicolumn{{{width}}}{{c}}{{{latex(group)}}}")
        rules += [rf"\cmidrule(lr){{{column}-{column + width - 1}}}"] if group else []
        column += width
    body = []
    for previous, row in zip([None, *table.rows], table.rows, strict=False):
        if previous and previous.ours != row.ours:
            body.append(r"\midrule")
        body.append(" & ".join(map(latex, row.cells)) + r" \\")
    return "\n".join(
        [
            r"\begin{table}[p]",
            r"\centering",
            rf"\caption{{{latex(table.title)}. {latex(table.note)}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{table.align}}}",
            r"\toprule",
            *([" & ".join(spans) + r" \\", "".join(rules)] if rules else []),
            " & ".join(latex(name) for _, name in table.header) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def to_html(table: Table) -> str:
    """Return a <figure> with the table; its lines are of class "paper" or "ours"."""
    groups = [f'<th colspan="{width}">{html.escape(g)}</th>' for g, width in table.groups()]
    heads = [
        f'<th class="{letter}">{html.escape(name)}</th>'
        for (_, name), letter in zip(table.header, table.align, strict=True)
    ]
    lines = []
    if any(group for group, _ in table.header):
        lines.append(f'<tr class="groups">{"".join(groups)}</tr>')
    lines.append(f"<tr>{''.join(heads)}</tr>")
    body = []
    for row in table.rows:
        name, *rest = (html.escape(cell) for cell in row.cells)
        data = "".join(
            f'<td class="{letter}">{_below(cell) if letter == "r" else cell}</td>'
            for cell, letter in zip(rest, table.align[1:], strict=True)
        )
        kind = "ours" if row.ours else "paper"
        body.append(f'<tr class="{kind}"><th scope="row">{name}</th>{data}</tr>')
    return "\n".join(
        [
            '<figure class="table">',
            f"<figcaption><b>{html.escape(table.title)}.</b>",
            f"{html.escape(table.note)}</figcaption>",
            '<div class="scroll"><table>',
            "<thead>",
            *lines,
            "</thead>",
            "<tbody>",
            *body,
            "</tbody>",
            "</table></div>",
            "</figure>",
        ]
    )


def _below(cell: str) -> str:
    """Return a figure's cell with its interval, if it has one, on a line of its own."""
    mean, bracket, bounds = cell.partition(" [")
    return f'{mean} <span class="interval">[{bounds}</span>' if bracket else cell
