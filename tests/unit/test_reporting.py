"""Tables, figures, animation and page, from a small made-up results folder."""

import io
import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from markupsafe import escape
from PIL import Image, ImageSequence

from convttlstm.animation import BORDER, GAP, HEAD
from convttlstm.config import Settings, load_settings
from convttlstm.files import UserError
from convttlstm.markup import Row, Table, latex, to_latex, to_markdown
from convttlstm.reporting import find_reports
from convttlstm.reporting.answers import answers
from convttlstm.reporting.drawing import spread
from convttlstm.reporting.exports.article import write_pdf
from convttlstm.reporting.page import ENVIRONMENT
from convttlstm.reporting.page.scrubber import animation, sheet
from convttlstm.reporting.page.tables import shown as shown_table
from convttlstm.reporting.page.texts import headline, standouts
from convttlstm.reporting.replication import draw_claims, marks_of
from convttlstm.reporting.runs import short_names, without_short
from convttlstm.reporting.tables.claims import COLUMNS, SHAPES
from convttlstm.reporting.tables.grid import grid_table
from convttlstm.results import Scale, Selection, read_table
from tests.made_up_runs import (
    COMMAND,
    DATASET,
    PAPER,
    ROOT,
    RUNS,
    SELECTION,
    make_results,
    make_run,
    moving_square,
    point,
    write_claims,
)
from tests.reports import load_results, write_all, write_page, write_report


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = make_results(tmp_path_factory.mktemp("made") / "demo")
    write_all(results)
    return results


def table2(results: Path, suffix: str) -> str:
    return (results / f"tables/table2_{DATASET}{suffix}").read_text()


def metrics_of(results: Path, run: str) -> dict[str, Any]:
    path = results / "runs" / DATASET / run / "metrics.json"
    return dict(json.loads(path.read_text()))


def test_csv_holds_the_numbers_of_metrics_json(results: Path) -> None:
    table = pd.read_csv(results / f"tables/table2_{DATASET}.csv").set_index("run")
    for run in RUNS:
        for horizon, metrics in metrics_of(results, run)["horizons"].items():
            for name, interval in metrics.items():
                scaled = name.startswith(("mse", "lpips"))
                column = f"{name}_x1e3_{horizon}" if scaled else f"{name}_{horizon}"
                found = table.loc[run, [column, f"{column}_low", f"{column}_high"]].astype(float)
                expected = np.array(list(interval.values())) * (1e3 if scaled else 1)
                np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_markdown_holds_the_numbers_of_metrics_json(results: Path) -> None:
    lines = [x for x in table2(results, ".md").splitlines() if x.startswith("| Conv-TT-LSTM, seed 0")]
    paper_protocol, standard = ([c.strip() for c in x.strip("|").split("|")] for x in lines[:2])
    metrics = metrics_of(results, "conv_tt_lstm-seed0")["horizons"]
    shown = [re.findall(r"[\d.]+", cell) for cell in paper_protocol[2:8] + standard[2:]]
    columns = [("mse", 1e3), ("ssim_paper", 1), ("lpips_paper", 1e3)] * 2
    columns += [("psnr", 1), ("ssim_standard", 1), ("lpips_standard", 1e3)] * 2
    horizons = ["10"] * 3 + ["30"] * 3 + ["10"] * 3 + ["30"] * 3
    assert len(shown) == len(columns)
    for cell, (name, scale), horizon in zip(shown, columns, horizons, strict=True):
        for text, value in zip(cell, metrics[horizon][name].values(), strict=True):
            digits = len(text.partition(".")[2])
            assert float(text) == pytest.approx(value * scale, abs=0.5001 * 10**-digits)


def test_the_papers_row_is_as_printed(results: Path) -> None:
    markdown = table2(results, ".md")
    row = next(x for x in markdown.splitlines() if x.startswith("| Conv-TT-LSTM (Ours) "))
    cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
    # Best in bold, second best in italics. Then differences, parameters, FLOPs, minutes.
    best = ["*12.96*", "**0.915**", "**40.54**", "*25.81*", "**0.840**", "**90.38**"]
    assert cells == ["paper", *best, "-", "-", "2.69M", "10.76 G", "29.6"]
    assert "27.87" not in markdown  # that is KTH's


