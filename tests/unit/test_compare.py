"""Comparison of two folders of results."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from convttlstm.cli import main
from convttlstm.files import UserError
from convttlstm.sharing.compare import OTHER, SAME, TABLES, Difference, compare
from tests.made_up_runs import DATASET, make_run
from tests.reports import write_report

SEQUENCES = 400
MSE = "MSE x 1000, 30 frames"


COUNTS = "scale,system,multiplications_64\ndemo,conv_lstm,64\n"


def make_evaluated(results: Path, run: str, mse: np.ndarray) -> Path:
    """Make a run with these errors, one a test sequence, at both horizons."""
    folder = make_run(results, run)
    others = {
        "psnr": 20.0,
        "ssim_paper": 0.8,
        "ssim_standard": 0.7,
        "lpips_paper": 0.1,
        "lpips_standard": 0.2,
    }
    columns = {"sequence": np.arange(len(mse)), "mse": mse} | others
    pd.concat([pd.DataFrame({"horizon": h} | columns) for h in (10, 30)]).to_csv(
        folder / "per_sequence.csv", index=False
    )
    (results / "complexity.csv").write_text(COUNTS)
    return folder


def edit(path: Path, *keys: str, value: object) -> None:
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def line(a: Path, b: Path, quantity: str = MSE, run: str = "conv_lstm") -> Difference:
    return next(d for d in compare(a, b).differences if (d.run, d.quantity) == (run, quantity))


@pytest.fixture
def errors() -> tuple[np.ndarray, np.ndarray]:
    """Errors of two runs on sequences that differ much more than the runs do."""
    generator = np.random.default_rng(0)
    sequences = generator.gamma(4, 0.01, size=SEQUENCES)
    return sequences, sequences + generator.normal(0.0005, 0.002, size=SEQUENCES)


@pytest.fixture
def sides(tmp_path: Path, errors: tuple[np.ndarray, np.ndarray]) -> tuple[Path, Path]:
    for name, values in zip("ab", errors, strict=True):
        make_evaluated(tmp_path / name, "conv_lstm-seed0", values)
    return tmp_path / "a", tmp_path / "b"


def test_the_same_sequences_are_compared_pair_by_pair(sides, errors) -> None:
    found = line(*sides)
    differences = 1e3 * (errors[1] - errors[0])
    assert found.evaluated_on == SAME
    assert (found.a, found.b) == pytest.approx((1e3 * errors[0].mean(), 1e3 * errors[1].mean()))
    error = differences.std(ddof=1) / np.sqrt(SEQUENCES)
    quantile = stats.t.ppf(0.975, SEQUENCES - 1)
    assert found.low == pytest.approx(differences.mean() - quantile * error)
    assert found.high == pytest.approx(differences.mean() + quantile * error)
    assert found.sure


def test_different_sequences_are_compared_without_pairs(sides, errors) -> None:
    edit(sides[1] / "runs" / DATASET / "conv_lstm-seed0/config.json", "dataset", "step", value=0.05)
    found = line(*sides)
    assert found.evaluated_on == OTHER
    error = 1e3 * np.sqrt(sum(values.var(ddof=1) / SEQUENCES for values in errors))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert not found.sure


def test_training_settings_do_not_change_the_test_sequences(sides) -> None:
    config = sides[1] / "runs" / DATASET / "conv_lstm-seed0/config.json"
    edit(config, "dataset", "train", "sequences", value=99)
    edit(config, "training", "epochs", value=77)
    assert line(*sides).evaluated_on == SAME
    (settings,) = [table for table in compare(*sides).tables() if table.title == "Other differences"]
    cells = {row.cells[0]: row.cells[1:] for row in settings.rows}
    assert cells["training.epochs"] == ["8", "77", "all"]
    assert cells["dataset.train.sequences"][1] == "99"
    assert len(cells) == 2


def test_a_folder_does_not_differ_from_itself(sides) -> None:
    for difference in compare(sides[0], sides[0]).differences:
        assert difference.a == difference.b and not difference.sure
        assert difference.low in (None, 0) and difference.high in (None, 0)


def test_seeds_of_one_model_are_compared_together(tmp_path: Path, errors) -> None:
    make_evaluated(tmp_path / "a", "conv_lstm-seed0", errors[0])
    for seed in range(3):
        make_evaluated(tmp_path / "b", f"conv_lstm-seed{seed}", errors[0] + 0.001 * seed)
    found = line(tmp_path / "a", tmp_path / "b")
    assert found.b - found.a == pytest.approx(1.0)
    half = 4.3027 * (1 / 3) ** 0.5  # Student's for two degrees of freedom; the seeds' variance is 1
    assert (found.low, found.high) == pytest.approx((1 - half, 1 + half), rel=1e-3)
    text = compare(tmp_path / "a", tmp_path / "b").to_text()
    assert "| seeds " in text


def test_tables_alone_say_whether_intervals_overlap(tmp_path: Path, errors) -> None:
    for name in "ab":
        make_evaluated(tmp_path / name, "conv_lstm-seed0", errors[0])
        make_run(tmp_path / name, "black")
    path = tmp_path / "b" / "runs" / DATASET / "conv_lstm-seed0/metrics.json"
    edit(path, "horizons", "30", "mse", value={"mean": 0.011, "low": 0.0105, "high": 0.012})
    for name in "ab":
        results = tmp_path / name
        output = results / f"tables/table2_{DATASET}"
        write_report("table2", results, DATASET, ["black", "conv_lstm-seed0"], output)
    shutil.rmtree(tmp_path / "b/runs")
    found = line(tmp_path / "a", tmp_path / "b")
    assert (found.low, found.high, found.evaluated_on) == (None, None, TABLES)
    assert found.b == pytest.approx(11) and found.sure
    assert not line(tmp_path / "a", tmp_path / "b", "SSIM, paper protocol, 30 frames").sure
    assert "need its runs/" in compare(tmp_path / "a", tmp_path / "b").to_text()


def test_a_table_and_runs_are_compared_by_both_intervals(sides, errors) -> None:
    output = sides[1] / f"tables/table2_{DATASET}"
    folder = sides[1] / "runs" / DATASET / "conv_lstm-seed0"
    # Within the other's interval, of 1.96 standard errors on either side.
    near = errors[0].mean() + errors[0].std() / np.sqrt(SEQUENCES)
    edit(folder / "metrics.json", "horizons", "30", "mse", value={"mean": near, "low": near, "high": near})
    write_report("table2", sides[1], DATASET, ["conv_lstm-seed0"], output)
    shutil.rmtree(sides[1] / "runs")
    assert not line(*sides).sure


def test_seeds_evaluated_on_different_sequences_are_refused(tmp_path: Path, errors) -> None:
    make_evaluated(tmp_path / "a", "conv_lstm-seed0", errors[0])
    make_evaluated(tmp_path / "a", "conv_lstm-seed1", errors[0][:-1])
    with pytest.raises(
        UserError, match="conv_lstm-seed0: its seeds were evaluated on different test sequences"
    ):
        compare(tmp_path / "a", tmp_path / "a")


def test_a_single_group_of_sequences_has_no_interval_and_decides_nothing(tmp_path: Path) -> None:
    for name, value in zip("ab", (0.01, 0.02), strict=True):
        make_evaluated(tmp_path / name, "conv_lstm-seed0", np.array([value]))
    found = line(tmp_path / "a", tmp_path / "b")
    assert (found.low, found.high, found.sure) == (None, None, False)
    tables = tmp_path / "c/tables"
    tables.mkdir(parents=True)
    cells = {"origin": "reproduced", "runs": "conv_lstm-seed0", "seeds": "1", "part_of": ""}
    pd.DataFrame([cells | {"mse_x1e3_10": "10"}]).to_csv(tables / f"table2_{DATASET}.csv", index=False)
    found = line(tmp_path / "c", tmp_path / "b", "MSE x 1000, 10 frames")
    assert (found.a, found.low, found.high, found.sure) == (10, None, None, False)


def test_other_sequences_of_the_same_number_are_not_paired(sides) -> None:
    """As when one of your own videos was replaced by another."""
    path = sides[1] / "runs" / DATASET / "conv_lstm-seed0/per_sequence.csv"
    table = pd.read_csv(path)
    table.assign(video=[f"clip{number}" for number in table["sequence"]]).to_csv(path, index=False)
    assert line(*sides).evaluated_on == OTHER


def test_labels_are_shown_literally(sides) -> None:
    edit(sides[1] / "runs" / DATASET / "conv_lstm-seed0/config.json", "label", value="<img src=x> [x](y)")
    assert r"\<img src=x> [x]\(y)" in compare(*sides).to_text()


def test_runs_in_only_one_folder_are_listed(sides) -> None:
    make_run(sides[1], "black")
    assert "| only in B | -   | yes | moving_mnist_2/black |" in compare(*sides).to_text()


def test_the_command_prints_or_writes(sides, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = map(str, sides)
    assert main(["compare", a, b]) == 0
    assert f"# A: {a}, B: {b}" in capsys.readouterr().out
    assert main(["compare", a, b, "-o", str(tmp_path / "c.csv")]) == 0
    table = pd.read_csv(tmp_path / "c.csv").set_index("quantity")
    assert table.loc[MSE, "low"] == pytest.approx(line(*sides).low, rel=1e-5)
    assert main(["compare", a, b, "-o", str(tmp_path / "c.md")]) == 0
    assert (tmp_path / "c.md").read_text() == compare(*sides).to_text()


def test_incomparable_folders_are_refused_in_one_line(sides, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: holds neither runs/ nor tables"):
        compare(sides[0], tmp_path / "nowhere")
    make_run(tmp_path / "c", "black")
    with pytest.raises(UserError, match=r"have no run in common; .* has moving_mnist_2/conv_lstm"):
        compare(sides[0], tmp_path / "c")
    with pytest.raises(UserError, match=r"x\.pdf: unknown suffix; name a \.md or \.csv"):
        compare(*sides).write(tmp_path / "x.pdf")
