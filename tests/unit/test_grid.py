"""Reports on a grid before, during and after its search: estimate, status, table and heat maps."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from convttlstm.config import (
    Settings,
    cost_digest,
    digests,
    grid_runs,
    load_settings,
    planned_run,
    resolve_run,
)
from convttlstm.config.models import SYMBOLS
from convttlstm.evaluation.complexity import ModelCounts
from convttlstm.evaluation.selection import select
from convttlstm.files import UserError
from convttlstm.models import create_model
from convttlstm.planning.clock import Clock, read_times
from convttlstm.planning.estimate import Estimate
from convttlstm.planning.estimate import estimate as estimate_of
from convttlstm.planning.estimate import to_text as estimate_text
from convttlstm.planning.status import status
from convttlstm.planning.status import to_text as status_text
from convttlstm.slurm import Job
from convttlstm.training.locks import archive
from tests.reports import write_report

ROOT = Path(__file__).parents[2]
TIMES = ROOT / "benchmarks/results/system_times-AMD_EPYC-torch2.13.0.csv"
DATASET = "moving_mnist_2"


def estimate(settings: Settings, scale: str, times: Path, minutes: float | None = None) -> Estimate:
    return estimate_of(settings, scale, times, ModelCounts(settings, settings), minutes)


@pytest.fixture(scope="module")
def paper() -> Settings:
    return load_settings(ROOT / "config/paper.yaml")


def only(settings: Settings, **experiment: Any) -> Settings:
    """Return the settings with Moving-MNIST-2 alone, and these changes to its experiment."""
    content = settings.model_dump()
    plain = {"ablations": [], "grid": [], "finalists": [], "halving": None, "seeds": [0]}
    content["experiments"] = {DATASET: content["experiments"][DATASET] | plain | experiment}
    return Settings.model_validate(content)


def test_hours_are_those_of_the_given_speed(paper: Settings) -> None:
    """7.4 minutes for 10,000 samples are 500 times as much for 500 epochs of them."""
    found = estimate(only(paper, table=["conv_tt_lstm"]), "paper", TIMES, minutes=7.4)
    training, evaluating = found.stages
    assert (training.jobs, evaluating.jobs, found.copied) == (1, 1, 0)
    assert training.hours == pytest.approx(500 * 7.4 / 60)
    # Forward takes 2.681 of 8.284 seconds there, and 39 steps instead of 19.
    assert evaluating.hours == pytest.approx(5000 / 10_000 * 7.4 / 60 * 2.681 / 8.284 * 39 / 19, rel=1e-3)


def test_hours_and_storage_are_proportional_to_parameters(paper: Settings) -> None:
    grid = {"system": "conv_tt_lstm", "order": [1], "steps": [1], "rank": [4]}
    found = estimate(only(paper, table=["conv_tt_lstm"], grid=[grid]), "paper", TIMES)
    plain, other = (stage for stage in found.stages if stage.name.startswith("train"))
    settings = paper.systems["conv_tt_lstm"].model.hyper()
    with torch.device("meta"):
        model = create_model("conv_tt_lstm", **(settings | {"order": 1, "steps": 1, "rank": 4}))
    ratio = sum(value.numel() for value in model.parameters()) / 2_687_281
    assert other.hours / plain.hours == pytest.approx(ratio)
    assert other.gigabytes / plain.gigabytes == pytest.approx(ratio)


def test_halving_takes_fewer_hours_for_the_same_points(paper: Settings) -> None:
    """48 points: 32 epochs, a quarter for 96 more, three for 372 more; of 48 times 500."""
    grid = paper.experiments[DATASET].grid[0].model_dump()
    halving = {"epochs": 32, "factor": 4}
    found = [
        estimate(only(paper, table=["black"], grid=[grid], halving=h, finalists=[0, 1]), "paper", TIMES)
        for h in (None, halving)
    ]
    full, rounds = (
        [stage for stage in one.stages if stage.name.startswith(("train: grid", "search"))] for one in found
    )
    assert [stage.jobs for stage in full + rounds] == [48, 48, 12, 3]
    share = sum(stage.hours for stage in rounds) / full[0].hours
    assert share == pytest.approx((48 * 32 + 12 * 96 + 3 * 372) / (48 * 500))
    # Both are said, whichever the settings choose; the winner with the first seed is copied.
    assert found[0].searches == pytest.approx(found[1].searches)
    hours = [sum(stage.hours for stage in stages) for stages in (rounds, full)]
    assert list(found[0].searches.values()) == pytest.approx(hours)
    text = estimate_text(found[1], TIMES, None)
    said = f"{hours[0]:,.0f} in rounds and {hours[1]:,.0f} every point to its end"
    assert said in text and "1 selected runs are copies" in text


def test_times_of_the_papers_models_are_scaled_down_to_smaller_ones(paper: Settings) -> None:
    """Those of the same name by parameters and pixels, others by multiplications."""
    laptop = load_settings(ROOT / "config/laptop.yaml")
    clock = Clock(read_times(TIMES), ModelCounts(laptop, paper))
    measured = pd.read_csv(TIMES).set_index(["system", "size"])
    times = measured["training_seconds"]
    smaller = 82_581 / 3_973_201 * (16 / 64) ** 2
    run = planned_run(laptop, "laptop", DATASET, "conv_lstm-seed0")
    assert clock.training(run) == pytest.approx(times["conv_lstm", 64] * smaller)
    # At evaluation 30 frames are predicted, although the longest horizon is 15.
    predicted = 500 * measured["forward_seconds"]["conv_lstm", 64] * smaller
    assert clock.evaluating(run) == pytest.approx(predicted * (10 + 30 - 1) / (10 + 10 - 1))
    narrow = clock.training(planned_run(laptop, "laptop", DATASET, "conv_lstm_narrow-seed0"))
    assert narrow < times["conv_tt_lstm", 64] / 500


def test_the_estimate_names_its_device_and_its_omissions(paper: Settings) -> None:
    text = estimate_text(estimate(only(paper, table=["conv_tt_lstm", "vpn"]), "paper", TIMES), TIMES, None)
    assert "AMD EPYC" in text and "1 evaluations, of videos" in text


@pytest.mark.parametrize("content, reason", [(None, "no such file"), ("device,size\nx,64\n", "not a table")])
def test_unusable_times_are_refused(tmp_path: Path, paper: Settings, content, reason) -> None:
    path = tmp_path / "times.csv"
    if content:
        path.write_text(content)
    with pytest.raises(UserError, match=reason):
        estimate(only(paper, table=["conv_tt_lstm"]), "paper", path)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A run's folder that another process trains in."""
    folder = tmp_path / "runs" / DATASET / "conv_lstm-seed0"
    code = "import sys; from pathlib import Path; from convttlstm.training.locks import run_lock\n"
    code += f"with run_lock(Path({str(folder)!r})): print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline()
    yield folder
    process.communicate()