def test_differences_are_to_the_baseline_on_the_same_sequences(results: Path) -> None:
    table = read_table(results / f"tables/table2_{DATASET}.csv", ["run"]).set_index("run")
    for horizon in (10, 30):
        values = []
        for run in ("conv_tt_lstm-seed0", "conv_lstm-seed0"):
            each = pd.read_csv(results / "runs" / DATASET / run / "per_sequence.csv")
            values.append(1e3 * each[each["horizon"] == horizon]["mse"].mean())
        found = table.loc["conv_tt_lstm-seed0", f"mse_x1e3_{horizon}_to_baseline"]
        assert float(found) == pytest.approx(values[0] - values[1], rel=1e-4)
    assert table.loc["conv_lstm-seed0", "mse_x1e3_10_to_baseline"] == ""
    # The fixture counts 348,000,000 multiplications at 64 x 64 pixels; the demo's frames have 32 x 32.
    assert int(table.loc["conv_lstm-seed0", "multiplications"]) == 348_000_000 // 4


def test_a_demo_says_that_it_is_not_comparable(results: Path) -> None:
    for suffix in (".md", ".tex"):
        assert "Demo scale: shows nothing about the paper." in table2(results, suffix)
        assert "they are not comparable" in table2(results, suffix)
    page = (results / "index.html").read_text()
    assert "Demo scale: shows nothing about the paper." in page


def test_rows_name_commit_sequences_and_commands(results: Path) -> None:
    markdown = table2(results, ".md")
    assert f"trained by `{COMMAND}`" in markdown
    assert "evaluated by `convttlstm evaluate black`" in markdown
    assert "seed 0; commit 0123456789; test sequences: 200" in markdown


def test_paper_scale_says_that_it_is_comparable(tmp_path: Path) -> None:
    results = make_results(tmp_path / "paper", scale="paper")
    write_all(results, scale="paper")
    assert "Paper scale. The paper's rows are at the same scale." in table2(results, ".md")
    assert "shows nothing" not in (results / "index.html").read_text()


def test_without_lpips_tables_and_figures_say_so(tmp_path: Path) -> None:
    results = make_results(tmp_path / "demo", lpips=False)
    write_all(results)
    table = pd.read_csv(results / f"tables/table2_{DATASET}.csv").set_index("run")
    assert table.loc["black", "lpips_paper_x1e3_10"] == "not computed"
    for suffix in (".md", ".tex"):
        assert table2(results, suffix).count("not computed") == 2 * 2 * len(RUNS)


def test_rows_name_settings_and_seeds(tmp_path: Path) -> None:
    runs = ["black", "conv_tt_lstm-seed0", "conv_tt_lstm-N2-seed1"]
    results = make_results(tmp_path / "demo", runs)
    write_report("table2", results, DATASET, runs, results / f"tables/table2_{DATASET}")
    assert "| Conv-TT-LSTM, N = 2, seed 1 " in table2(results, ".md")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: shutil.rmtree(folder), "config.json: no such file"),
        (lambda folder: (folder / "metrics.json").unlink(), "metrics.json: no such file"),
        (
            lambda folder: (folder / "metrics.json").write_text('{"run": '),
            "metrics.json: not valid",
        ),
        (lambda folder: (folder / "metrics.json").write_text("{}"), "metrics.json: run: Field req"),
        (lambda folder: (folder / "per_frame.csv").write_text("a,b\n1\n2,3,4"), "not a valid CSV"),
        (lambda folder: (folder / "history.csv").write_text("epoch\n"), "no column 'train_loss'"),
        (lambda folder: (folder / "provenance.json").unlink(), "provenance.json: no such file"),
    ],
)
def test_a_bad_run_gives_one_line_and_no_output(tmp_path: Path, spoil: Any, says: str) -> None:
    spoil(make_run(tmp_path, "conv_lstm-seed0"))
    with pytest.raises(UserError) as error:
        write_report("table2", tmp_path, DATASET, ["conv_lstm-seed0"], tmp_path / "out/t")
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_another_runs_metrics_are_refused(tmp_path: Path) -> None:
    black, copy_last = (make_run(tmp_path, run) for run in RUNS[:2])
    shutil.copy(black / "metrics.json", copy_last / "metrics.json")
    with pytest.raises(UserError, match="evaluate the run again"):
        load_results(tmp_path, DATASET, ["copy_last"])


