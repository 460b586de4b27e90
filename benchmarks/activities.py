"""Measures how fast clips of activities are decoded, and how fast training a recognizer consumes them.

The clips are synthetic, of Something-Something's usual size and length (427 x 240 pixels, 45 frames, VP9),
with a texture and noise so that they compress about as badly as real ones. One process decodes the first 25
and 50 % and the ten frames after them, as training does. Then each recognizer, at the paper's size, makes a
training step on one clip of which it sees half. Real clips may decode at another rate.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.nn import functional

from benchmarks import RESULTS, ROOT, conditions, publish, seconds_of
from convttlstm.config import Something, load_settings, resolve_run
from convttlstm.data.activities import Activities
from convttlstm.data.something import CLIPS, index_clips
from convttlstm.data.synthetic_something import encode
from convttlstm.files import write_json, write_text
from convttlstm.models import create_model
from convttlstm.provenance import device_name
from convttlstm.training.recipes.base import l1_l2

HEIGHT, WIDTH, FRAMES = 240, 427, 45
SYSTEMS = ["recognizer_cnn3d", "recognizer_conv_lstm", "recognizer_conv_tt"]


def main() -> None:
    """Measure decoding and training and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=8, help="clips decoded at each fraction")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    print(conditions("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        rows = [*decoding(Path(folder), options.clips), *map(training, SYSTEMS)]
    table = pd.DataFrame(
        [{"device": device_name("cpu"), "threads": torch.get_num_threads()} | r for r in rows]
    )
    publish(table, options.output, "activities")


def decoding(folder: Path, clips: int) -> list[dict[str, object]]:
    """Return frames and samples decoded in a second by one process, at each fraction of the frames."""
    raw, activities = folder / "raw", folder / "activities.csv"
    write_text(activities, "group,template\nA,Holding something\nB,Moving something\n")
    content = {"kind": "something", "categories": str(activities), "validation_share": 0.5}
    dataset = Something.model_validate(content)
    templates = [category.template for category in dataset.activities()]
    entries = []
    for number in range(2 * clips):
        encode(raw / CLIPS / f"{number}.webm", texture(np.random.default_rng(number)))
        entries.append({"id": str(number), "template": templates[number % 2]})
    write_json(raw / dataset.train_labels, entries[:clips])
    write_json(raw / dataset.test_labels, entries[clips:])
    index_clips("clips", dataset, raw, folder / "data", processes=1)
    found = Activities(dataset, folder / "data", "test")
    rows: list[dict[str, object]] = []
    for fraction in dataset.fractions:
        parts = [found.part(clip, fraction) for clip in range(len(found))]
        started = time.perf_counter()
        frames = sum(len(found.read(part)) for part in parts)
        seconds = time.perf_counter() - started
        rates = {"frames_per_second": frames / seconds, "samples_per_second": len(parts) / seconds}
        rows.append({"operation": f"decode first {fraction:.0%} and ten frames, one process"} | rates)
    return rows


def texture(random: np.random.Generator) -> np.ndarray:
    """Return a smooth texture that drifts under noise, uint8 (FRAMES, HEIGHT, WIDTH, 3)."""
    coarse = random.integers(256, size=(16, 32, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(coarse).resize((WIDTH + 2 * FRAMES, HEIGHT), Image.Resampling.BICUBIC))
    frames = np.stack([large[:, 2 * i : 2 * i + WIDTH] for i in range(FRAMES)])
    noise = random.integers(-6, 7, size=frames.shape, dtype=np.int16)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def training(system: str) -> dict[str, object]:
    """Return the rate of training steps on one clip, forward and backward."""
    run = resolve_run(load_settings(ROOT / "config/paper.yaml"), "paper", "something_50", f"{system}-seed0")
    model = create_model(run.model.name, **run.model_arguments())
    context, horizon = FRAMES // 2, run.dataset.horizon
    frames, label = torch.rand(1, context + horizon, 3, 224, 224), torch.tensor([0])

    def step() -> None:
        outputs, logits = model(frames, context, horizon)
        loss = l1_l2(outputs, frames, context, horizon) + functional.cross_entropy(logits, label)
        loss.backward()

    seconds = statistics.median(seconds_of(step) for _ in range(2))
    return {"operation": f"train {run.title}", "samples_per_second": 1 / seconds}


if __name__ == "__main__":
    main()
