"""The article: one page of text in the form of a reproducibility report."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from convttlstm.claims.evidence import percent
from convttlstm.config import Settings, evaluated_runs, trained_runs
from convttlstm.files import atomic_path, listed, shortened, write_text
from convttlstm.markup import Document, Table, latex, markdown, to_latex, to_markdown
from convttlstm.markup import Row as Line
from convttlstm.reporting import find_report, report_names
from convttlstm.reporting.answers import answers
from convttlstm.reporting.cells import UNITS_OF_SEVERAL, capital
from convttlstm.reporting.paper import AUTHORS, TITLE, URL
from convttlstm.reporting.report import FileReport, Report, Runs, ablated, predicted
from convttlstm.reporting.tables.claims import ASKED, COLUMNS, HOURS, RULE, SHAPES, label_of
from convttlstm.results import Scale, read_table

SPECIFICATION = "https://codecheck.org.uk/spec/config/1.0/"
MAIN = ("conv_lstm", "conv_tt_lstm")
NEAR = 0.01  # by which share numbers of parameters may differ and count as equal
NOT_LISTED = {"article", "page", "weights", "summary"}
COMPILER = "pdflatex"
SECONDS = 120  # for the compiler
# Without a trailer, the same text gives the same PDF.
LATEX = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[margin=1in]{geometry}
\usepackage{booktabs, caption, graphicx, rotating}
\captionsetup{labelformat=empty}
\ifdefined\pdftrailerid\pdftrailerid{}\fi
\begin{document}
"""


def make(scale: Scale, _: str, loaded: Runs, folder: Path) -> None:
    """Write report.md, report.tex, report.pdf if LaTeX is installed, and codecheck.yml, CODECHECK's manifest.

    Raises:
        UserError: a table is missing or damaged.
    """
    claims = read_table(scale.folder / "tables/claims.csv", COLUMNS)
    parts = dict(_parts(scale, claims, loaded))
    tables = [_summary(claims), *_results(scale, claims)]
    figures = _plots(scale.settings)
    title = f"A reproduction of “{TITLE}”: {scale.settings.label}"
    lines, tex = [markdown(f"# {title}"), ""], [LATEX, rf"\section*{{\raggedright {latex(title)}}}"]
    for head, text in parts.items():
        lines += [f"## {head}", "", markdown(text), ""]
        tex += [rf"\subsection*{{{latex(head)}}}", latex(text), ""]
        if head == "Results":
            lines += [markdown(to_markdown(table)) for table in tables]
            tex += [to_latex(table).replace("{table}[p]", "{table}[htbp]") for table in tables]
            for report in figures:
                lines += [f"![{report.title}. {report.caption}]({report.stem('')}.svg)", ""]
                tex += [_float(report)]
    write_text(folder / "report.md", "\n".join(lines).rstrip() + "\n")
    write_text(folder / "report.tex", "\n".join([*tex, r"\end{document}", ""]))
    write_text(folder / "codecheck.yml", "---\n" + yaml.safe_dump(_manifest(scale), sort_keys=False))
    write_pdf(folder)


def _float(report: Report) -> str:
    """Return LaTeX for a figure, if its PDF is there."""
    file = f"{report.stem('')}.pdf"
    lines = [
        r"\begin{figure}[htbp]\centering",
        rf"\includegraphics{{{file}}}",
        rf"\caption{{{latex(f'{report.title}. {report.caption}')}}}",
        r"\end{figure}",
    ]
    return rf"\IfFileExists{{{file}}}{{{' '.join(lines)}}}{{}}"