def test_loss_curves_need_a_trained_run(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no loss to draw"):
        write_report("loss", results, DATASET, RUNS[:2], tmp_path / "loss")


def test_the_page_needs_its_figures(tmp_path: Path) -> None:
    results = make_results(tmp_path / "demo")
    write_report("table2", results, DATASET, RUNS, results / f"tables/table2_{DATASET}")
    write_claims(results)
    with pytest.raises(UserError, match="make it before the page"):
        write_page(results)


def test_reports_are_the_same_byte_for_byte(results: Path, tmp_path: Path) -> None:
    again = make_results(tmp_path / "demo")
    write_all(again)
    written = [p.relative_to(again) for p in again.rglob("*") if p.suffix != ".npz" and p.is_file()]
    assert {".csv", ".md", ".tex", ".svg", ".pdf", ".gif", ".html"} <= {p.suffix for p in written}
    for path in written:
        assert (again / path).read_bytes() == (results / path).read_bytes(), path


def test_special_characters_of_latex_are_escaped() -> None:
    assert latex(r"a_b & 100% #1 $x^2$ {\y} ~") == (
        r"a\_b \& 100\% \#1 \$x\textasciicircum{}2\$ \{\textbackslash{}y\} $\sim$"
    )


def test_latex_table_has_no_stray_special_characters(results: Path) -> None:
    text = table2(results, ".tex")
    assert r"a\_\allowbreak{}b \& 100\% \#1" in text
    for line in text.splitlines()[1:]:
        assert not re.search(r"(?<!\\)[#_^]", line), line
        if "&" in line and not line.startswith(r"\\ "):
            assert line.endswith((r"\\", r"\\[2pt]")), line


def test_markup_escapes_in_every_form() -> None:
    table = Table("T", "N <b>", [("g", "A"), ("g", "B")], "lr", [Row(["a|b", "<1>&2"], ours=True)])
    assert r"| a\|b | <1>&2 |" in to_markdown(table)
    macros = ENVIRONMENT.get_template("macros.html").module
    shown = macros.table(shown_table(table, "", ""))  # type: ignore[attr-defined]
    assert "&lt;1&gt;&amp;2" in shown and "N &lt;b&gt;" in shown
    assert r"a\textbar{}b & \textless{}1\textgreater{}\&2 \\" in to_latex(table)


def test_a_name_on_the_page_is_not_broken_inside_an_equation() -> None:
    table = Table("T", "", [("", "Method"), ("", "MSE ↓")], "lr", [Row(["N = 1, M = 5", "1"], ours=True)])
    shown = shown_table(table, "", "")
    [(_, [row])] = shown["bodies"]
    assert [part.split() for part in row["name"].split(" ")] == [["N", "=", "1,"], ["M", "=", "5"]]
    assert shown["columns"][1]["name"].split(" ") == ["MSE\N{NO-BREAK SPACE}↓"]


def test_the_grid_has_winners_apart_from_other_configurations() -> None:
    """A winner that is first makes two blocks, and none of them is the paper's."""
    second = point("conv_tt_lstm-C2-seed0", 0.12, S=5, N=3, C=2, M=3)
    ranked = SELECTION | {"ranking": [*SELECTION["ranking"], second]}
    table = grid_table(Selection.model_validate(ranked), "Moving-MNIST-2", "demo scale")
    assert [title for title, _ in table.bodies()] == ["Winners", "Other configurations"]


def test_complexity_shows_counts_next_to_the_papers_arithmetic(results: Path) -> None:
    rows = [x for x in (results / "tables/complexity.md").read_text().splitlines() if "3,973,201" in x]
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert cells[3:6] == ["16.27 G", "61 MiB", "15.88 G"]
    assert cells[6:] == ["57.19 G", "214 MiB", "55.83 G", "65.00 G", "238 MiB"]


def test_gif_shows_the_input_then_truth_and_predictions(results: Path) -> None:
    truth = moving_square(30)[0, :, 0]
    with Image.open(results / f"figures/example_{DATASET}.gif") as gif:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)]
    assert len(frames) == 40
    assert (results / f"figures/example_{DATASET}.gif").stat().st_size < 500_000
    top, side, zoom = HEAD + BORDER, 160 + 2 * BORDER, 5
    for t, frame in enumerate(frames):
        for panel in range(4):  # truth and all but black
            left = GAP + panel * (side + GAP) + BORDER
            shown = frame[top : top + 160 : zoom, left : left + 160 : zoom, 0].astype(int)
            expected = truth[t] // 2 if panel and t >= 10 else truth[t]
            assert abs(shown - expected).max() <= 8  # one of 32 greys
            red, _, blue = frame[HEAD + 1, left].astype(int)
            assert (red > blue) == (t >= 10)


def test_reports_use_the_names_of_the_current_settings(results: Path) -> None:
    """A changed title or label trains and evaluates nothing again, and still reaches the reports."""
    content = load_settings(ROOT / "config/demo.yaml").model_dump()
    content["label"], content["systems"]["conv_lstm"]["title"] = "my scale", "Mine"
    run = Scale("demo", Settings.model_validate(content), results).result(DATASET, "conv_lstm-seed0")
    assert (run.config.label, run.config.title) == ("my scale", "Mine")


