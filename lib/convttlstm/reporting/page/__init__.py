"""The page that shows what a scale's runs came to: results/<scale>/index.html, complete in one file."""

import html
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from string import Template

import pandas as pd

from convttlstm.config import Run
from convttlstm.files import UserError, write_text
from convttlstm.reporting.costs import complexity_tables
from convttlstm.reporting.grid import grid_table, read_selection
from convttlstm.reporting.markup import to_html
from convttlstm.reporting.page.embedding import drawing, sheet
from convttlstm.reporting.page.provenance import folder_of, made_from, run_details
from convttlstm.reporting.page.verdicts import COLUMNS, verdicts
from convttlstm.reporting.recognition import (
    Recognition,
    recognition_headline,
    recognition_notes,
    table1_tables,
    table3_tables,
)
from convttlstm.reporting.results import (
    STARRED,
    Result,
    load_results,
    read_table,
    seed_by_seed,
    what_it_proves,
    without_short,
)
from convttlstm.reporting.runtime import read_runtime, runtime_table
from convttlstm.reporting.table2 import (
    metric_cell,
    paper_notes,
    runs_of,
    sequences_in_words,
    table2_caption,
    table2_tables,
)
from convttlstm.reporting.table4 import table4_notes, table4_table

# What each figure is called, what it says and, for those who do not see it, what is drawn.
FIGURES = {
    "strip": (
        "Film strip",
        "Every fifth frame of one test sequence, the median of those kept.",
        "Rows of frames: the truth on top, beneath it what each system predicted.",
    ),
    "gallery": (
        "Gallery",
        "Best, median and worst of the test sequences kept, by the rule beneath the figure.",
        "Three film strips beneath each other, each with the truth on top and the predictions below.",
    ),
    "figure2": (
        "SSIM against LPIPS",
        "Under the paper's protocol; bubbles grow with the parameters. Better is to the right and down.",
        "Bubbles, one for each system, in a panel for each horizon; Table 2 has their figures.",
    ),
    "per_frame": (
        "Curves by frame",
        "Means over the test sequences of each predicted frame. Training predicts no further than the "
        "dotted line.",
        "Lines that show, for each system, how its predictions get worse from frame to frame.",
    ),
    "seeds": (
        "Every training",
        "Each training of the systems of Tables 2 and 4 as a dot, beside the mean and its 95 % interval "
        "over trainings and test sequences.",
        "Dots and intervals, one line for each system, in panels for each metric and horizon.",
    ),
    "protocols": (
        "Both metric protocols",
        "The systems in the order of SSIM and of LPIPS under the paper's protocol, left, and under the "
        "standard one, right: where lines cross, systems change places.",
        "Lines from each system's place under one protocol to its place under the other; Table 2 has both.",
    ),
    "loss": (
        "Loss curves",
        "Mean absolute plus mean squared error over the outputs of a sequence. For validation no true "
        "frame is fed back; in training, one is with the probability in the lower panel.",
        "Lines that show the loss of each training by epoch, and the sampling ratio beneath.",
    ),
}
GROUPS = (
    "By action",
    "Means over the test sequences of each action, with 95 % intervals; the paper has no such figures.",
    "Points with intervals for each action and system, in panels for PSNR, SSIM and LPIPS.",
)
COSTS = {
    "complexity": (
        "The cost of the order",
        "Counted multiplications and parameters against the order N at Table 2's size: Conv-TT-LSTM by "
        "Algorithm 2, and Eq. 7 with equal and with growing kernels.",
        "Three lines in two panels: one grows little, one evenly, one ever faster.",
    ),
    "runtime": (
        "Multiplications and run-time",
        "Conv-TT-LSTM's ratio to ConvLSTM in counts (circles) and times (squares), the paper's hollow, ours "
        "solid. Ratios compare across devices, minutes do not.",
        "Marks on a scale of ratios, one for each count and time; the table above has the figures.",
    ),
}
GRID = (
    "Heat map",
    "Validation losses over the grid.",
    "Squares coloured by validation loss, one for each configuration tried; the table has the figures.",
)
RECOGNITION = "Early activity recognition"
RECOGNITION_FIGURES = {
    "figure4": (
        "Seen, predicted, named",
        "Chosen by the rule beneath the figure.",
        "Rows of frames of clips, with the activity that was shown and the one that was named.",
    ),
    "activities": (
        "Accuracy by group of activities",
        "The paper's rows beside ours.",
        "Points with intervals for each group of activities and system; Table 1 has the figures.",
    ),
    "confusion": (
        "Confusion",
        "What was named for each activity.",
        "Squares, one for each pair of an activity shown and an activity named, darker where more clips are.",
    ),
}


