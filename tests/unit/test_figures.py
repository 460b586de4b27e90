"""Figures, read back from their artists and files; made-up results of three seeds of each model."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from convttlstm.config import Settings, load_settings
from convttlstm.files import UserError
from convttlstm.planning.costs import measures_from
from convttlstm.reporting.drawing import (
    COLOURS,
    COLUMN,
    DASHES,
    MARKERS,
    SMALL,
    Series,
    ink,
    series_of,
    wrapped,
)
from convttlstm.reporting.figures.figure2 import Bubble, bubbles_of, draw_figure2
from convttlstm.reporting.figures.loss import draw_loss_curves
from convttlstm.reporting.figures.orders import REPORT as ORDERS_FIGURE
from convttlstm.reporting.figures.per_frame import draw_per_frame
from convttlstm.reporting.figures.protocols import draw_protocols, standings, swapped
from convttlstm.reporting.figures.ratios import runtime_figure
from convttlstm.reporting.figures.seeds import draw_seeds, paper_values
from convttlstm.results import Interval, Scale, read_table
from tests.made_up_runs import COMPLEXITY, DATASET, MSE, ORDERS, PAPER, ROOT, make_run
from tests.reports import load_results, write_report

SYSTEMS = ["conv_lstm", "conv_tt_lstm"]
SEEDS = [0, 1, 2]
RUNS = ["copy_last", *(f"{system}-seed{seed}" for system in SYSTEMS for seed in SEEDS)]
TESTED = 200  # all that there are, or names would have a star
CHARTS = ["figure2", "loss", "per_frame", "per_frame_differences", "seeds", "protocols"]


def make_runs(results: Path, scale: str = "demo") -> Path:
    """Make a run for each model and seed, each evaluated on the same sequences with numbers of its own."""
    for i, run in enumerate(RUNS):
        name, _, seed = run.partition("-seed")
        MSE.setdefault(run, MSE[f"{name}-seed0" if seed else name])
        folder = make_run(results, run, scale=scale, sequences=TESTED)
        per_frame = pd.read_csv(folder / "per_frame.csv")
        metrics = [column for column in per_frame if column != "frame"]
        per_frame[metrics] *= 1 + 0.05 * i
        per_frame.to_csv(folder / "per_frame.csv", index=False)
        noise = np.random.default_rng(i).uniform(0.9, 1.1, (2 * TESTED, 1))
        means = {h: per_frame[:h][metrics].mean() for h in (10, 30)}
        values = np.concatenate([np.tile(mean, (TESTED, 1)) for mean in means.values()]) * noise
        numbers = {"horizon": np.repeat([10, 30], TESTED), "sequence": np.tile(np.arange(TESTED), 2)}
        table = pd.DataFrame(numbers).join(pd.DataFrame(values, columns=metrics))
        table.to_csv(folder / "per_sequence.csv", index=False)
        rewrite_metrics(folder, table, metrics)
    (results / "complexity.csv").write_text(COMPLEXITY + more_counts())
    (results / "orders.csv").write_text(ORDERS)
    return results


def rewrite_metrics(folder: Path, table: pd.DataFrame, metrics: list[str]) -> None:
    """Make metrics.json agree with per_sequence.csv."""
    path = folder / "metrics.json"
    content = json.loads(path.read_text())
    for horizon in ("10", "30"):
        means = table[table["horizon"] == int(horizon)][metrics].mean()
        content["horizons"][horizon] = {
            name: {"mean": mean, "low": mean * 0.97, "high": mean * 1.04} for name, mean in means.items()
        }
    path.write_text(json.dumps(content))


def more_counts() -> str:
    lines = [line for line in COMPLEXITY.splitlines() if ",conv_lstm," in line]
    return "".join(
        re.sub(",([0-9]{9,})", lambda found: f",{int(found[1]) * 3 // 4}", line).replace(
            ",conv_lstm,ConvLSTM (baseline)", ",conv_tt_lstm,Conv-TT-LSTM"
        )
        + "\n"
        for line in lines
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_runs(tmp_path_factory.mktemp("three") / "demo")


@pytest.fixture(scope="module")
def drawn(results: Path) -> list[Series]:
    return series_of(load_results(results, DATASET, RUNS))


def per_frame_of(results: Path, system: str, metric: str) -> np.ndarray:
    """Return a metric by run and frame, straight from the files."""
    folder = results / "runs" / DATASET
    return np.stack([pd.read_csv(folder / f"{system}-seed{s}/per_frame.csv")[metric] for s in SEEDS])


def line_in(figure: Figure, panel: int, colour: str, points: int) -> np.ndarray:
    """Return the heights of the only line of that colour with that many points."""
    lines = [
        line
        for line in figure.axes[panel].lines
        if line.get_color() == colour and len(line.get_ydata()) == points
    ]
    assert len(lines) == 1
    return np.asarray(lines[0].get_ydata())


def test_bands_reach_from_the_lowest_to_the_highest_seed(results: Path, drawn: list[Series]) -> None:
    figure = draw_per_frame(drawn, trained_to=10, counted=(4, 15))
    shaded = [patch.get_extents().get_points()[:, 0] for patch in figure.axes[0].patches]
    to_data = figure.axes[0].transData.inverted()
    edges = [to_data.transform([(x, 0) for x in xs])[:, 0].round(3).tolist() for xs in shaded]
    assert edges == [[0.5, 3.5], [15.5, 30.5]]  # all but frames 4 to 15
    for panel, (metric, scale) in enumerate({"mse": 1e3, "ssim_paper": 1, "lpips_paper": 1e3}.items()):
        bands = {tuple(band.get_facecolor()[0][:3]): band for band in figure.axes[panel].collections}
        for system in SYSTEMS:
            values = per_frame_of(results, system, metric) * scale
            np.testing.assert_allclose(line_in(figure, panel, COLOURS[system], 30), values.mean(axis=0))
            corners = bands[to_rgba(COLOURS[system])[:3]].get_paths()[0].vertices
            for frame in (1, 17, 30):
                heights = corners[corners[:, 0] == frame][:, 1]
                column = values[:, frame - 1]
                assert (heights.min(), heights.max()) == pytest.approx((min(column), max(column)))


def test_differences_are_those_to_the_mean_of_the_first_model(results: Path, drawn: list[Series]) -> None:
    trained = [series for series in drawn if series.runs[0].config.trained]
    first, other = (series.runs[0].config.system for series in trained)
    figure = draw_per_frame(trained, trained_to=10, counted=(4, 15), relative=True)
    for panel, (metric, scale) in enumerate({"mse": 1e3, "ssim_paper": 1, "lpips_paper": 1e3}.items()):
        mine, baseline = (per_frame_of(results, system, metric) * scale for system in (other, first))
        expected = mine.mean(axis=0) - baseline.mean(axis=0)
        np.testing.assert_allclose(line_in(figure, panel, COLOURS[other], 30), expected, atol=1e-9)
        np.testing.assert_allclose(line_in(figure, panel, COLOURS[first], 30), 0, atol=1e-9)


def test_each_model_has_one_name_for_all_its_seeds(results: Path, tmp_path: Path) -> None:
    for what in CHARTS:
        write_report(what, results, DATASET, RUNS, tmp_path / what, demo())
        shown = re.findall(r"<!-- (.*?) -->", (tmp_path / f"{what}.svg").read_text())
        assert any("Conv-TT-LSTM" in text for text in shown), what
        assert not any(re.search(r"seed \d", text) for text in shown), what


def test_each_run_has_a_loss_curve(results: Path, drawn: list[Series]) -> None:
    trained = [series for series in drawn if series.runs[0].history is not None]
    losses = draw_loss_curves(trained).axes[0]
    for system in SYSTEMS:
        history = pd.read_csv(results / "runs" / DATASET / f"{system}-seed1" / "history.csv")
        curves = [
            line.get_ydata()
            for line in losses.lines
            if line.get_color() == COLOURS[system] and len(line.get_ydata()) > 1
        ]
        assert len(curves) == 2 * len(SEEDS)
        np.testing.assert_allclose(curves[3], history["validation_loss"])
    assert len([text for text in losses.texts if text.get_text()]) == len(SYSTEMS)


def test_figure2_has_one_bubble_per_model_at_the_mean_of_table2(results: Path, tmp_path: Path) -> None:
    write_report("table2", results, DATASET, RUNS, tmp_path / "table2")
    table = pd.read_csv(tmp_path / "table2.csv")
    table = table[table["origin"] == "reproduced"].set_index("method")
    loaded = load_results(results, DATASET, RUNS)
    published = read_table(PAPER / "table2.csv", ["dataset"])
    published = published[published["dataset"] == DATASET]
    bubbles = bubbles_of(series_of(loaded), published)
    figure = draw_figure2(bubbles, loaded[0].config)
    for axes, horizon in zip(figure.axes, (10, 30), strict=True):
        dots = [line for line in axes.lines if len(line.get_xdata()) == 1]
        hollow = [dot for dot in dots if dot.get_markerfacecolor() == "none"]
        printed = published[(published[f"lpips_{horizon}"] != "") & (published["parameters_millions"] != "")]
        assert sorted(dot.get_ydata()[0] for dot in hollow) == sorted(map(float, printed[f"lpips_{horizon}"]))
        solid = [dot for dot in dots if dot not in hollow]
        assert len(solid) == 3
        for name in ("ConvLSTM (baseline)", "Conv-TT-LSTM"):
            row = table.loc[name]
            [at] = [
                d for d in solid if d.get_xdata()[0] == pytest.approx(row[f"ssim_paper_{horizon}"], abs=1e-5)
            ]
            assert at.get_ydata()[0] == pytest.approx(row[f"lpips_paper_x1e3_{horizon}"], rel=1e-4)
            colour = to_rgba(at.get_markeredgecolor())
            whiskers = [c for c in axes.collections if tuple(c.get_color()[0]) == colour]
            ends = np.concatenate([c.get_segments()[0] for c in whiskers])
            found = [ends[:, 0].min(), ends[:, 0].max(), ends[:, 1].min(), ends[:, 1].max()]
            columns = [
                f"{c}_{horizon}{e}" for c in ("ssim_paper", "lpips_paper_x1e3") for e in ("_low", "_high")
            ]
            assert found[0] <= found[1] and found == pytest.approx(list(row[columns].astype(float)), rel=1e-4)


def test_names_in_figure2_do_not_overlap(results: Path) -> None:
    """Nine models of similar values, of which no name may cover another's, or a bubble."""
    loaded = load_results(results, DATASET, RUNS)
    published = read_table(PAPER / "table2.csv", ["dataset"])
    look = replace(series_of(loaded)[-1].look, name="ConvLSTM (classic TTD) *")
    noise, bubbles = np.random.default_rng(0), bubbles_of(series_of(loaded), published[:0])
    for horizon in (10, 30):
        for _ in range(7):
            ssim, lpips = (0.8 + 0.03 * noise.random(), 150 + 30 * noise.random())
            ends = [Interval(mean=m, low=m * 0.99, high=m * 1.01) for m in (ssim, lpips)]
            bubbles.append(Bubble(horizon, look, *ends, 2.2, ours=True))
    figure = draw_figure2(bubbles, loaded[0].config)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert len(boxes) >= 9
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        dots = [line for line in axes.lines if len(line.get_xdata()) == 1]
        centres = [axes.transData.transform((d.get_xdata()[0], d.get_ydata()[0])) for d in dots]
        assert not any(box.contains(*centre) for box in boxes for centre in centres)
        assert all(axes.bbox.padded(1).contains(*corner) for box in boxes for corner in box.corners())