def test_gif_refuses_a_damaged_file(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "copy_last")
    whole = (folder / "examples.npz").read_bytes()
    (folder / "examples.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged"):
        write_report("example", tmp_path, DATASET, ["copy_last"], tmp_path)
    assert not (tmp_path / "figures").exists()


def test_headline_follows_the_intervals(results: Path) -> None:
    loaded = load_results(results, DATASET, RUNS)
    assert headline(loaded).endswith(
        "each fully trained model's MSE interval lies below those of all black and copy last frame."
    )

    # Let ConvLSTM's interval touch black's at the longer horizon only.
    mse = loaded[2].metrics.horizons[30]
    mse["mse"] = mse["mse"].model_copy(update={"high": loaded[0].metrics.horizons[30]["mse"].low})
    assert headline(loaded).endswith("copy last frame, except ConvLSTM (baseline).")
    mse = loaded[3].metrics.horizons[10]
    mse["mse"] = mse["mse"].model_copy(update={"high": 1.0})
    assert headline(loaded).startswith("At 10 and 30 frames no fully trained model's MSE interval lies below")


def test_standouts_are_the_lowest_mse_and_the_naive_predictions(results: Path) -> None:
    table = read_table(results / f"tables/table2_{DATASET}.csv", ["run"])
    run = load_results(results, DATASET, RUNS)[0].config
    for line, horizon in zip(standouts(table, run), (10, 30), strict=True):
        mse = {name: metrics_of(results, name)["horizons"][str(horizon)]["mse"]["mean"] for name in RUNS}
        black, copied, _, ours = (f"{1e3 * mse[name]:.2f} [" for name in RUNS)
        assert min(mse, key=lambda name: mse[name]) == RUNS[-1]
        assert line.startswith(
            f"MSE x 1000, 10 → {horizon} frames: Table 2's trained model with the lowest MSE is "
        )
        assert f" is Conv-TT-LSTM, seed 0: {ours}" in line
        assert f"All black: {black}" in line and f"Copy last frame: {copied}" in line


def test_standouts_leave_out_shortened_runs(short_results: tuple[Path, list[str]]) -> None:
    results, runs = short_results
    write_report("table2", results, DATASET, [*runs, "ctt_1x1-seed0"], results / "t")
    table = read_table(results / "t.csv", ["run"])
    said = standouts(table, load_results(results, DATASET, RUNS)[0].config)
    assert "updates only" in "".join(table["caveat"])
    assert all("VPN" not in line and "1x1" not in line for line in said)


@pytest.fixture
def short_results(tmp_path: Path) -> tuple[Path, list[str]]:
    """The usual runs, one of a few updates, and one of those evaluated on a few sequences too."""
    results = make_results(tmp_path / "demo")
    make_run(results, "ctt_1x1-seed0")
    make_run(results, "vpn-seed0", sequences=8)
    return results, [*RUNS, "vpn-seed0"]


def test_shortened_runs_are_marked_and_left_out_of_figures(short_results: tuple[Path, list[str]]) -> None:
    results, runs = short_results
    write_all(results, runs)
    assert "| here, 20 updates only, 8 sequences only |" in table2(results, ".md")
    assert "<small>20 updates only, 8 sequences only</small>" in (results / "index.html").read_text()
    loaded = load_results(results, DATASET, runs)
    assert [name[-1] == "*" for name in short_names(loaded)] == [False] * 4 + [True]
    full, note = without_short(loaded)
    assert [result.config.id for result in full] == RUNS and note.endswith(": VPN (baseline)")
    write_report("per_frame", results, DATASET, runs, results / "curves")
    curves = (results / "curves.svg").read_text()  # matplotlib notes each text next to its outlines
    assert curves.count("<!-- Conv-TT-LSTM -->") == 3 and "<!-- VPN (baseline) * -->" not in curves
    assert "few updates only: VPN (baseline)." in (results / "curves.txt").read_text()


