"""The page that shows what a scale's runs came to: results/<scale>/index.html."""

import html
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any

from convttlstm.config import Run
from convttlstm.files import UserError, write_text
from convttlstm.provenance import changed_sources
from convttlstm.reporting.costs import complexity_tables
from convttlstm.reporting.grid import grid_table, read_selection
from convttlstm.reporting.markup import to_html
from convttlstm.reporting.recognition import (
    Recognition,
    RecognitionMetrics,
    recognition_headline,
    recognition_notes,
    table1_tables,
    table3_tables,
)
from convttlstm.reporting.results import (
    Metrics,
    Provenance,
    Result,
    load_results,
    read_table,
    short_names,
    what_it_proves,
    without_short,
)
from convttlstm.reporting.table2 import (
    paper_notes,
    sequences_in_words,
    short_commit,
    table2_caption,
    table2_tables,
)
from convttlstm.reporting.table4 import table4_notes, table4_table

CAPTIONS = {
    "strip": "Every fifth frame of one test sequence, the median of those kept.",
    "gallery": "Best, median and worst of the test sequences kept, by the rule beneath the figure.",
    "figure2": "SSIM against LPIPS under the paper's protocol; bubbles grow with the parameters. "
    "Better is to the right and down.",
    "per_frame": "Means over the test sequences of each predicted frame. Training predicts no "
    "further than the dotted line.",
    "loss": "Mean absolute plus mean squared error over the outputs of a sequence. For validation "
    "no true frame is fed back; in training, one is with the probability in the lower panel.",
}
RECOGNITION = "Early activity recognition"
RECOGNITION_CAPTIONS = {
    "figure4": "What was seen, predicted and named, chosen by the rule beneath the figure.",
    "activities": "Accuracy by group of activities, the paper's rows beside ours.",
    "confusion": "What was named for each activity.",
}
GROUPS = "Means over the test sequences of each action, with 95 % intervals; the paper has no such figures."


def write_page(
    results: Path,
    runs: dict[str, list[str]],
    times: Sequence[Path],
    output: Path,
    recognised: Sequence[Recognition] = (),
) -> None:
    """Write the page beside the tables and figures that it links to.

    Args:
        results: folder of a scale, such as results/demo, with tables/ and figures/ written.
        runs: ids of evaluated runs that predict frames, in the order to show, by data set.
        times: CSV files of measured times; there may be none.
        output: the HTML file, in `results`.
        recognised: evaluated runs that recognise activities; there may be none.

    Raises:
        UserError: a run, a table or a figure is missing or damaged.
    """
    loaded = {dataset: load_results(results, dataset, names) for dataset, names in runs.items()}
    configs = [found[0].config for found in loaded.values()] + [result.config for result in recognised]
    label = configs[0].label
    titles = {dataset: found[0].config.dataset.title for dataset, found in loaded.items()}
    headlines = [html.escape(headline(without_short(found)[0])) for found in loaded.values()]
    links = [
        f'<li><a href="#{dataset}">{html.escape(title)}</a>: {said}</li>'
        for (dataset, title), said in zip(titles.items(), headlines, strict=True)
    ]
    sections = [_section(results, dataset, found) for dataset, found in loaded.items()]
    names = list(titles.values())
    if recognised:
        sections.append(_recognition(results, recognised))
        names.append(RECOGNITION)
        said = html.escape(recognition_headline(recognised))
        links.append(f'<li><a href="#recognition">{RECOGNITION}</a>: {said}</li>')
    fields = {
        "title": html.escape(f"{', '.join(names)}: {label}"),
        "contents": "\n".join([*links, '<li><a href="#complexity">Complexity</a> of all systems</li>']),
        "sections": "\n".join(sections),
        "complexity": "\n".join(map(to_html, complexity_tables(results, times))),
    }
    write_text(output, _template("page.html").substitute(fields))


def _section(results: Path, dataset: str, loaded: list[Result]) -> str:
    run = loaded[0].config
    table2 = read_table(results / "tables" / f"table2_{dataset}.csv", ["origin", "method"])
    _check_files(results, dataset)
    full, left_out = without_short(loaded)
    said = comparisons(full) + ([_sentence(f"{left_out}.")] if left_out else [])
    figures = {name: _figure(f"{name}_{dataset}", caption) for name, caption in CAPTIONS.items()}
    by_action = (results / "figures" / f"groups_{dataset}.svg").is_file()
    fields = {
        "name": html.escape(run.dataset.title),
        "proves": html.escape(_sentence(what_it_proves(run))),
        "scale": html.escape(_scale(run, loaded[0])),
        "headline": html.escape(headline(full)),
        "comparisons": _items(said),
        "compare": html.escape(table2_caption(table2)),
        "tables": "\n".join(map(to_html, table2_tables(table2))),
        "notes": _items(paper_notes(table2)),
        "table2": f"tables/table2_{dataset}",
        "dataset": dataset,
        "selection": _selection(results, dataset, run),
        "table4": _table4(results, dataset),
        "groups": _figure(f"groups_{dataset}", GROUPS) if by_action else "",
        "runs": "\n".join(map(_run_details, loaded)),
    }
    return _template("section.html").substitute(fields | figures)


