"""Film strips and figures by label, from a small made-up results folder."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from convttlstm.config import load_settings
from convttlstm.files import UserError
from convttlstm.reporting.drawing import STYLE
from convttlstm.reporting.figures.groups import by_label, draw_groups
from convttlstm.reporting.strips import Strip, choose_strips, draw_strips
from tests.made_up_runs import DATASET, ROOT, make_run
from tests.reports import load_results, write_report

CONTEXT, HORIZON = 10, 30
TESTED = 100
KEPT = [0, 25, 50, 74, 99]
RANKS = ["best", "median", "worst"]
BASELINE, OURS = "conv_lstm-seed0", "conv_tt_lstm-seed0"
CUT_SHORT = "vpn-seed0"
ACTIONS = ["boxing", "jogging", "walking"]


def frames_of(source: str, sequence: int, count: int) -> np.ndarray:
    """Return frames unlike any others, uint8 (count, 1, 32, 32)."""
    random = np.random.default_rng([*source.encode(), sequence])
    return random.integers(0, 256, (count, 1, 32, 32), np.uint8)


def make_evaluated(
    results: Path, run: str, kept: list[int] = KEPT, lpips: bool = True, labelled: bool = True
) -> Path:
    folder = make_run(results, run, lpips=lpips)
    truth = np.stack([frames_of("truth", sequence, CONTEXT + HORIZON) for sequence in kept])
    prediction = np.stack([frames_of(run, sequence, HORIZON) for sequence in kept])
    np.savez_compressed(folder / "examples.npz", truth=truth, prediction=prediction, sequence=np.array(kept))
    random = np.random.default_rng(list(run.encode()))
    tables = []
    for horizon in (10, HORIZON):
        values = {"mse": random.uniform(0.01, 0.09, TESTED), "psnr": random.uniform(10, 30, TESTED)}
        values |= {name: random.uniform(0.5, 0.9, TESTED) for name in ("ssim_paper", "ssim_standard")}
        if lpips:
            values |= {name: random.uniform(0.1, 0.3, TESTED) for name in ("lpips_paper", "lpips_standard")}
        labels = {"action": np.array(ACTIONS)[np.arange(TESTED) % 3]} if labelled else {}
        sequences = {"horizon": np.full(TESTED, horizon), "sequence": np.arange(TESTED)}
        tables.append(pd.DataFrame(sequences | labels | values))
    pd.concat(tables).to_csv(folder / "per_sequence.csv", index=False)
    return folder


def sequences_of(strips: list[Strip]) -> list[int]:
    return [int(re.findall(r"test sequence (\d+)", strip.head)[0]) for strip in strips]


@pytest.mark.parametrize(
    ("runs", "reference", "why"),
    [
        ([BASELINE, OURS, "copy_last"], OURS, "the last fully trained model of Table 2"),
        ([BASELINE, CUT_SHORT], BASELINE, "the last fully trained model of Table 2"),
        ([CUT_SHORT, "ctt_1x1-seed0", "black"], "ctt_1x1-seed0", "the last trained run"),
        (["copy_last", "black"], "copy_last", "the last run"),
    ],
)
@pytest.mark.parametrize("kept", [KEPT, KEPT[:4], KEPT[2:3]])
def test_best_median_and_worst_sequences_equal_a_plain_sort(
    tmp_path: Path, runs: list[str], reference: str, why: str, kept: list[int]
) -> None:
    for run in runs:
        make_evaluated(tmp_path, run, kept)
    strips, note = choose_strips(load_results(tmp_path, DATASET, runs), RANKS)
    table = pd.read_csv(tmp_path / "runs" / DATASET / reference / "per_sequence.csv")
    table = table[(table["horizon"] == HORIZON) & table["sequence"].isin(kept)]
    ranked = table.sort_values("ssim_paper", ascending=False)
    middle = {1: 0, 4: 2, 5: 2}[len(kept)]
    expected = ranked.iloc[[0, middle, -1]]
    assert sequences_of(strips) == list(expected["sequence"])
    for strip, rank, ssim in zip(strips, RANKS, expected["ssim_paper"], strict=True):
        assert strip.head.startswith(f"{rank} of {len(kept)} kept: ")
        assert strip.head.endswith(f"SSIM {ssim:.3f}")
    assert note.splitlines()[1].endswith(f", {why}")


def shown_in(figure: Figure, axes: int) -> dict[float, dict[int, np.ndarray]]:
    """Return the pixels of a strip by the middle of their row and by the time mark above them."""
    strip = figure.axes[axes]
    marks = {text.get_position()[0]: text.get_text() for text in strip.texts if text.get_ha() == "center"}
    rows: dict[float, dict[int, np.ndarray]] = {}
    for image in strip.images:
        left, right, bottom, top = image.get_extent()
        [mark] = [mark for x, mark in marks.items() if x == pytest.approx((left + right) / 2)]
        rows.setdefault(round((top + bottom) / 2, 3), {})[int(mark.removeprefix("t = "))] = image.get_array()
    return dict(sorted(rows.items()))


def test_frames_are_below_their_time_and_next_to_their_run(tmp_path: Path) -> None:
    runs = ["copy_last", BASELINE, OURS]
    for run in runs:
        make_evaluated(tmp_path, run)
    strips, _ = choose_strips(load_results(tmp_path, DATASET, runs), RANKS)
    figure = draw_strips(strips, CONTEXT)
    assert len(figure.axes) == 3
    for axes, sequence in enumerate(sequences_of(strips)):
        (_, truth), *predictions = shown_in(figure, axes).items()
        expected = frames_of("truth", sequence, CONTEXT + HORIZON)
        assert list(truth) == [1, 6, 11, 16, 21, 26, 31, 36]
        for t, pixels in truth.items():
            np.testing.assert_array_equal(pixels, expected[t - 1, 0])
        names = {round(text.get_position()[1], 3): text.get_text() for text in figure.axes[axes].texts}
        assert len(predictions) == len(runs)
        for run, title, (middle, prediction) in zip(
            runs, ["Copy last frame", "ConvLSTM (baseline)", "Conv-TT-LSTM"], predictions, strict=True
        ):
            expected = frames_of(run, sequence, HORIZON)
            assert list(prediction) == [11, 16, 21, 26, 31, 36]
            for t, pixels in prediction.items():
                np.testing.assert_array_equal(pixels, expected[t - 11, 0])
            assert names[middle] == title
        for image in figure.axes[axes].images:
            assert (image.norm.vmin, image.norm.vmax, image.get_interpolation()) == (0, 255, "none")


def test_colour_and_proportions_are_kept() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 256, (7, 3, 8, 12), np.uint8)
    figure = draw_strips([Strip("wide", truth, [("Model", truth[3:])])], 3)
    (first, *_), (*_, last) = (list(row.values()) for row in shown_in(figure, 0).values())
    np.testing.assert_array_equal(first, np.moveaxis(truth[0], 0, -1))
    np.testing.assert_array_equal(last, np.moveaxis(truth[3], 0, -1))
    figure.draw_without_rendering()
    for image in figure.axes[0].images:
        box = image.get_window_extent()
        assert box.width / box.height == pytest.approx(12 / 8)


@pytest.mark.parametrize(("frames", "strips"), [(40, 1), (50, 1), (50, 3)])
def test_nothing_overlaps_with_ten_models(frames: int, strips: int) -> None:
    titles = sorted({s.title for s in load_settings(ROOT / "config/paper.yaml").systems.values()}, key=len)
    truth = np.zeros((frames, 1, 8, 8), np.uint8)
    rows = [(f"{title}, N2, seed 1 *", truth[CONTEXT:]) for title in titles[-10:]]
    assert len(rows) == 10
    with style.context(["default", STYLE]):
        figure = draw_strips([Strip("worst of 9 kept", truth, rows)] * strips, CONTEXT)
        figure.draw_without_rendering()
        artists = [artist for axes in figure.axes for artist in (*axes.texts, *axes.images)]
        boxes = [artist.get_window_extent() for artist in artists]
    assert min(box.x0 for box in boxes) >= 0 and max(box.x1 for box in boxes) <= figure.bbox.x1
    assert min(box.y0 for box in boxes) >= 0 and max(box.y1 for box in boxes) <= figure.bbox.y1
    for i, box in enumerate(boxes):
        for other in boxes[:i]:
            common = Bbox.intersection(box, other)
            assert common is None or min(common.width, common.height) < 0.01, (box, other)


@pytest.mark.parametrize(("systems", "height", "width"), [(4, 8, 8), (2, 12, 8), (6, 8, 12)])
def test_a_gallery_fits_on_one_page(systems: int, height: int, width: int) -> None:
    truth = np.zeros((40, 1, height, width), np.uint8)
    strip = Strip("", truth, [("Model", truth[CONTEXT:])] * systems)
    assert draw_strips([strip] * 3, CONTEXT).get_figheight() == pytest.approx(9)


def test_runs_that_kept_other_sequences_are_left_out_and_named(tmp_path: Path) -> None:
    make_evaluated(tmp_path, OURS)
    [best, median, worst] = sequences_of(choose_strips(load_results(tmp_path, DATASET, [OURS]), RANKS)[0])
    make_evaluated(tmp_path, CUT_SHORT, [1, 2, 3])
    make_evaluated(tmp_path, BASELINE, [7, median])
    runs = [CUT_SHORT, BASELINE, OURS]
    strips, note = choose_strips(load_results(tmp_path, DATASET, runs), RANKS)
    shown = [[name for name, _ in strip.predictions] for strip in strips]
    assert shown == [["Conv-TT-LSTM"], ["ConvLSTM (baseline)", "Conv-TT-LSTM"], ["Conv-TT-LSTM"]]
    np.testing.assert_array_equal(
        strips[1].predictions[0][1], frames_of(BASELINE, median, HORIZON), strict=True
    )
    left_out = "left out, as they did not keep the sequence: "
    assert f"{left_out}VPN (baseline) *, ConvLSTM (baseline) (best, worst)\n" in note
    assert "\n* trained for only a few updates" in note
    _, note = choose_strips(load_results(tmp_path, DATASET, runs), ["median"])
    assert f"{left_out}VPN (baseline) *\n" in note
    assert left_out not in choose_strips(load_results(tmp_path, DATASET, [OURS]), RANKS)[1]
    assert best != worst


def test_another_sequence_under_the_same_number_is_refused(tmp_path: Path) -> None:
    make_evaluated(tmp_path, OURS)
    folder = make_evaluated(tmp_path, BASELINE)
    with np.load(folder / "examples.npz") as arrays:
        changed = dict(arrays) | {"truth": arrays["truth"][::-1] // 2}
    np.savez(folder / "examples.npz", **changed)
    with pytest.raises(UserError, match=r"conv_lstm-seed0/examples\.npz: test sequence \d+ is not the one"):
        write_report("figure3", tmp_path, DATASET, [BASELINE, OURS], tmp_path / "figure3")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def flip(path: Path) -> None:
    """Spoil the compressed bytes themselves, not the archive around them."""
    content = bytearray(path.read_bytes())
    start = content.index(b"truth.npy") + 40
    content[start : start + 100] = b"\xff" * 100
    path.write_bytes(content)


def without_sequences(path: Path) -> None:
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in ("truth", "prediction")}
    np.savez(path, **kept)


def one_frame_less(path: Path) -> None:
    with np.load(path) as arrays:
        changed = dict(arrays) | {"prediction": arrays["prediction"][:, 1:]}
    np.savez(path, **changed)


def none_kept(path: Path) -> None:
    with np.load(path) as arrays:
        changed = {name: arrays[name][:0] for name in arrays}
    np.savez(path, **changed)


def no_number(path: Path) -> None:
    path.write_text(re.sub(r"(?m)^30,74,.*$", "30,74,jogging,much,much,much,1,1,1", path.read_text()))


def no_line(path: Path) -> None:
    path.write_text(re.sub(r"(?m)^30,74,.*\n", "", path.read_text()))


@pytest.mark.parametrize(
    ("file", "spoil", "says"),
    [
        ("examples.npz", Path.unlink, "no such file; evaluate the run first"),
        ("examples.npz", truncate, "damaged"),
        ("examples.npz", flip, "damaged"),
        ("examples.npz", without_sequences, "damaged"),
        ("examples.npz", one_frame_less, "does not fit context 10 and horizon 30"),
        ("examples.npz", none_kept, "does not fit"),
        ("per_sequence.csv", Path.unlink, "no such file"),
        ("per_sequence.csv", no_number, "evaluate the run again"),
        ("per_sequence.csv", no_line, "no sequence 74 at horizon 30"),
    ],
)
def test_a_bad_file_gives_one_line_and_no_output(
    tmp_path: Path, file: str, spoil: Callable[[Path], None], says: str
) -> None:
    path = make_evaluated(tmp_path, OURS) / file
    spoil(path)
    for name in ("figure3", "appendix_gallery"):
        with pytest.raises(UserError) as error:
            write_report(name, tmp_path, DATASET, [OURS], tmp_path / "out/strip")
        assert str(error.value).startswith(f"{path}: ") and says in str(error.value)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_label_gives_one_line_and_no_output(tmp_path: Path) -> None:
    labelled, plain = make_evaluated(tmp_path, OURS), make_evaluated(tmp_path, BASELINE, labelled=False)
    for folder, label, says in ((labelled, "scenario", "action"), (plain, "action", "none")):
        [result] = load_results(tmp_path, DATASET, [folder.name])
        with pytest.raises(UserError) as error:
            by_label(result, label)
        path = folder / "per_sequence.csv"
        assert str(error.value) == f"{path}: sequences have no label '{label}'; they have {says}"
    with pytest.raises(UserError, match="no label 'psnr'"):
        by_label(load_results(tmp_path, DATASET, [OURS])[0], "psnr")
    with pytest.raises(UserError, match="no label 'action'"):
        write_report("groups", tmp_path, DATASET, [BASELINE], tmp_path / "out/groups")
    assert not (tmp_path / "out").exists()


def test_group_means_are_those_of_groupby(tmp_path: Path) -> None:
    make_evaluated(tmp_path, OURS)
    make_evaluated(tmp_path, BASELINE, lpips=False)
    write_report("groups", tmp_path, DATASET, [BASELINE, OURS], tmp_path / "groups")
    written = pd.read_csv(tmp_path / "groups.csv").set_index(["run", "action"])
    assert len(written) == 6 and set(written["horizon"]) == {HORIZON}
    columns = {"psnr": ("psnr", 1), "ssim_paper": ("ssim_paper", 1), "lpips_paper": ("lpips_paper_x1e3", 1e3)}
    for run in (BASELINE, OURS):
        table = pd.read_csv(tmp_path / "runs" / DATASET / run / "per_sequence.csv")
        groups = table[table["horizon"] == HORIZON].groupby("action")
        assert list(written.loc[run, "n"]) == list(groups.size()) == [34, 33, 33]
        for metric, (column, scale) in columns.items():
            if metric not in table:
                assert set(written.loc[run, column]) == {"not computed"}
                continue
            mean, low, high = (written.loc[run, column + end].astype(float) for end in ("", "_low", "_high"))
            np.testing.assert_allclose(mean, groups[metric].mean() * scale, rtol=1e-5)
            # The normal interval; a bootstrap of a few dozen sequences comes within a tenth or so.
            error = groups[metric].std() / np.sqrt(groups.size()) * scale
            np.testing.assert_allclose(high - low, 2 * 1.96 * error, rtol=0.2)
            assert (low < mean).all() and (mean < high).all()


def test_groups_are_drawn_at_their_means_without_overlap(tmp_path: Path) -> None:
    runs = ["copy_last", BASELINE, OURS]
    for run in runs:
        make_evaluated(tmp_path, run, lpips=run != "copy_last")
    loaded = load_results(tmp_path, DATASET, runs)
    figure = draw_groups(loaded, [by_label(result, "action") for result in loaded], "action")
    panels = {axes.get_title(loc="left").split(" ")[0]: axes for axes in figure.axes}
    assert list(panels) == ["PSNR", "SSIM", "LPIPS"]
    for panel, metric, scale in (
        ("PSNR", "psnr", 1),
        ("SSIM", "ssim_paper", 1),
        ("LPIPS", "lpips_paper", 1e3),
    ):
        taken: list[float] = []
        lines = {line.get_label(): line for line in panels[panel].lines if line.get_marker() != "None"}
        for run, title in zip(runs, ["Copy last frame", "ConvLSTM (baseline)", "Conv-TT-LSTM"], strict=True):
            x, y = lines[title].get_data()
            if (run, panel) == ("copy_last", "LPIPS"):
                assert len(x) == 0
                continue
            table = pd.read_csv(tmp_path / "runs" / DATASET / run / "per_sequence.csv")
            means = table[table["horizon"] == HORIZON].groupby("action")[metric].mean()
            np.testing.assert_allclose(y, means[ACTIONS] * scale)
            assert list(np.round(x)) == [0, 1, 2]  # each above its label
            taken += list(x)
        assert len({round(x, 6) for x in taken}) == len(taken)
        assert len({line.get_marker() for line in lines.values()}) == len(runs)
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ACTIONS


def test_reports_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    runs = [BASELINE, OURS]
    for run in runs:
        make_evaluated(tmp_path, run, KEPT[:3])
    for folder in ("first", "second"):
        for name in ("figure3", "appendix_gallery", "groups"):
            write_report(name, tmp_path, DATASET, runs, tmp_path / folder / name)
    written = sorted(path.name for path in (tmp_path / "first").iterdir())
    kinds = ("pdf", "svg", "txt")
    expected = [f"{name}.{kind}" for name in ("appendix_gallery", "figure3", "groups") for kind in kinds]
    assert written == sorted([*expected, "groups.csv"])
    for name in written:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