def test_table4_puts_runs_below_the_papers_rows(short_results: tuple[Path, list[str]]) -> None:
    results, _ = short_results
    config = results.parent / "config/demo.yaml"
    shutil.copytree(ROOT / "config", config.parent)
    rows = [
        {"system": "ctt_1x1", "filters": "1x1", "row": "order 3"},
        {"system": "conv_lstm", "filters": "5x5", "row": "single order", "reading": "plain ConvLSTM"},
        {"system": "conv_tt_lstm", "filters": "5x5", "row": "another"},
    ]
    overlay = yaml.safe_load(config.read_text())
    overlay["experiments"][DATASET]["ablations"] = rows
    config.write_text(yaml.safe_dump(overlay))
    runs = ["ctt_1x1-seed0", "conv_lstm-seed0", "conv_tt_lstm-seed0"]
    write_report(
        "table4", results, DATASET, runs, results / f"tables/table4_{DATASET}", load_settings(config)
    )
    lines = (results / f"tables/table4_{DATASET}.md").read_text().splitlines()
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert [cells[:4] for cells in found[2:]] == [
        ["1x1", "order 3", "-", "paper"],
        ["1x1", "order 3", "Conv-TT-LSTM, 1x1 factors", "here, 20 updates only"],
        ["5x5", "single order", "-", "paper"],
        ["5x5", "single order", "ConvLSTM (baseline)", "here"],
        ["5x5", "another", "Conv-TT-LSTM", "here"],
    ]
    assert found[2][5:] == ["34.84", "0.800", "151.2"]
    mean = metrics_of(results, "conv_lstm-seed0")["horizons"]["30"]["mse"]["mean"]
    assert found[5][5].startswith(f"{mean * 1e3:.2f} [")
    note = lines[2]
    assert "the tensor train with one factor or the plain ConvLSTM" in note and "S = 1" not in note
    assert "Rows that the paper does not have are variants" in note


def test_table4_sets_the_papers_30_frames_against_a_scales_own(short_results: tuple[Path, list[str]]) -> None:
    results, _ = short_results
    config = results.parent / "config/demo.yaml"
    shutil.copytree(ROOT / "config", config.parent)
    overlay = yaml.safe_load(config.read_text())
    overlay["experiments"][DATASET]["ablations"] = [{"system": "ctt_1x1", "filters": "1x1", "row": "order 3"}]
    config.write_text(yaml.safe_dump(overlay))
    run = results / "runs" / DATASET / "ctt_1x1-seed0/config.json"
    content = json.loads(run.read_text())
    content["dataset"]["test_horizons"] = [10]
    run.write_text(json.dumps(content))
    write_report("table4", results, DATASET, ["ctt_1x1-seed0"], results / "t4", load_settings(config))
    text = (results / "t4.md").read_text()
    assert "10 → 10 (the paper's 30) MSE" in text and " 34.84 |" in text
    assert "plain ConvLSTM" not in text.partition("## Notes")[0] and "variants" not in text


def test_times_measured_on_some_of_the_steps_are_marked(results: Path, tmp_path: Path) -> None:
    times = tmp_path / "system_times-epyc.csv"
    times.write_text(
        "device,torch,title,size,forward_seconds,training_seconds,steps,sequence_steps\n"
        "AMD EPYC,2.13.0,ConvLSTM (baseline),64,2.5,7.25,19,19\n"
        "AMD EPYC,2.13.0,ConvLSTM (baseline),120,9.125,28.5,3,19\n"
        "AMD EPYC,2.13.0,VPN (baseline),64,,90,19,19\n"
    )
    output = tmp_path / "complexity"
    write_report("complexity", results, "", [], output, benchmarks=tmp_path)
    markdown = output.with_suffix(".md").read_text()
    assert "Measured on AMD EPYC, PyTorch 2.13.0" in markdown
    lines = [line for line in markdown.splitlines() if "2.5 s" in line or "90 s" in line]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][1:5] == ["2.5 s", "7.25 s", "~9.12 s", "~28.5 s"]
    assert cells[1][1:5] == ["-", "90 s", "-", "-"]


def test_page_links_lead_to_files(results: Path) -> None:
    page = (results / "index.html").read_text()
    links = {x for x in re.findall(r'(?:href|src)="([^"#]+)"', page) if not x.startswith("data:")}
    assert len(links) >= 12
    for link in links:
        if not link.startswith("https://arxiv.org/abs/"):
            inside = ROOT / "results/demo" if link.startswith("../../") else results
            assert (inside / link).is_file(), link
    without = re.sub(r"<(style|script).*?</\1>|data:[^\"]*", "", page, flags=re.S)
    assert "$" not in without
    for target in re.findall(r'href="#([^"]+)"', without):
        assert without.count(f'id="{target}"') == 1, target


def test_page_shows_every_figure_and_loads_nothing_from_elsewhere(results: Path) -> None:
    page = (results / "index.html").read_text()
    assert not re.findall(r"https?://(?!www\.w3\.org/|arxiv\.org/abs/)", page)
    shown = set(re.findall(r'src="(?!data:)([^"]*)"', page))
    drawn = {"figures/replication_costs.svg"}  # by the page itself
    assert shown | drawn == {f"figures/{path.name}" for path in (results / "figures").glob("*.svg")}
    assert not shown & drawn


