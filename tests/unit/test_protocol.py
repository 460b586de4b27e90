import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from convttlstm.config import Evaluation, Run, load_settings, resolve_run
from convttlstm.data.clips import Subset
from convttlstm.evaluation.lpips_metric import Lpips
from convttlstm.evaluation.protocol import EvaluationSet, evaluate
from convttlstm.files import UserError

CONFIG = Path(__file__).parents[2] / "config/demo.yaml"
CONTEXT, HORIZONS, SEQUENCES, SIZE = 4, [2, 5], 7, 32
PROVENANCE = {"command": "a test", "commit": None}
PLAIN = ["mse", "psnr", "ssim_paper", "ssim_standard"]


class Bytes:
    """Test sequences in memory, two frames longer than needed."""

    def __init__(self) -> None:
        shape = (SEQUENCES, CONTEXT + max(HORIZONS) + 2, 1, SIZE, SIZE)
        self.bytes = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
        self.bytes[0] = 0

        self.sha256 = ""
        self.labels = {"weekday": np.array(list("smtwtfs"))}

    def __len__(self) -> int:
        return SEQUENCES

    def batch(self, indices: Sequence[int] | np.ndarray, device: torch.device | str = "cpu") -> Tensor:
        return torch.from_numpy(self.bytes[np.asarray(indices)]).float() / 255


class Drift(nn.Module):
    """Contrasts the last frame a little more each time: leaves [0, 1], so clamping shows.

    `reconstructs` adds one-step outputs for the context, as the recurrent models return them.
    """

    def __init__(self, reconstructs: bool = False) -> None:
        super().__init__()
        self.reconstructs = reconstructs
        self.gain = nn.Parameter(torch.tensor([1.3, 0.5]))
        self.drop = nn.Dropout(0.5)

    def forward(self, frames: Tensor, context: int, horizon: int, sampling: Tensor | None = None) -> Tensor:
        frame, outputs = frames[:, context - 1], []
        for _ in range(horizon):
            frame = self.gain[0] * (self.drop(frame) - self.gain[1]) + self.gain[1]
            outputs.append(frame)
        predicted = torch.stack(outputs, dim=1)
        return torch.cat([frames[:, 1:context], predicted], dim=1) if self.reconstructs else predicted


def settings(**changes: Any) -> Run:
    run = resolve_run(load_settings(CONFIG), "demo", "moving_mnist_2", "conv_lstm-seed0")
    dataset = run.dataset.model_copy(update={"context": CONTEXT, "test_horizons": HORIZONS})
    evaluation = Evaluation(batch_size=3, examples=4)
    return run.model_copy(update={"dataset": dataset, "evaluation": evaluation} | changes)


def evaluate_default(
    output: Path, lpips: Lpips | None = None, model: nn.Module | None = None
) -> dict[str, Any]:
    return evaluate_run(settings(), output, lpips, model)


def evaluate_run(
    run: Run, output: Path, lpips: Lpips | None = None, model: nn.Module | None = None
) -> dict[str, Any]:
    sets = [EvaluationSet(run.dataset.test_horizons, Bytes())]
    return evaluate(run, model or Drift(), sets, output, lpips, "cpu", PROVENANCE)


FILES = (("per", ""), ("training", "s"))


def columns(path: Path, text: Sequence[str] = ("weekday",)) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    texts = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {name: values if name in text else values.astype(float) for name, values in texts.items()}


def brute_force() -> dict[str, np.ndarray]:
    """Return every metric (sequence, frame), frame by frame, with none of the code under test."""
    values = {name: np.zeros((SEQUENCES, max(HORIZONS))) for name in PLAIN}
    for sequence, frames in enumerate(Bytes().bytes[:, :, 0] / 255):
        predicted = frames[CONTEXT - 1]
        for step in range(max(HORIZONS)):
            predicted = 1.3 * (predicted - 0.5) + 0.5
            shown, truth = np.clip(predicted, 0, 1), frames[CONTEXT + step]
            error = np.mean((shown - truth) ** 2)
            values["mse"][sequence, step] = error
            values["psnr"][sequence, step] = 100 if error == 0 else -10 * np.log10(error)
            for name, data_range in [("ssim_paper", 2.0), ("ssim_standard", 1.0)]:
                similarity = structural_similarity(shown, truth, data_range=data_range)
                values[name][sequence, step] = similarity
    return values