def _recognition(results: Path, loaded: Sequence[Recognition]) -> str:
    run = loaded[0].config
    table1 = read_table(results / "tables/table1.csv", ["origin", "method", "group"])
    table3 = read_table(results / "tables/table3.csv", ["origin", "method", "top1"])
    titles = dict.fromkeys(result.config.dataset.title for result in loaded)
    fields = {
        "proves": html.escape(_sentence(what_it_proves(run))),
        "data": html.escape(", ".join(titles)),
        "clips": f"{loaded[0].metrics.clips:,}",
        "classes": str(loaded[0].metrics.classes),
        "headline": html.escape(recognition_headline(loaded)),
        "table1": "\n".join(map(to_html, table1_tables(table1))),
        "table3": "\n".join(map(to_html, table3_tables(table3))),
        "notes": _items(recognition_notes(table1) + recognition_notes(table3)),
        "runs": "\n".join(_facts(r.config, r.metrics, r.provenance, r.config.title) for r in loaded),
    }
    fields |= {name: _figure(name, caption) for name, caption in RECOGNITION_CAPTIONS.items()}
    return _template("recognition.html").substitute(fields)


def _template(name: str) -> Template:
    return Template(resources.files(__package__).joinpath(name).read_text())


def headline(results: list[Result]) -> str:
    """Return whether every trained model beats the predictions that need no training.

    A model beats another prediction where its 95 % interval of MSE lies wholly below the other's.
    """
    trained, trivial = _parted(results)
    if not trained or not trivial:
        return "Nothing is compared: that takes a trained model and a prediction without training."
    names = " and ".join(result.config.title.lower() for result in trivial)
    horizons = results[0].config.dataset.test_horizons
    if all(_beats(r, other, h) for r in trained for other in trivial for h in horizons):
        return f"At every horizon, each trained model's MSE interval lies below those of {names}."
    return f"Not every trained model's MSE interval lies below those of {names}."


def comparisons(results: list[Result]) -> list[str]:
    """Return for each horizon every run's MSE, and what each trained model beats."""
    trained, trivial = _parted(results)
    names = dict(zip((r.config.id for r in results), short_names(results), strict=True))
    dataset, lines = results[0].config.dataset, []
    for horizon in dataset.test_horizons:
        parts = [f"{names[r.config.id]} {_mse(r, horizon)}" for r in trivial]
        for result in trained:
            beaten = [names[r.config.id].lower() for r in trivial if _beats(result, r, horizon)]
            beats = f"beats {' and '.join(beaten)}" if beaten else "beats neither"
            said = f" ({beats})" if trivial else ""
            parts.append(f"{names[result.config.id]} {_mse(result, horizon)}{said}")
        lines.append(f"MSE x 1000, {dataset.context} → {horizon} frames: {'; '.join(parts)}.")
    return lines


def _parted(results: list[Result]) -> tuple[list[Result], list[Result]]:
    trained = [result for result in results if result.config.trained]
    return trained, [result for result in results if not result.config.trained]


def _beats(result: Result, other: Result, horizon: int) -> bool:
    ours, theirs = (r.metrics.horizons[horizon]["mse"] for r in (result, other))
    return ours.high < theirs.low


def _mse(result: Result, horizon: int) -> str:
    mse = result.metrics.horizons[horizon]["mse"]
    return f"{mse.mean * 1e3:.2f} [{mse.low * 1e3:.2f}, {mse.high * 1e3:.2f}]"


def _check_files(results: Path, dataset: str) -> None:
    names = [f"tables/table2_{dataset}.md", f"tables/table2_{dataset}.tex"]
    names += [f"tables/complexity.{suffix}" for suffix in ("csv", "md", "tex")]
    names += [f"figures/example_{dataset}.gif"]
    names += [f"figures/{name}_{dataset}.{suffix}" for name in CAPTIONS for suffix in ("svg", "png")]
    for name in names:
        if not (results / name).is_file():
            raise UserError(f"{results / name}: no such file; write it before the page")