@pytest.mark.parametrize("path", sorted(ROOT.glob("results/*/index.html")), ids=lambda path: path.parent.name)
def test_published_pages_are_below_two_megabytes_before_animations(path: Path) -> None:
    still = re.sub(r'<script type="application/json">.*?</script>', "", path.read_text(), flags=re.S)
    assert len(still.encode()) < 2e6


def test_page_shows_each_verdict_as_a_word_with_its_basis(results: Path) -> None:
    page = (results / "index.html").read_text()
    assert "tests 4 of the paper&#39;s 5 claims about quality. Reproduced: 1 (It is &lt;better&gt;)." in page
    assert "No difference: 1 (It is &lt;better&gt;). Undecided: 1 (" in page
    assert "By counting, 1 claim holds, 0 fail. By measured time, on the devices named" in page
    for verdict in SHAPES:
        shown = rf"<li id=[^>]*><span class=\"verdict [\w-]*\"><span [^>]*>.</span> {verdict}<"
        assert len(re.findall(shown, page)) == 1, verdict
    assert page.count("The paper's own numbers contradict it.") == 1
    assert "To test it takes about 310 GPU-hours." in page
    assert "-1.9 [-2.4, -1.3] MSE x 1000" in page and "It is &lt;better&gt;." in page
    # A semicolon in a measurement does not divide it.
    assert "Measured here: 2 s; on A CPU<" in page
    assert "The paper: 2 comparisons</summary><ul><li>28.36 &gt; 27.58</li><li>0.907 &gt; 0.903</li>" in page


def test_the_page_answers_a_readers_first_questions(results: Path) -> None:
    page = " ".join((results / "index.html").read_text().split())
    opening = page[page.index('<dl class="answers">') : page.index('<h3 id="claims">')]
    for question, said in {
        "What is claimed": "8 claims in all. The paper's own numbers contradict 1 of them.",
        "What held here": "tests 4 of the paper's 5 claims about quality. Reproduced: 1 (It",
        "How sure": "trained with 1 seed and evaluated on 200 test sequences",
        "What was not tested": "1 claim (1 on Moving-MNIST-2), as this scale is too small or lacks the runs,",
        "How to run it at the paper's scale": "snakemake --profile slurm all",
    }.items():
        answer = opening[opening.index(f"<dt>{question}</dt>") :].partition("</div>")[0]
        assert said in answer.replace("&#39;", "'"), answer
    assert "figures/replication_costs.svg" in opening
    assert re.search(r"Trained <[^>]*>on 2026-11-05<", page)


def test_questions_that_the_paper_does_not_ask_count_as_tested(results: Path) -> None:
    claims = read_table(results / "tables/claims.csv", COLUMNS)
    asked = claims.replace({"group": {"training": "asked"}})
    assert "trained with 1 seed and evaluated on 200 test sequences" in answers(asked, "a scale")["How sure"]


def test_a_scale_without_verdicts_has_no_plot_of_training(results: Path) -> None:
    settings = load_settings(ROOT / "config/laptop.yaml")
    replication = find_reports()["replication"]
    assert replication.made_for(settings) == [""]
    assert replication.made_for(load_settings(ROOT / "config/demo.yaml")) == []
    assert not (results / "figures/replication.svg").exists()


def test_the_replication_plot_shows_claims_and_the_papers_values(results: Path) -> None:
    table = read_table(results / "tables/claims.csv", COLUMNS)
    table.loc[table["claim"] == "mse", "effect_paper"] = "5"
    figure = draw_claims(table[table["group"] == "training"], "margins")
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == [1.9] * 4
    assert [tuple(c.get_segments()[0][:, 0]) for c in axes.collections if len(c.get_segments())] == [
        (1.3, 2.4)
    ] * 4
    hollow = [line for line in axes.lines if line.get_marker() == "D" and line.get_xdata()[0] == 5]
    assert len(hollow) == 1 and hollow[0].get_markerfacecolor() == "white"
    heads = [text.get_text() for text in axes.texts if text.get_fontweight() == "bold"]
    assert heads == ["✓ reproduced: 1", "= no difference: 1", "≈ undecided: 1", "✗ contradicted: 1"]