def write_page(
    results: Path,
    runs: dict[str, list[str]],
    times: Sequence[Path],
    output: Path,
    recognised: Sequence[Recognition] = (),
) -> None:
    """Write the page. It holds its figures, animations and data, and links to the files beside it.

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
    claims = read_table(results / "tables/claims.csv", COLUMNS)
    every = {dataset: _with_ablations(results, found) for dataset, found in loaded.items()}
    sections = [_section(results, dataset, found, every[dataset]) for dataset, found in loaded.items()]
    titles = {dataset: found[0].config.dataset.title for dataset, found in loaded.items()}
    if recognised:
        sections.append(_recognition(results, recognised))
        titles["recognition"] = RECOGNITION
    links = {"verdicts": "Which claims hold"} | titles | {"complexity": "Complexity"}
    configs = [found[0].config for found in loaded.values()] + [result.config for result in recognised]
    origins = {folder_of(result) for found in every.values() for result in found}
    origins |= {folder_of(result) for result in recognised}
    fields = {
        "title": html.escape(f"{', '.join(titles.values())}: {configs[0].label}"),
        "css": _file("page.css"),
        "js": _file("page.js"),
        "contents": "\n".join(
            f'<li><a href="#{id}">{html.escape(name)}</a></li>' for id, name in links.items()
        ),
        "proves": _items(dict.fromkeys(_sentence(f"{what_it_proves(run)}.") for run in configs)),
        "verdicts": verdicts(claims, what_it_proves(configs[0]), origins),
        "sections": "\n".join(sections),
        "complexity": "\n".join(map(to_html, complexity_tables(results, times))),
        "runtime": to_html(runtime_table(read_runtime(results), configs[0].label)),
        "costs": "\n".join(_figure(results, name, texts) for name, texts in COSTS.items()),
    }
    write_text(output, Template(_file("page.html")).substitute(fields))


def _section(results: Path, dataset: str, loaded: list[Result], every: list[Result]) -> str:
    run = loaded[0].config
    table2 = read_table(results / "tables" / f"table2_{dataset}.csv", ["origin", "method"])
    _check_files(results, dataset)
    full, left_out = without_short(loaded)
    figures = {name: _figure(results, f"{name}_{dataset}", texts, loaded) for name, texts in FIGURES.items()}
    by_action = (results / "figures" / f"groups_{dataset}.svg").is_file()
    firsts = [runs[0] for runs in seed_by_seed(loaded)]
    remarks = ["Of each system the first of its trainings is shown."] if len(firsts) < len(loaded) else []
    remarks += [f"{STARRED}."] if any(result.caveat for result in firsts) else []
    fields = {
        "name": html.escape(run.dataset.title),
        "proves": html.escape(_sentence(what_it_proves(run))),
        "scale": html.escape(_scale(run, loaded[0])),
        "headline": html.escape(headline(full)),
        "standouts": _items(standouts(table2, run) + ([_sentence(f"{left_out}.")] if left_out else [])),
        "compare": html.escape(table2_caption(table2)),
        "tables": "\n".join(to_html(table, dataset) for table in table2_tables(table2)),
        "notes": _items(paper_notes(table2)),
        "table2": f"tables/table2_{dataset}",
        "dataset": dataset,
        "animation": animation(loaded),
        "animated": " ".join(remarks),
        "origin": made_from(firsts),
        "selection": _selection(results, dataset, run, loaded),
        "table4": _table4(results, dataset),
        "groups": _figure(results, f"groups_{dataset}", GROUPS, loaded) if by_action else "",
        "runs": "\n".join(map(run_details, every)),
    }
    return Template(_file("section.html")).substitute(fields | figures)


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
        "runs": "\n".join(map(run_details, loaded)),
    }
    fields |= {name: _figure(results, name, texts, loaded) for name, texts in RECOGNITION_FIGURES.items()}
    return Template(_file("recognition.html")).substitute(fields)


def _file(name: str) -> str:
    """Return the text of a template, the style sheet or the script, which lie beside this file."""
    return resources.files(__package__).joinpath(name).read_text()


def _with_ablations(results: Path, loaded: list[Result]) -> list[Result]:
    """Return the runs and those that Table 4, if there is one, shows besides."""
    dataset = loaded[0].config.dataset_name
    path = results / "tables" / f"table4_{dataset}.csv"
    if not path.is_file():
        return loaded
    known = {result.config.id for result in loaded}
    rows = [row for _, row in read_table(path, ["origin", "runs"]).iterrows()]
    more = [run for run in dict.fromkeys(run for row in rows for run in runs_of(row)) if run not in known]
    return loaded + (load_results(results, dataset, more) if more else [])


def animation(loaded: list[Result]) -> str:
    """Return, as JSON that page.js reads, the frames of the best, the median and the worst kept sequence.

    Of each system the first training is shown. `size` is width and height in pixels; `examples` hold
    sheets of frames, see `sheet`: the truth with the input, and each prediction without it.

    Raises:
        UserError: examples.npz or the reference's per_sequence.csv is missing or damaged.
    """
    # Imported here, as that module also draws, and the other parts of the page need no matplotlib.
    from convttlstm.reporting.strips import choose_strips

    strips, _ = choose_strips([runs[0] for runs in seed_by_seed(loaded)], ["best", "median", "worst"])
    frames, _, height, width = strips[0].truth.shape
    examples = []
    for strip in {strip.head.partition(": ")[2]: strip for strip in strips}.values():
        predictions = [[name, sheet(shown)] for name, shown in strip.predictions]
        examples.append({"head": strip.head, "truth": sheet(strip.truth), "predictions": predictions})
    content = {
        "context": loaded[0].config.dataset.context,
        "frames": frames,
        "size": [width, height],
        "first": len(examples) // 2,
        "examples": examples,
    }
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")


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


def standouts(table2: pd.DataFrame, run: Run) -> list[str]:
    """Return for each horizon which trained system has the lowest MSE, and what needs no training reaches.

    Args:
        table2: Table 2's CSV, read as text; rows that are one of several trainings are left out.
        run: of the table's data set.
    """
    rows = table2[(table2["origin"] == "reproduced") & (table2["part_of"] == "")]
    rows = rows[~rows["caveat"].str.contains("updates only")]
    lines = []
    for horizon in run.dataset.test_horizons:
        column = f"mse_x1e3_{horizon}"
        own = rows[rows[column].map(_is_number)].sort_values(column, key=lambda cells: cells.astype(float))
        said = {row["method"]: f"{row['method']}: {metric_cell(row, column)}" for _, row in own.iterrows()}
        trained = own[own["seed"].ne("") | own["seeds"].ne("1")]["method"]
        parts = [f"the lowest is {said[trained.iloc[0]]}"] if len(trained) else []
        parts += [text for method, text in said.items() if method not in set(trained)]
        lines.append(f"MSE x 1000, {run.dataset.context} → {horizon} frames: {'; '.join(parts)}.")
    return lines


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace("e-", "", 1).isdigit()


def _parted(results: list[Result]) -> tuple[list[Result], list[Result]]:
    trained = [result for result in results if result.config.trained]
    return trained, [result for result in results if not result.config.trained]


def _beats(result: Result, other: Result, horizon: int) -> bool:
    ours, theirs = (r.metrics.horizons[horizon]["mse"] for r in (result, other))
    return ours.high < theirs.low


def _check_files(results: Path, dataset: str) -> None:
    names = [f"tables/table2_{dataset}.md", f"tables/table2_{dataset}.tex"]
    names += [f"tables/complexity.{suffix}" for suffix in ("csv", "md", "tex")]
    names += [f"figures/example_{dataset}.gif"]
    names += [f"figures/{name}_{dataset}.svg" for name in FIGURES]
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
    if run.judges_claims and not run.dataset.stand_in:
        return f"{facts} Comparisons made here are evidence for this scale; whether they carry over is open."
    return (
        f"{facts} It shows that the whole way works, from data to table: the same rules and code "
        "run at the paper's scale. Its figures neither confirm nor refute the paper's."
    )


def _figure(
    results: Path, name: str, texts: tuple[str, str, str], made_of: Sequence[Result | Recognition] = ()
) -> str:
    """Return a figure that can be enlarged, with links to its files and to the runs that it shows."""
    title, caption, seen = map(html.escape, texts)
    stem = f"figures/{name}"
    source = drawing(results / f"{stem}.svg")
    files = ", ".join(
        f'<a href="{stem}.{suffix}">{suffix.upper()}</a>'
        for suffix in ("svg", "pdf", "png")
        if (results / f"{stem}.{suffix}").is_file()
    )
    origin = f"; {made_from(made_of)}" if made_of else ""
    return (
        f'<figure class="drawing"><a class="enlarge" href="{stem}.svg">'
        f'<img src="{source}" alt="{title}. {seen} Enlarge."></a>\n'
        f"<figcaption><b>{title}.</b> {caption} ({files}{origin})</figcaption></figure>"
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
    shown = to_html(table4_table(table), dataset)
    heading = f'<h3 id="table4_{dataset}">Table 4</h3>'
    return f'{heading}\n{shown}\n{notes}\n<p class="files">The same as {links}.</p>'


def _selection(results: Path, dataset: str, run: Run, loaded: list[Result]) -> str:
    if not (results / "selection" / f"{dataset}.json").is_file():
        return ""
    selection = read_selection(results, dataset)
    drawn = _figure(results, f"grid_{dataset}", GRID, loaded) if selection.ranking[1:] else ""
    return to_html(grid_table(selection, run.dataset.title, run.label)) + drawn


def _items(texts: Iterable[str]) -> str:
    return "\n".join(f"<li>{html.escape(text)}</li>" for text in texts)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