def test_a_run_in_training_cannot_be_archived(held: Path) -> None:
    (held / "config.json").write_text("{}")
    with pytest.raises(UserError, match="a process is training this run; stop it first"):
        archive(held)
    assert held.is_dir()


@pytest.mark.parametrize(("rungs", "margin"), [([1, 0, 0], None), ([1, 1, 0], 0.001)])
def test_the_margin_is_to_the_next_of_the_same_round(
    tmp_path: Path, paper: Settings, rungs: list[int], margin: float | None
) -> None:
    names = grid_runs(paper, DATASET, "conv_tt_lstm")[:3]
    for name, loss, rung in zip(names, (0.030, 0.031, 0.0301), rungs, strict=True):
        entry = {"run": name, "validation_loss": loss, "epoch": 1, "epochs": 32, "rung": rung}
        (tmp_path / f"{name}.json").write_text(json.dumps(entry))
    select(paper, DATASET, tmp_path, tmp_path / "selection.json", sorted(tmp_path.glob("conv*.json")))
    winner = json.loads((tmp_path / "selection.json").read_text())["winners"]["conv_tt_lstm"]
    assert winner["run"] == names[0]
    assert winner["margin"] is None if margin is None else winner["margin"] == pytest.approx(margin)


@pytest.mark.parametrize(
    ("run", "place"),
    [("results/mine/runs/kth/a-seed0", "results/mine/archived/kth/a-seed0-1"), ("a", "archived/a-1")],
)
def test_runs_are_archived_within_their_scale_or_next_to_them(tmp_path: Path, run: str, place: str) -> None:
    (tmp_path / run).mkdir(parents=True)
    (tmp_path / run / "config.json").write_text("{}")
    assert archive(tmp_path / run) == tmp_path / place
    assert (tmp_path / place / "config.json").is_file()