@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_seeds_are_dots_next_to_the_papers_values_at_its_scale(tmp_path: Path, scale: str) -> None:
    results = make_runs(tmp_path / scale, scale)
    settings = load_settings(ROOT / f"config/{scale}.yaml")
    trained = series_of(load_results(results, DATASET, RUNS[1:]))
    write_report("seeds", results, DATASET, RUNS, tmp_path / "seeds", settings)
    note = (tmp_path / "seeds.txt").read_text()
    assert ("hollow: the paper" in note) == (scale == "paper")
    assert ("of another scale" in note) == (scale != "paper")
    printed = paper_values(Scale(scale, settings, results, PAPER), trained, DATASET)
    figure = draw_seeds(trained, printed if scale == "paper" else {})
    for panel, (horizon, metric, factor) in enumerate(
        (h, m, f) for h in (10, 30) for m, f in (("mse", 1e3), ("ssim_paper", 1), ("lpips_paper", 1e3))
    ):
        for place, system in enumerate(SYSTEMS):
            lines = [line for line in figure.axes[panel].lines if len(line.get_ydata())]
            shown = [line for line in lines if abs(np.mean(line.get_ydata()) - place) < 0.3]
            [dots] = [line.get_xdata() for line in shown if line.get_marker() == "o"]
            [mean] = [line.get_xdata()[0] for line in shown if line.get_marker() == "|"]
            tables = [pd.read_csv(run.folder / "per_sequence.csv") for run in trained[place].runs]
            expected = [table[table["horizon"] == horizon][metric].mean() * factor for table in tables]
            np.testing.assert_allclose(dots, expected)
            assert mean == pytest.approx(np.mean(expected))
            hollow = [x for line in shown if line.get_marker() == "D" for x in line.get_xdata()]
            if scale == "demo":
                assert not hollow
            elif system == "conv_tt_lstm" and metric == "mse":
                assert hollow == {10: [12.96], 30: [25.81, 28.88]}[horizon]  # of Table 2, and of Table 4