@pytest.mark.parametrize("reconstructs", [False, True])
def test_metrics_equal_brute_force(tmp_path: Path, reconstructs: bool) -> None:
    result = evaluate_default(tmp_path, model=Drift(reconstructs))
    expected = brute_force()
    per_frame, per_sequence = (columns(tmp_path / f"per_{what}.csv") for what in ("frame", "sequence"))
    assert list(per_frame) == ["frame", *PLAIN]
    assert list(per_sequence) == ["horizon", "sequence", "weekday", *PLAIN]
    np.testing.assert_array_equal(per_frame["frame"], range(1, max(HORIZONS) + 1))
    for name, values in expected.items():
        np.testing.assert_allclose(per_frame[name], values.mean(axis=0), rtol=1e-5, atol=1e-6)
        for horizon in HORIZONS:
            rows = per_sequence["horizon"] == horizon
            np.testing.assert_array_equal(per_sequence["sequence"][rows], range(SEQUENCES))
            means = values[:, :horizon].mean(axis=1)
            np.testing.assert_allclose(per_sequence[name][rows], means, rtol=1e-5, atol=1e-6)
            interval = result["horizons"][str(horizon)][name]
            assert interval["mean"] == pytest.approx(means.mean(), rel=1e-5, abs=1e-6)


def test_means_leave_out_frames_before_first_frame(tmp_path: Path) -> None:
    run = settings(evaluation=Evaluation(batch_size=3, first_frame=2))
    sets, training = [EvaluationSet(HORIZONS, Bytes())], EvaluationSet([min(HORIZONS)], Bytes())
    result = evaluate(run, Drift(), sets, tmp_path, None, "cpu", PROVENANCE, training)
    for name, values in brute_force().items():
        for horizon in HORIZONS:
            expected = values[:, 1:horizon].mean()
            assert result["horizons"][str(horizon)][name]["mean"] == pytest.approx(
                expected, rel=1e-5, abs=1e-6
            )
    on_training = columns(tmp_path / "training_sequences.csv")["mse"].mean()
    assert on_training == pytest.approx(result["horizons"][str(min(HORIZONS))]["mse"]["mean"], rel=1e-6)
    assert len(columns(tmp_path / "per_frame.csv")["frame"]) == max(HORIZONS)


def test_all_files_agree(tmp_path: Path) -> None:
    result = evaluate_default(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text()) == result
    assert list(result["horizons"]) == ["2", "5"]
    assert result["sequences"] == result["available"] == {"2": SEQUENCES, "5": SEQUENCES}
    assert result["parameters"] == 2
    assert result["run"] == "conv_lstm-seed0" and result["label"] == "demo scale"
    assert result["lpips_weights"] is None and result["evaluated_by"] == PROVENANCE
    per_sequence = columns(tmp_path / "per_sequence.csv")
    for horizon, metrics in result["horizons"].items():
        assert list(metrics) == PLAIN
        for name, interval in metrics.items():
            values = per_sequence[name][per_sequence["horizon"] == int(horizon)]
            assert interval["mean"] == pytest.approx(values.mean(), rel=1e-8)
            expected = stats.t.interval(0.95, SEQUENCES - 1, values.mean(), stats.sem(values))
            assert (interval["low"], interval["high"]) == pytest.approx(expected, rel=1e-6)


def test_training_sequences_are_evaluated_like_test_sequences(tmp_path: Path) -> None:
    """As many as there are test sequences, evenly spread; here they are the same ones."""
    sets = [EvaluationSet(HORIZONS, Bytes())]
    training = EvaluationSet([min(HORIZONS)], Bytes())
    evaluate(settings(), Drift(), sets, tmp_path, None, "cpu", PROVENANCE, training)
    on_test, on_training = (columns(tmp_path / f"{name}_sequence{s}.csv") for name, s in FILES)
    shortest = on_test["horizon"] == min(HORIZONS)
    np.testing.assert_array_equal(on_training["sequence"], range(SEQUENCES))
    np.testing.assert_array_equal(on_training["mse"], on_test["mse"][shortest])
    evaluate_default(tmp_path / "without")
    assert (tmp_path / "without/training_sequences.csv").read_text() == "horizon,sequence,group,mse\n"


def test_windows_of_one_video_share_their_group(tmp_path: Path) -> None:
    """Seven windows of two videos: the interval is Student's with one degree of freedom."""
    clips = Bytes()
    clips.labels = {"video": np.array(list("aaaabbb"))}
    result = evaluate(settings(), Drift(), [EvaluationSet([2], clips)], tmp_path, None, "cpu", PROVENANCE)
    values = columns(tmp_path / "per_sequence.csv", text=("video",))["mse"]
    sums = np.array([(values - values.mean())[i].sum() for i in (slice(0, 4), slice(4, 7))])
    error = np.sqrt(2 * (sums**2).sum()) / SEQUENCES
    found = result["horizons"]["2"]["mse"]
    assert found["high"] - found["mean"] == pytest.approx(12.7062 * error, rel=1e-4)


