"""The page with all results of a scale: results/<scale>/index.html, next to its figures."""

import re
from importlib import resources
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from convttlstm.config import Settings, evaluated_runs
from convttlstm.files import UserError, write_text
from convttlstm.reporting import find_report, paper, report_names
from convttlstm.reporting.cells import capital, papers_rows, short_commit
from convttlstm.reporting.page.provenance import facts_of
from convttlstm.reporting.page.scrubber import animation
from convttlstm.reporting.page.tables import shown as shown_table
from convttlstm.reporting.page.texts import headline, recognition_headline, scale_facts, standouts
from convttlstm.reporting.page.verdicts import verdicts
from convttlstm.reporting.replication import HEADING
from convttlstm.reporting.report import (
    FigureReport,
    FileReport,
    Report,
    Runs,
    TableReport,
    predicted,
    recognized,
)
from convttlstm.reporting.runs import STARRED, without_short
from convttlstm.reporting.tables.claims import label_of
from convttlstm.results import Result, Scale, read_table, source_label

RECOGNITION = "recognition"
WIDE = 4  # inches; figures of one column are narrower
PIXELS = 1.9  # per point, so that a figure's smallest text is as large as the page's
ENVIRONMENT = Environment(
    loader=PackageLoader(__package__, "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def make(scale: Scale, _: str, loaded: Runs, folder: Path) -> None:
    """Write the page. It contains tables and animations, and shows the figures next to it.

    Raises:
        UserError: a run, a table or a figure is missing or damaged.
    """
    for path in REPORT.inputs(scale, ""):
        if not path.is_file():
            raise UserError(f"{path}: no such file; make it before the page")
    settings = scale.settings
    made = [report for report in _others() if report.made_for(settings)]
    shown = sorted((report for report in made if report.place is not None), key=lambda r: r.place or 0)
    sections = [
        _predicted(scale, name, shown, [run for run in loaded if run.config.dataset_name == name])
        for name in predicted(settings)
    ]
    if recognized(settings):
        sections.append(_recognized(scale, shown))
    title = ", ".join(section["title"] for section in sections)
    once = [report for report in shown if not report.each and report.datasets is not recognized]
    costs = [report for report in once if report.heading != HEADING]
    sections.append({"id": "costs", "title": "Complexity", "headings": _headings(scale, "", costs)})
    claims = read_table(scale.folder / "tables/claims.csv", find_report("claims").columns)  # type: ignore[attr-defined]
    text = ENVIRONMENT.get_template("page.html").render(
        title=f"{title}: {settings.label}",
        css=Markup(_file("page.css")),
        js=Markup(_file("page.js")),
        scale=scale.name,
        made=_made_by(loaded),
        trained=_dates(loaded),
        dated=any(run.provenance and run.provenance.finished for run in loaded),
        paper=paper,
        version=version("convttlstm"),
        labels=list(dict.fromkeys(capital(f"{source_label(run.config)}.") for run in loaded)),
        verdicts=verdicts(claims, label_of(scale), {_folder(run) for run in loaded})
        | {"figures": [_item(scale, "", report) for report in once if report.heading == HEADING]},
        sections=sections,
    )
    write_text(folder / "index.html", text)


def _made_by(loaded: Runs) -> dict[str, list[str]]:
    """Return commits, devices and versions of the runs."""
    by = [run.provenance or run.metrics.evaluated_by for run in loaded]
    versions = [[f"{name} {version}" for name, version in made.versions.items()] for made in by]
    return {
        "Commits": sorted({short_commit(made.commit, made.uncommitted_changes) for made in by}),
        "Devices of the runs": sorted({made.device for made in by}),
        "Versions": sorted({version for each in versions for version in each}),
    }


def _dates(loaded: Runs) -> str:
    """Return when the runs were trained, in words."""
    dates = sorted({run.provenance.finished for run in loaded if run.provenance} - {""})
    if not dates:
        return "on dates that are not recorded"
    return f"on {dates[0]}" if len(dates) == 1 else f"from {dates[0]} to {dates[-1]}"


def _file(name: str) -> str:
    """Return the text of the style sheet or the script, which are next to this file."""
    return resources.files(__package__).joinpath(name).read_text()


def _folder(run: Any) -> str:
    """Return a run's folder below runs/."""
    return f"{run.config.dataset_name}/{run.config.id}"


def _predicted(scale: Scale, name: str, shown: list[Report], runs: list[Result]) -> dict[str, Any]:
    """Return the section of a data set whose frames are predicted."""
    full, left_out = without_short(runs)
    table2 = read_table(scale.folder / f"tables/table2_{name}.csv", ["origin", "method"])
    own = [report for report in shown if report.each and name in report.datasets(scale.settings)]
    run = runs[0].config
    return {
        "id": name,
        "title": run.dataset.title,
        "label": capital(source_label(run)),
        "facts": scale_facts(run, runs[0]),
        "headline": headline(full),
        "remarks": standouts(table2, run) + ([capital(f"{left_out}.")] if left_out else []),
        "compare": papers_rows(table2),
        "headings": _headings(scale, name, own),
        "runs": [_run(result) for result in runs],
    }


def _recognized(scale: Scale, shown: list[Report]) -> dict[str, Any]:
    """Return the section on early activity recognition."""
    first = scale.recognitions[0]
    titles = dict.fromkeys(run.config.dataset.title for run in scale.recognitions)
    counts = f"{first.metrics.clips:,} test clips of {first.metrics.classes} activities"
    return {
        "id": RECOGNITION,
        "title": "Early activity recognition",
        "label": capital(source_label(first.config)),
        "facts": f"{', '.join(titles)}: {counts}.",
        "headline": recognition_headline(scale.recognitions),
        "remarks": [],
        "compare": "",
        "headings": _headings(scale, "", [report for report in shown if report.datasets is recognized]),
        "runs": [_run(result) for result in scale.recognitions],
    }


def _run(result: Any) -> dict[str, Any]:
    return {"name": result.name, "folder": _folder(result), "facts": facts_of(result)}


def _headings(scale: Scale, dataset: str, reports: list[Report]) -> list[dict[str, Any]]:
    """Return the reports under each heading, in the order of their places."""
    headings = []
    for title, members in groupby(reports, key=lambda report: report.heading or report.title):
        folded_last = sorted(members, key=lambda report: report.folded)
        items = [_item(scale, dataset, report) for report in folded_last]
        headings.append({"id": items[0]["id"], "title": title, "parts": items})
    return headings


def _item(scale: Scale, dataset: str, report: Report) -> dict[str, Any]:
    """Return a report as the templates show it."""
    stem, settings = report.stem(dataset), scale.settings
    item: dict[str, Any] = {
        "folded": report.folded,
        "plot": None,
        "id": Path(stem).name if report.suffixes else f"{report.name}_{dataset}",
        "title": report.title,
        "caption": report.caption,
        "runs": [f"{name}/{run}" for name, run in report.named_runs(settings, dataset)],
    }
    if isinstance(report, TableReport):
        document = report.read(scale, dataset, scale.folder / stem)
        links = {"CSV": f"{stem}.csv", "Markdown": f"{stem}.md"}
        tables = [shown_table(table, dataset, report.title) for table in document.tables]
        return item | {"kind": "table", "tables": tables, "notes": document.notes, "links": links}
    if isinstance(report, FigureReport):
        files = report.files(settings, dataset)
        links = {Path(name).suffix[1:].upper(): name for name in files if not name.endswith(".txt")}
        alternative = f"{report.title}. {report.alternative} Enlarge."
        text = (scale.folder / f"{stem}.svg").read_text()
        width = re.search(r'width="([\d.]+)pt"', text)
        return item | {
            "kind": "figure",
            "caption": (scale.folder / f"{stem}.txt").read_text().strip(),
            "width": round(PIXELS * float(width[1])) if width else 500,
            "wide": width is not None and float(width[1]) > 72 * WIDE,
            "plot": report.marks(scale) if report.marks else None,
            "alternative": alternative,
            "links": links,
            "pictures": report.keeps_colours,
        }
    loaded = report.load(scale, dataset)
    remarks = [f"{STARRED}."] if any(result.caveat for result in loaded) else []
    return item | {
        "kind": "scrubber",
        "frames": Markup(animation(loaded)),
        "caption": " ".join([report.caption, *remarks]),
        "link": report.files(settings, dataset)[0],
    }


def _others() -> list[Report]:
    """Return all reports but the page."""
    return [find_report(name) for name in report_names() if name != "page"]


def _reads(scale: Scale, _: str) -> list[Path]:
    """Return the files of all tables and figures."""
    return [
        scale.folder / file
        for report in _others()
        if report.folder or report.place is not None or report.name == "article"
        for dataset in report.made_for(scale.settings)
        for file in report.files(scale.settings, dataset)
    ]


def _name(settings: Settings, dataset: str) -> list[str]:
    return ["index.html"]


REPORT = FileReport(
    name="page",
    each=False,
    runs=evaluated_runs,
    reads=_reads,
    title="All tables and figures",
    make=make,
    names=_name,
)