def test_seeds_need_a_trained_run(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no seeds to draw"):
        write_report("seeds", results, DATASET, ["copy_last"], tmp_path / "seeds", demo())


def test_ranks_and_swaps_are_those_of_a_plain_sort(results: Path, drawn: list[Series]) -> None:
    figure = draw_protocols(drawn)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    means = {
        run.config.id: pd.read_csv(run.folder / "per_sequence.csv").groupby("horizon").mean()
        for series in drawn
        for run in series.runs
    }
    names = {series.look.name: [run.config.id for run in series.runs] for series in drawn}
    panels = [(metric, horizon) for metric in ("ssim", "lpips") for horizon in (10, 30)]
    for title, (metric, horizon) in zip(titles, panels, strict=True):
        ranks = {}
        for protocol in ("paper", "standard"):
            of = {
                name: np.mean([means[run].loc[horizon, f"{metric}_{protocol}"] for run in runs])
                for name, runs in names.items()
            }
            ranks[protocol] = sorted(of, key=lambda name: of[name], reverse=metric == "ssim")
        ranked = standings(drawn, horizon, metric)
        assert [standing.look.name for standing in ranked] == ranks["paper"]
        by_standard = sorted(ranked, key=lambda standing: standing.standard_rank)
        assert [standing.look.name for standing in by_standard] == ranks["standard"]
        assert ("the order stays" in title) == (ranks["paper"] == ranks["standard"]) == (not swapped(ranked))


def test_pairs_that_swap_ranks_are_counted(tmp_path: Path) -> None:
    results = make_runs(tmp_path / "demo")
    for seed in SEEDS:
        path = results / "runs" / DATASET / f"conv_tt_lstm-seed{seed}" / "per_sequence.csv"
        table = pd.read_csv(path)
        table["ssim_standard"] -= 0.9
        table.to_csv(path, index=False)
    ranked = standings(series_of(load_results(results, DATASET, RUNS)), 30, "ssim")
    last = max(ranked, key=lambda standing: standing.standard_rank)
    assert last.look.name == "Conv-TT-LSTM"
    overtaken = len(ranked) - last.paper_rank
    assert sum(last in pair for pair in swapped(ranked)) == overtaken > 0


def test_complexity_shows_the_counts(results: Path) -> None:
    figure, _ = ORDERS_FIGURE.draw(Scale("demo", demo(), results), "", [])
    upper, lower = figure.axes
    assert [list(line.get_ydata()) for line in upper.lines] == [[10, 12], [16, 24], [16, 43]]
    assert [list(line.get_ydata()) for line in lower.lines] == [[2, 3], [4, 6], [4, 10]]
    assert [list(line.get_xdata()) for line in upper.lines] == [[1, 2]] * 3


def test_runtime_shows_the_papers_ratios_hollow_and_ours_solid(results: Path, tmp_path: Path) -> None:
    steps = tmp_path / "train_step-A.csv"
    steps.write_text(
        "device,threads,torch,model,precision,variant,seconds\n"
        "A,2,2.13,conv_lstm,float32,ours,4\nA,2,2.13,conv_tt_lstm,float32,ours,3\n"
        'A,2,2.13,conv_lstm,float32,"ours, recomputed",9\n'
    )
    write_report("runtime", results, "", [], tmp_path / "runtime", mnist_only(), tmp_path)
    table = pd.read_csv(tmp_path / "runtime.csv")
    np.testing.assert_allclose(table["ratio"], table["conv_tt_lstm"] / table["conv_lstm"], rtol=1e-5)
    ratios = table.set_index(["dataset", "what"])["ratio"]
    assert ratios["kth", "training, original code"] == pytest.approx(74.8 / 28.9, rel=1e-5)
    assert ratios["kth", "training, optimized code"] == pytest.approx(27.3 / 26.2, rel=1e-5)
    assert ratios[DATASET, "FLOPs, as printed"] == pytest.approx(10.76 / 15.88, rel=1e-5)
    assert ratios[DATASET, "training step, float32, ours"] == 0.75
    assert not any("recomputed" in what for what in table["what"])
    measures = measures_from(read_table(tmp_path / "runtime.csv", []))
    figure = runtime_figure(measures, list(dict.fromkeys(m.where for m in measures if m.where)))
    dots = [line for line in figure.axes[0].lines if line.get_marker() in "os"]
    np.testing.assert_allclose([dot.get_xdata()[0] for dot in dots], table["ratio"], rtol=1e-5)
    hollow = [dot.get_markerfacecolor() == "none" for dot in dots]
    assert hollow == list(table["source"] == "the paper")
    text = (tmp_path / "runtime.md").read_text()
    assert "shows nothing about the paper" in text and "It depends on device, precision and length" in text


def demo() -> Settings:
    return load_settings(ROOT / "config/demo.yaml")


def mnist_only() -> Settings:
    """The demo, with the three seeds of the made-up runs, and without KTH, of which there are none."""
    settings = demo()
    experiment = settings.experiments[DATASET].model_copy(update={"seeds": SEEDS})
    return settings.model_copy(update={"experiments": {DATASET: experiment}})


WRITE = """
import sys
from pathlib import Path
from convttlstm.config import Settings, load_settings
from tests.reports import write_report
results, output, config, dataset, runs, charts = sys.argv[1:]
settings = load_settings(Path(config))
for what in charts.split():
    write_report(what, Path(results), dataset, runs.split(), Path(output) / what, settings)
"""


def test_files_are_the_same_in_two_processes(results: Path, tmp_path: Path) -> None:
    charts = [*CHARTS, "orders", "figure3"]
    for seed in ("0", "1"):
        arguments = [str(results), str(tmp_path / seed), str(ROOT / "config/demo.yaml"), DATASET]
        arguments += [" ".join(RUNS), " ".join(charts)]
        environment = {"PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}", "PYTHONHASHSEED": seed, "PATH": ""}
        subprocess.run([sys.executable, "-c", WRITE, *arguments], check=True, env=environment)
    for what in charts:
        for suffix in (".svg", ".pdf"):
            first, second = ((tmp_path / seed / f"{what}{suffix}").read_bytes() for seed in ("0", "1"))
            assert first == second, what
        pdf = (tmp_path / "0" / f"{what}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf and b"/FontFile2" in pdf


def test_charts_fit_a_column_and_their_text_is_readable(results: Path, tmp_path: Path) -> None:
    drawn = series_of(load_results(results, DATASET, RUNS))
    trained = [series for series in drawn if series.runs[0].config.trained]
    figures = [
        draw_per_frame(drawn, 10, (1, 30)),
        draw_loss_curves(trained),
        draw_seeds(trained, {}),
        draw_protocols(drawn),
    ]
    for figure in figures:
        assert figure.get_figwidth() == COLUMN == 3.25
        assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= SMALL >= 5.5


def luminance_by_hand(colour: str) -> float:
    """WCAG 2's relative luminance of #rrggbb."""
    total = 0.0
    for i, weight in ((1, 0.2126), (3, 0.7152), (5, 0.0722)):
        value = int(colour[i : i + 2], 16) / 255
        total += weight * (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    return total


def test_a_long_name_is_not_broken_inside_an_equation() -> None:
    lines = wrapped("Conv-TT-LSTM, N = 5, M = 5", 23).splitlines()
    assert [" ".join(line.split()) for line in lines] == ["Conv-TT-LSTM, N = 5,", "M = 5"]


def test_models_differ_in_grey_in_dash_and_in_marker() -> None:
    greys = sorted(luminance_by_hand(colour) + 0.05 for colour in COLOURS.values())
    assert min(b / a for a, b in pairwise(greys)) >= 1.2
    main = [luminance_by_hand(COLOURS[system]) + 0.05 for system in SYSTEMS]
    assert max(main) / min(main) > 2
    assert len(set(map(str, DASHES.values()))) == len(set(MARKERS.values())) == len(COLOURS)
    assert set(DASHES) == set(MARKERS) == set(COLOURS)
    for colour in COLOURS.values():
        assert 1.05 / (luminance_by_hand(ink(colour)) + 0.05) >= 4.5