def test_a_setting_changes_only_the_digests_of_its_stages(paper: Settings) -> None:
    """The test horizon belongs to the evaluation, a model's learning rate to the training of that model."""
    before = digests(paper, "paper")
    content = paper.model_dump(mode="json")
    content["datasets"][DATASET]["test_horizons"] = [10]
    after = digests(Settings.model_validate(content), "paper")
    assert before["train"] == after["train"] and before["data"][DATASET] != after["data"][DATASET]
    assert all(
        after["evaluate"][DATASET][run] != digest for run, digest in before["evaluate"][DATASET].items()
    )
    assert before["evaluate"]["kth"] == after["evaluate"]["kth"]

    content = paper.model_dump(mode="json")
    content["systems"]["conv_lstm"]["training"] = {"learning_rate": 0.5}
    after = digests(Settings.model_validate(content), "paper")
    changed = {
        run for run, digest in before["train"][DATASET].items() if after["train"][DATASET][run] != digest
    }
    assert changed == {run for run in before["train"][DATASET] if run.startswith("conv_lstm-")}
    assert before["evaluate"] == after["evaluate"] and before["data"] == after["data"]


@pytest.mark.parametrize("scale", ["paper", "demo"])
def test_costs_are_counted_again_for_other_models_only(paper: Settings, scale: str) -> None:
    """Also where the changed model is the paper's, and a demo has its own in its place."""
    demo = load_settings(ROOT / "config/demo.yaml")

    def digest(*keys: str, value: object) -> str:
        content = paper.model_dump(mode="json")
        group = content
        for key in keys[:-1]:
            group = group[key]
        group[keys[-1]] = value
        changed = Settings.model_validate(content)
        return cost_digest({"paper": changed} if scale == "paper" else {"paper": changed, "demo": demo})

    before = cost_digest({"paper": paper} if scale == "paper" else {"paper": paper, "demo": demo})
    experiment = paper.experiments[DATASET].model_dump(mode="json")
    assert digest("systems", "conv_lstm", "training", value={"learning_rate": 0.5}) == before
    assert digest("experiments", DATASET, "seeds", value=[7]) == before
    assert digest("systems", "conv_lstm", "model", "kernel_size", value=3) != before
    assert digest("experiments", DATASET, "ablations", value=experiment["ablations"][1:]) != before


def test_costs_are_counted_again_for_another_row_of_a_demo(paper: Settings) -> None:
    demo = load_settings(ROOT / "config/demo.yaml")
    content = demo.model_dump(mode="json")
    content["experiments"][DATASET]["table"].append("conv_tt_n1")
    changed = Settings.model_validate(content)
    assert cost_digest({"paper": paper, "demo": changed}) != cost_digest({"paper": paper, "demo": demo})