def _scale(run: Run, result: Result) -> str:
    training, size, test_size = run.training, run.dataset.size, run.dataset.test_size
    resized = f", resized to {test_size} x {test_size} for evaluation" if test_size != size else ""
    facts = (
        f"Frames of {size} x {size} pixels{resized}; {training.epochs} epochs of "
        f"{training.samples_per_epoch:,} samples; test sequences: "
        f"{sequences_in_words(result.metrics.sequences)}."
    )
    if run.scale == "paper" and not run.dataset.stand_in:
        return facts
    return (
        f"{facts} It shows that the whole way works, from data to table: the same rules and code "
        "run at the paper's scale. Its figures neither confirm nor refute the paper's."
    )


def _figure(name: str, caption: str) -> str:
    path = f"figures/{name}"
    return (
        f'<figure class="drawing"><a href="{path}.svg"><img src="{path}.svg" '
        f'alt="{html.escape(caption)}"></a>\n<figcaption>{html.escape(caption)} '
        f'(<a href="{path}.svg">SVG</a>, <a href="{path}.png">PNG</a>)</figcaption></figure>'
    )


def _table4(results: Path, dataset: str) -> str:
    path = results / "tables" / f"table4_{dataset}.csv"
    if not path.is_file():
        return ""
    table = read_table(path, ["origin", "filters", "order"])
    notes = (
        "<details><summary>Notes on the paper's rows</summary>"
        f"<ul>\n{_items(table4_notes(table))}\n</ul></details>"
    )
    links = ", ".join(
        f'<a href="tables/table4_{dataset}.{suffix}">{name}</a>'
        for suffix, name in (("csv", "CSV"), ("md", "Markdown"), ("tex", "LaTeX"))
    )
    shown = to_html(table4_table(table))
    heading = f'<h3 id="table4_{dataset}">Table 4</h3>'
    return f'{heading}\n{shown}\n{notes}\n<p class="files">The same as {links}.</p>'


def _selection(results: Path, dataset: str, run: Run) -> str:
    if not (results / "selection" / f"{dataset}.json").is_file():
        return ""
    selection = read_selection(results, dataset)
    drawn = _figure(f"grid_{dataset}", "Validation losses over the grid.") if selection.ranking[1:] else ""
    return to_html(grid_table(selection, run.dataset.title, run.label)) + drawn


def _run_details(result: Result) -> str:
    more = {"LPIPS weights": result.metrics.lpips_weights or "none: LPIPS was not computed"}
    return _facts(result.config, result.metrics, result.provenance, result.name, more)


def _facts(
    run: Run,
    metrics: Metrics | RecognitionMetrics,
    provenance: Provenance | None,
    name: str,
    more: Mapping[str, str] = MappingProxyType({}),
) -> str:
    evaluated = metrics.evaluated_by
    facts: dict[str, Any] = {"Run": run.id, "Parameters": f"{metrics.parameters:,}"}
    if provenance:
        facts |= {
            "Trained by": provenance.command,
            "Commit": short_commit(provenance.commit, provenance.uncommitted_changes),
            "Source": provenance.source_digest,
            "Changed since": ", ".join(changed_sources(provenance.sources)) or "none of the files it ran",
            "Weights": provenance.weights_sha256,
            "Device": provenance.device,
            "Threads": provenance.threads,
            "Precision": provenance.precision,
            "Epochs": provenance.epochs,
            "Minutes for 10,000 samples": f"{provenance.minutes_per_10000_samples:.2f}",
            "Interruptions": provenance.interruptions,
            "Repeatable bit for bit": "yes" if provenance.bit_exact else "no",
            "Versions": _pairs(provenance.versions),
        }
        facts |= {f"Data, {split}": checksum for split, checksum in provenance.data.items()}
    facts |= {
        "Evaluated by": evaluated.command,
        "at commit": short_commit(evaluated.commit, evaluated.uncommitted_changes),
        "on": evaluated.device,
        "with": _pairs(evaluated.versions),
        **more,
    }
    rows = [f"<dt>{html.escape(k)}</dt><dd>{html.escape(str(v))}</dd>" for k, v in facts.items()]
    summary = html.escape(name)
    return f"<details><summary>{summary}</summary><dl>\n" + "\n".join(rows) + "\n</dl></details>"


def _pairs(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _items(texts: list[str]) -> str:
    return "\n".join(f"<li>{html.escape(text)}</li>" for text in texts)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