def write_pdf(folder: Path) -> None:
    """Compile report.tex to report.pdf if LaTeX is installed; a failure is one line and no report.pdf."""
    (folder / "report.pdf").unlink(missing_ok=True)
    if not shutil.which(COMPILER):
        return
    with tempfile.TemporaryDirectory() as made:
        command = [COMPILER, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
        command += [f"-output-directory={made}", "report.tex"]
        dated = os.environ | {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
        try:
            done = subprocess.run(
                command, cwd=folder, env=dated, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{folder / 'report.pdf'}: not written: {shortened(error)}")
            return
        if done.returncode:
            printed = done.stdout.decode("latin-1").splitlines()
            reason = next((line for line in printed if line.startswith("!")), f"exit code {done.returncode}")
            print(f"{folder / 'report.pdf'}: not written, as {COMPILER} failed: {reason}")
            return
        with atomic_path(folder / "report.pdf") as temporary:
            shutil.copyfile(Path(made, "report.pdf"), temporary)


def _parts(scale: Scale, claims: pd.DataFrame, loaded: Runs) -> Iterator[tuple[str, str]]:
    """Yield the sections: name and text."""
    label = label_of(scale)
    said = answers(claims, label)
    yield "Scope", f"{capital(label)}. Not tested: {said['What was not tested']}"
    yield "What was claimed", said["What is claimed"]
    yield "Method", f"{' '.join(_method(scale, loaded))} {RULE}"
    yield "Results", f"{said['What held here']} {said['How sure']} All tables are in tables/."
    yield "What was easy", _easy(scale, claims)
    yield "What was hard", _hard(scale, claims)
    needs = claims.loc[(claims["needs"] != "") & (claims["topic"] != ASKED), ["statement", "needs"]]
    broadest = (
        f"The broadest claim that was not tested takes {needs['needs'].iloc[0]}. " if len(needs) else ""
    )
    yield "What it would take", f"{broadest}{HOURS} The command is snakemake --profile slurm all."


def _method(scale: Scale, loaded: Runs) -> Iterator[str]:
    settings = scale.settings
    for name, experiment in settings.experiments.items():
        runs, trained = evaluated_runs(settings, name), trained_runs(settings, name)
        dataset = settings.datasets[name]
        seeds = f"{len(experiment.seeds)} seed{'s' if len(experiment.seeds) > 1 else ''}"
        yield (
            f"{dataset.title}: {len(runs)} runs, {len(trained)} of them trained, with {seeds} of each model, "
            f"on frames of {' x '.join(map(str, dataset.frame_shape))} pixels."
        )
    made = [run.provenance for run in loaded if run.provenance]
    if made:
        epochs = sum(p.epochs for p in made)
        yield (
            f"Training took {epochs:,} epochs in all, on {listed(sorted({p.device for p in made}))}, and was "
            f"interrupted and resumed {sum(p.interruptions for p in made)} times."
        )


def _results(scale: Scale, claims: pd.DataFrame) -> Iterator[Table]:
    """Yield Table 2, of the paper's two models and those that our own questions compare, and Table 4."""
    names = tuple(scale.settings.systems[name].title.rstrip(")") for name in MAIN)
    asked = {run for runs in claims.loc[claims["topic"] == ASKED, "runs"] for run in runs.split()}
    for dataset in predicted(scale.settings):
        document = _document(scale, "table2", dataset)
        shown = [
            replace(row, marks={})
            for row in document.tables[0].rows
            if row.cells[0].startswith(names) or asked & {f"{dataset}/{run}" for run in row.runs}
        ]
        note = f"{document.lead.strip('*')} {UNITS_OF_SEVERAL}"
        yield replace(document.tables[0], title=document.title, note=note, rows=shown)
    for dataset in ablated(scale.settings):
        yield from _document(scale, "table4", dataset).tables


def _document(scale: Scale, name: str, dataset: str) -> Document:
    report = find_report(name)
    return report.read(scale, dataset, scale.folder / report.stem(dataset))  # type: ignore[attr-defined]


def _summary(claims: pd.DataFrame) -> Table:
    """Return the number of claims by topic and verdict."""
    verdicts = [verdict for verdict in SHAPES if verdict in set(claims["verdict"])]
    names = ["Topic", "Claims", "The paper's numbers contradict", *map(capital, verdicts)]
    rows = []
    for topic, own in claims.groupby("topic", sort=False):
        counts = [int((own["verdict"] == verdict).sum()) for verdict in verdicts]
        against = int((own["paper_holds"] == "no").sum())
        rows.append(Line([capital(str(topic)), *map(str, (len(own), against, *counts))], ours=True))
    align = "l" + "r" * (len(names) - 1)
    return Table(
        "Verdicts by topic", "Number of claims by verdict.", [("", name) for name in names], align, rows
    )


def _easy(scale: Scale, claims: pd.DataFrame) -> str:
    """Return the checks that take no training: counts of operations and of parameters."""
    counts = read_table(scale.folder / "complexity.csv", ["scale", "system", "parameters"])
    counts = counts[counts["scale"] == "paper"].set_index("system")["parameters"]
    printed = scale.printed(2, ["dataset", "method", "parameters_millions"])
    printed = printed[printed["parameters_millions"] != ""].set_index("method")["parameters_millions"]
    pairs = [
        (int(counts[name]) / 1e6, float(printed[[system.paper_row]].iloc[0]))
        for name, system in scale.settings.systems.items()
        if name in counts and system.paper_row in printed and not system.model.recognizes
    ]
    near = sum(abs(count / papers - 1) < NEAR for count, papers in pairs)
    counted = int((claims["group"] == "counting").sum())
    return (
        f"Counting. {counted} claims follow from the models alone and take seconds. Of the {len(pairs)} "
        f"models here whose parameters Table 2 prints, {near} have as many, to {percent(NEAR)}."
    )


def _hard(scale: Scale, claims: pd.DataFrame) -> str:
    """Return the obstacles: gaps and contradictions in the paper, and rows copied from others."""
    printed = scale.printed(2, ["dataset", "source", "where"])
    printed = printed[printed["where"] == "Table 2"]
    copied = int(printed["source"].str.startswith("copied").sum())
    against = int((claims["paper_holds"] == "no").sum())
    undecidable = int((claims["group"] == "undecidable").sum())
    return (
        f"Reading the paper. Its own numbers contradict {against} of its claims, no program can decide "
        f"{undecidable}, and {copied} of Table 2's {len(printed)} rows are copied from other papers. "
        "Settings that its text leaves out are inferred [I] or remembered from its appendix [M], and marked "
        "so in config/."
    )


def _listed(settings: Settings) -> list[Report]:
    """Return the reports whose files somebody may check."""
    found = [find_report(name) for name in report_names() if name not in NOT_LISTED]
    return [report for report in found if report.made_for(settings)]


def _plots(settings: Settings) -> list[Report]:
    """Return the replication plots."""
    return [report for report in _listed(settings) if report.name.startswith("replication")]


def _manifest(scale: Scale) -> dict[str, Any]:
    settings = scale.settings
    files = []
    for report in _listed(settings):
        for dataset in report.made_for(settings):
            of = f", {settings.datasets[dataset].title}" if dataset else ""
            for name in report.files(settings, dataset):
                if not name.endswith(".txt"):  # captions
                    files.append({"file": name, "comment": f"{report.title}{of}"})
    return {
        "version": SPECIFICATION,
        "paper": {"title": TITLE, "authors": [{"name": name} for name in AUTHORS], "reference": URL},
        "manifest": files,
    }


def _names(settings: Settings, dataset: str) -> list[str]:
    return ["report.md", "codecheck.yml"]


REPORT = FileReport(
    name="article",
    each=False,
    runs=evaluated_runs,
    reads=lambda scale, dataset: [
        scale.folder / "tables/claims.csv",
        scale.folder / "complexity.csv",
        scale.paper / "table2.csv",
        *(scale.folder / f"tables/table2_{name}.csv" for name in predicted(scale.settings)),
        *(scale.folder / f"tables/table4_{name}.csv" for name in ablated(scale.settings)),
        *(scale.folder / f"{report.stem('')}.svg" for report in _plots(scale.settings)),
    ],
    title="The article",
    make=make,
    names=_names,
)