def test_status_shows_the_state_of_each_run(held: Path, tmp_path: Path, paper: Settings, monkeypatch) -> None:
    """Trained; not evaluated; under way with 4 of 500 epochs of an hour; failed, twice; begun; queued."""
    monkeypatch.chdir(tmp_path)
    runs = ["conv_lstm", "conv_tt_lstm", "predrnn_pp", "conv_lstm_ttd", "e3d_lstm", "vpn", "conv_lstm_shi"]
    settings, folder = only(paper, table=["black", *runs]), held.parent
    history = pd.DataFrame({"epoch": [1, 2, 3, 4], "validation_loss": [4.0, 2, 3, 3], "seconds": 3600.0})
    history.to_csv(held / "history.partial.csv", index=False)
    done = folder / "conv_tt_lstm-seed0"
    done.mkdir()
    whole = pd.DataFrame({"epoch": range(1, 501), "validation_loss": 2.0, "seconds": 3600.0})
    whole.to_csv(done / "history.csv", index=False)
    (done / "best.safetensors").touch()
    unevaluated = folder / "conv_lstm_shi-seed0"
    unevaluated.mkdir()
    (unevaluated / "best.safetensors").touch()
    evaluation_log = tmp_path / f"logs/evaluate/{DATASET}/conv_lstm_shi-seed0.log"
    evaluation_log.parent.mkdir(parents=True)
    evaluation_log.write_text("convttlstm: error: LPIPS needs AlexNet's weights\n")
    begun = folder / "e3d_lstm-seed0"
    begun.mkdir()
    (begun / "history.partial.csv").write_text(pd.DataFrame([]).to_csv(index=False))
    log = tmp_path / f"logs/train/{DATASET}/predrnn_pp-seed0.log"
    log.parent.mkdir(parents=True)
    log.write_text("predrnn_pp-seed0 epoch 1/500\nconvttlstm: error: the loss is nan in epoch 2\n")
    (log.parent / "conv_lstm_ttd-seed0.log").touch()
    slurm = tmp_path / f".snakemake/slurm_logs/rule_train/{DATASET}_conv_lstm_ttd-seed0/7.log"
    slurm.parent.mkdir(parents=True)
    slurm.write_text("host: a\nslurmstepd-a: error: Exceeded job memory limit\nWorkflowError:\n")
    comments = [f"rule_train_wildcards_{DATASET}_vpn-seed0", f"rule_evaluate_wildcards_{DATASET}_black"]
    queue = [Job("7", "PENDING", "Priority", comment) for comment in [*comments, "rule_complexity"]]
    lines = {line.run.partition("-")[0]: line for line in status(settings, "paper", tmp_path, queue)}
    states = ["running", "done", "failed", "failed", "to do", "waiting", "failed"]
    assert [lines[run].state for run in runs] == states
    running = lines["conv_lstm"]
    assert (running.epoch, running.epochs, running.loss) == (4, 500, 2.0)
    saved = (held / "history.partial.csv").stat().st_mtime
    assert running.ends == pytest.approx(saved + 496 * 3600)
    history.to_csv(done / "history.csv", index=False)  # trained when fewer epochs were asked for
    (again,) = (x for x in status(settings, "paper", tmp_path, queue) if x.run == done.name)
    assert (again.state, again.epoch) == ("to do", 4)
    text = status_text(list(lines.values()), queue, saved)
    assert f"{DATASET}: 7 runs: 1 done, 1 running, 1 waiting, 3 failed, 1 to do" in text
    assert "epoch    4/500  best 2.00000  ends" in text
    assert "the loss is nan" in text and "Exceeded job memory limit" in text
    assert "trained, not evaluated: convttlstm: error: LPIPS needs AlexNet's weights" in text
    assert text.endswith("other jobs in Slurm's queue: 1 evaluate, 1 complexity")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path, dict[str, float]]:
    """The demo's settings with a grid of 2 x 3 x 2 x 1 points, the results, and the losses made up."""
    results = tmp_path_factory.mktemp("searched")
    content = load_settings(ROOT / "config/demo.yaml").model_dump()
    own = content["experiments"][DATASET]
    own["grid"] = [
        {
            "system": "conv_tt_lstm",
            "kernel_size": [3, 5],
            "order": [1, 2, 3],
            "rank": [2, 4],
            "steps": [3],
        }
    ]
    settings = Settings.model_validate(content | {"experiments": {DATASET: own}})
    losses = {run: 0.1 - 0.001 * i for i, run in enumerate(grid_runs(settings, DATASET))}
    for run, loss in losses.items():
        folder = results / "runs" / DATASET / run
        folder.mkdir(parents=True)
        pd.DataFrame({"epoch": [1, 2], "validation_loss": [loss, loss + 1]}).to_csv(folder / "history.csv")
    select(settings, DATASET, results / "runs" / DATASET, results / f"selection/{DATASET}.json")
    write_report("grid", results, DATASET, [], results / f"tables/grid_{DATASET}", settings)
    write_report("heat_map", results, DATASET, [], results / f"figures/heat_map_{DATASET}", settings)
    return settings, results, losses


def test_the_grids_table_holds_every_point_best_first(searched) -> None:
    settings, results, losses = searched
    with (results / f"tables/grid_{DATASET}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == sorted(losses, key=lambda run: losses[run])
    assert [row["won"] for row in rows] == ["True"] + 11 * ["False"]
    for row in rows:
        run = resolve_run(settings, "demo", DATASET, row["run"])
        values = run.model.hyper()
        assert all(int(row[symbol]) == values[name] for name, symbol in SYMBOLS.items() if values.get(name))
        model = create_model(run.model.name, 1, **values)
        assert int(row["parameters"]) == sum(value.numel() for value in model.parameters())
        assert float(row["validation_loss"]) == losses[row["run"]] and row["epoch"] == "1"
    text = (results / f"tables/grid_{DATASET}.md").read_text()
    assert "0.00100 ahead of the next" in text and "Demo scale" in text


def test_heat_maps_write_every_loss_and_say_their_scale(searched) -> None:
    _, results, losses = searched
    drawn = (results / f"figures/heat_map_{DATASET}.svg").read_text()
    for loss in losses.values():
        assert drawn.count(f"<!-- {loss:.4f} -->") == 1
    assert all(f"<!-- S = {size}, M = 3 -->" in drawn for size in (3, 5)) and "demo scale" in drawn