@pytest.mark.parametrize("axis", ["margins", "ratio"])
def test_the_pages_marks_are_at_the_plots_positions(results: Path, axis: str) -> None:
    table = read_table(results / "tables/claims.csv", COLUMNS)
    table = table[table["effect"] != ""].assign(effect_paper="0.5", effect_others="0.2 400")
    (axes,) = draw_claims(table, axis).axes
    to_share = axes.transData - axes.transAxes

    def places(marker: str) -> list[float]:
        points = [(line, x) for line in axes.lines if line.get_marker() == marker for x in line.get_xdata()]
        return [100 * float(to_share.transform((x, 0))[0]) for _, x in points]

    plot = marks_of(table, axis)
    rows = [row for group in plot["groups"] for row in group["rows"]]
    assert len(rows) == len(table) == 5
    assert [row["value"] for row in rows] == pytest.approx(places("o"), abs=0.01)
    assert [row["paper"] for row in rows] == pytest.approx(places("D"), abs=0.01)
    assert [x for row in rows for x in row["others"]] == pytest.approx(places("|"), abs=0.01)
    assert all(0 <= row["value"] <= 100 for row in rows)
    assert {label for _, label in plot["ticks"]} > {"1", "10"}


def test_the_article_and_its_manifest_name_existing_files(results: Path) -> None:
    text = (results / "report.md").read_text()
    for head in ("Scope", "What was claimed", "Method", "Results", "What was easy", "What was hard"):
        assert f"\n## {head}\n" in text
    assert (
        "## What it would take\n\nThe broadest claim that was not tested takes about 310 GPU-hours." in text
    )
    assert "| Conv-TT-LSTM (Ours) " in text and "| Conv-TT-LSTM, seed 0 " in text
    for picture in re.findall(r"\]\((figures/[^)]*)\)", text):
        assert (results / picture).is_file()
    manifest = (results / "codecheck.yml").read_text()
    assert manifest.startswith("---\n")
    content = yaml.safe_load(manifest)
    # CODECHECK's configuration 1.0 and 2.0 ask authors for these.
    assert content["version"] == "https://codecheck.org.uk/spec/config/1.0/"
    assert content["paper"]["title"] and content["paper"]["reference"].startswith("https://")
    assert all(author["name"] for author in content["paper"]["authors"])
    files = [item["file"] for item in content["manifest"]]
    assert len(files) == len(set(files)) > 15 and all((results / name).is_file() for name in files)
    assert {"tables/claims.csv", f"figures/figure2_{DATASET}.svg"} <= set(files)


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs pdftotext: `tests/install.sh`")
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex: `tests/install.sh`")
def test_the_articles_pdf_is_the_same_each_time(results: Path) -> None:
    pdf = results / "report.pdf"
    before = pdf.read_bytes()
    write_pdf(results)
    assert pdf.read_bytes() == before
    text = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True, check=True).stdout
    for said in (
        "What was claimed",
        "Verdicts by topic",
        "Claims tested by counting and timing",
        "310 GPU-hours",
    ):
        assert said in text


def test_failing_latex_gives_one_line_and_no_pdf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler = tmp_path / "bin/pdflatex"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho '! LaTeX Error: File `caption.sty not found.'\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(compiler.parent), prepend=":")
    (tmp_path / "report.pdf").write_text("an older one")
    write_pdf(tmp_path)
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "not written, as pdflatex failed: ! LaTeX Error: File `caption" in said
    assert not (tmp_path / "report.pdf").exists()


def test_captions_are_next_to_figures_and_on_the_page(results: Path) -> None:
    page = (results / "index.html").read_text()
    captions = list((results / "figures").glob("*.txt"))
    assert len(captions) == len(list((results / "figures").glob("*.svg")))
    for path in captions:
        text = path.read_text().strip()
        assert text.endswith((".", "?")) and "\n" not in text and len(text) > 40
        assert str(escape(text)) in page, path


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.unlink(), "claims.csv: no such file"),
        (lambda path: path.write_text("claim\nbest\n"), "claims.csv: no column 'group'"),
        (lambda path: path.write_text(path.read_text().replace("undecided", "maybe")), "verdict 'maybe'"),
        (lambda path: path.write_text(path.read_text().replace("lacking", "what")), "group 'what'"),
    ],
)
def test_the_page_needs_a_valid_claims_table(results: Path, tmp_path: Path, spoil: Any, says: str) -> None:
    copy = tmp_path / "demo"
    shutil.copytree(results, copy)
    (copy / "index.html").unlink()
    spoil(copy / "tables/claims.csv")
    with pytest.raises(UserError, match=says):
        write_page(copy)
    assert not (copy / "index.html").exists()