def test_the_first_horizon_equals_that_of_a_shorter_test(tmp_path: Path) -> None:
    both = evaluate_default(tmp_path / "both")["horizons"]["2"]
    dataset = settings().dataset.model_copy(update={"test_horizons": [2]})
    run = settings(dataset=dataset)
    short = evaluate_run(run, tmp_path / "short")
    assert short["horizons"] == {"2": both}


def test_the_size_of_a_batch_changes_nothing(tmp_path: Path) -> None:
    three = evaluate_default(tmp_path / "three")["horizons"]
    evaluation = settings().evaluation.model_copy(update={"batch_size": 100})
    run = settings(evaluation=evaluation)
    all_at_once = evaluate_run(run, tmp_path / "all")
    for horizon, metrics in all_at_once["horizons"].items():
        for name, interval in metrics.items():
            assert interval == pytest.approx(three[horizon][name], rel=1e-9)


def test_examples_are_spread_over_the_sequences(tmp_path: Path) -> None:
    evaluate_default(tmp_path)
    examples = np.load(tmp_path / "examples.npz")
    length = CONTEXT + max(HORIZONS)
    assert examples["truth"].dtype == examples["prediction"].dtype == np.uint8
    np.testing.assert_array_equal(examples["truth"], Bytes().bytes[::2, :length])
    assert examples["sequence"].tolist() == [0, 2, 4, 6]
    first = 1.3 * (Bytes().bytes[::2, CONTEXT - 1] / 255 - 0.5) + 0.5
    expected = np.rint(np.clip(first, 0, 1) * 255)
    assert examples["prediction"].shape == (4, max(HORIZONS), 1, SIZE, SIZE)
    np.testing.assert_allclose(examples["prediction"][:, 0], expected, atol=1)


def test_lpips_has_columns_of_its_own(tmp_path: Path, alexnet_weights: Path) -> None:
    lpips = Lpips(alexnet_weights)
    result = evaluate_default(tmp_path, lpips)
    assert result["lpips_weights"] == lpips.sha256
    frames = Bytes().batch(range(SEQUENCES))
    predicted = Drift().eval()(frames, CONTEXT, 1).clamp(0, 1)
    direct = lpips(predicted, frames[:, CONTEXT : CONTEXT + 1])
    per_frame = columns(tmp_path / "per_frame.csv")
    assert list(per_frame) == ["frame", *PLAIN, "lpips_paper", "lpips_standard"]
    for name, distances in direct.items():
        assert per_frame[name][0] == pytest.approx(distances.mean().item(), rel=1e-4)
        assert result["horizons"]["5"][name]["mean"] > 0


class Diverged(Drift):
    def forward(self, frames: Tensor, *args: Any, **more: Any) -> Tensor:
        predicted = super().forward(frames, *args, **more)
        predicted[(frames[:, 0] == Bytes().batch([5])[:, 0]).flatten(1).all(1), -1, 0, 3, 3] = torch.nan
        return predicted


def test_a_prediction_that_is_not_finite_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sequence 5"):
        evaluate_default(tmp_path, model=Diverged())
    assert list(tmp_path.iterdir()) == []


def test_sequences_that_are_too_short_are_refused(tmp_path: Path) -> None:
    run = settings(dataset=settings().dataset.model_copy(update={"test_horizons": [2, 8]}))
    with pytest.raises(UserError, match="11 frames"):
        evaluate_run(run, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_each_horizon_of_videos_has_sequences_of_its_own(tmp_path: Path) -> None:
    """As if evaluated alone; metrics by frame and examples.npz are of the longest horizon."""
    run = settings()
    sets = [EvaluationSet([5], Bytes()), EvaluationSet([2], Subset(Bytes(), np.arange(3)))]
    result = evaluate(run, Drift(), sets, tmp_path, None, "cpu", PROVENANCE)
    assert result["sequences"] == result["available"] == {"5": SEQUENCES, "2": 3}
    whole = evaluate_default(tmp_path / "whole")["horizons"]
    assert result["horizons"]["5"] == whole["5"] and result["horizons"]["2"] != whole["2"]
    assert len(columns(tmp_path / "per_frame.csv")["frame"]) == 5
    assert np.load(tmp_path / "examples.npz")["sequence"].tolist() == [0, 2, 4, 6]