@pytest.mark.parametrize("channels", [1, 3])
def test_sheets_hold_every_pixel(channels: int) -> None:
    frames = np.random.default_rng(0).integers(256, size=(13, channels, 5, 7), dtype=np.uint8)
    picture = Image.open(io.BytesIO(b64decode(sheet(frames).partition(",")[2])))
    pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (2 * 5, 10 * 7, 3)
    for t, frame in enumerate(frames):
        top, left = 5 * (t // 10), 7 * (t % 10)
        shown = pixels[top : top + 5, left : left + 7].transpose(2, 0, 1)
        np.testing.assert_array_equal(shown, np.broadcast_to(frame, (3, 5, 7)))


def test_the_animation_shows_the_kept_sequence_of_each_run(tmp_path: Path) -> None:
    runs = ["copy_last", "conv_lstm-seed1"]
    for run in runs:
        make_run(tmp_path, run)
    content = json.loads(animation(load_results(tmp_path, DATASET, runs)))
    (example,) = content["examples"]  # the one that was kept is the best, the median and the worst
    assert [name for name, _ in example["predictions"]] == ["Copy last frame", "ConvLSTM (baseline)"]
    assert (content["context"], content["frames"], content["size"]) == (10, 40, [32, 32])


def test_labels_are_spread_no_more_than_needed() -> None:
    assert spread([0, 5, 9], 1) == [0, 5, 9]
    assert spread([1, 1, 5], 1) == [0.5, 1.5, 5]
    assert spread([0, 0.1, 0.2, 0.3], 1) == pytest.approx([-1.35, -0.35, 0.65, 1.65])


def test_reporting_does_not_import_torch() -> None:
    code = "import sys; from convttlstm.reporting import find_reports; find_reports(); "
    code += "import convttlstm.planning.estimate, convttlstm.planning.status; "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_table2_of_the_paper_follows_its_own_arithmetic() -> None:
    """The FLOPs column is parameters x height x width / 1024 x 1000, to every printed digit."""
    table = pd.read_csv(PAPER / "table2.csv").dropna(subset="flops_billions")
    assert len(table) == 6
    for _, row in table.iterrows():
        pixels = 64 * 64 if row["dataset"] == DATASET else 120 * 120
        digits = 1 if row["flops_billions"] > 100 else 2
        billions = row["parameters_millions"] * pixels / 1024
        assert row["flops_billions"] == pytest.approx(billions, abs=0.51 * 10**-digits)


def test_catalogue_rows_are_in_the_papers_table() -> None:
    table = pd.read_csv(PAPER / "table2.csv")
    assert not table.duplicated(["dataset", "method"]).any()
    settings = load_settings(ROOT / "config/paper.yaml")
    recognizers = set(pd.read_csv(PAPER / "table1.csv")["method"])
    assert recognizers < set(pd.read_csv(PAPER / "table3.csv")["method"])
    named = {settings.systems[name].paper_row for name in settings.experiments["something_25"].table}
    assert named == recognizers
    for system in settings.systems.values():
        rows = recognizers if system.model.recognizes else set(table["method"])
        assert system.paper_row is None or system.paper_row in rows
    shown = [settings.systems[name].paper_row for name in settings.experiments[DATASET].table]
    printed = table[(table["dataset"] == DATASET) & (table["where"] == "Table 2")]["method"]
    assert set(shown) - {None} == set(printed)


@pytest.mark.parametrize("dataset", ["something_25", "something_50"])
def test_figure_4_shows_the_papers_model_on_both_data_sets(dataset: str) -> None:
    settings = load_settings(ROOT / "config/paper.yaml")
    assert find_reports()["figure4"].runs(settings, dataset) == ["recognizer_conv_tt-seed0"]


def test_catalogue_ablations_are_in_the_papers_table4() -> None:
    ablations = load_settings(ROOT / "config/paper.yaml").experiments[DATASET].ablations
    rows = pd.read_csv(PAPER / "table4.csv")
    assert {(row.filters, row.row) for row in ablations} >= set(
        zip(rows["filters"], rows["order"], strict=True)
    )


def test_table4_repeats_table2s_baseline() -> None:
    ablations = pd.read_csv(PAPER / "table4.csv", dtype=str).set_index(["filters", "order"])
    table = pd.read_csv(PAPER / "table2.csv", dtype=str).set_index(["dataset", "method"])
    columns = ["mse_30", "ssim_30", "lpips_30"]
    baseline = table.loc[(DATASET, "ConvLSTM (baseline)"), columns]
    assert list(ablations.loc[("5x5", "single order"), columns]) == list(baseline)
