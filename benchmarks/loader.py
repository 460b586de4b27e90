"""Times reading windows of videos, against a plain loader that opens a whole video for each sample.

Synthetic videos of KTH's length are resized to 120 x 120, encoded, decoded by `prepare`, and also saved as
.npz files. The loaders then read batches of 16 random windows of 20 frames in turn; first their results are
compared. Bytes are timed, which are copied to a GPU, and floats, into which a CPU converts them. The time of
`prepare` gives the rate of decoding.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks import RESULTS, conditions, publish
from convttlstm.config import Kth
from convttlstm.data.clips import Windows, open_clips
from convttlstm.data.kth import kth_sources
from convttlstm.data.synthetic_kth import write_archives
from convttlstm.data.videos import prepare_videos
from convttlstm.provenance import device_name

FRAMES, BATCH = 484, 16  # KTH's mean length
TURN = 3  # batches in a row, as in training; the first finds the caches as another loader left them
PERSONS = {"train_persons": [1, 2], "validation_persons": [15], "test_persons": [17]}


def main() -> None:
    """Measure each loader and write one CSV for this device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--repeats", type=int, default=6, help="turns of three batches of each loader; the median counts"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder")
    options = parser.parse_args()
    print(conditions("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        rate, seconds = measure(Path(folder), options.repeats)
    rows = [
        {
            "loader": name,
            "as": kind,
            "samples_per_second": BATCH / value,
            "times_slower": value / seconds["windows", kind],
        }
        for (name, kind), value in seconds.items()
    ]
    found = {"device": device_name("cpu"), "threads": torch.get_num_threads()}
    found |= {"decoded_frames_per_second_a_core": rate}
    table = pd.DataFrame([found | row for row in rows])
    publish(table, options.output, "loader")


def measure(folder: Path, repeats: int) -> tuple[float, dict[tuple[str, str], float]]:
    """Return one process's decoded frames per second, and the median seconds of a batch by each loader."""
    dataset = Kth.model_validate({"kind": "kth", "source": "synthetic", "scenarios": [1]} | PERSONS)
    persons = sorted(person for persons in dataset.persons.values() for person in persons)
    write_archives(persons, dataset.actions, dataset.scenarios, FRAMES, 0, folder)
    sources = kth_sources(dataset, folder)
    started = time.perf_counter()
    prepare_videos("kth", dataset, sources, folder / "prepared", processes=1)
    rate = FRAMES * len(sources) / (time.perf_counter() - started)

    windows = open_clips(dataset, folder / "prepared", "train")
    assert isinstance(windows, Windows)
    loaders: dict[str, Callable[[np.ndarray], np.ndarray]] = {"windows": windows.read}
    for name, save in {"npz": np.savez, "npz, compressed": np.savez_compressed}.items():
        loaders[name] = PlainLoader(windows, folder / name, save).read
    random = np.random.default_rng(0)
    first = random.integers(len(windows), size=BATCH)
    for read in loaders.values():
        np.testing.assert_array_equal(read(first), windows.read(first))
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeats):
        turn = random.integers(len(windows), size=(TURN, BATCH))
        for name, read in loaders.items():
            for indices in turn:
                started = time.perf_counter()
                frames = read(indices)
                times.setdefault((name, "bytes"), []).append(time.perf_counter() - started)
                torch.from_numpy(frames) / 255
                times.setdefault((name, "floats"), []).append(time.perf_counter() - started)
    return rate, {key: statistics.median(values) for key, values in times.items()}


class PlainLoader:
    """Reads a whole video's .npz file for each sample."""

    def __init__(self, windows: Windows, folder: Path, save: Callable[..., None]) -> None:
        self.windows, self.folder = windows, folder
        folder.mkdir()
        for video in windows.videos:
            save(folder / f"{video.name}.npz", frames=np.load(video.path))

    def read(self, indices: np.ndarray) -> np.ndarray:
        samples = []
        for video, start in self.windows.places[indices]:
            frames = np.load(self.folder / f"{self.windows.videos[video].name}.npz")["frames"]
            samples.append(frames[start : start + self.windows.frames])
        return np.stack(samples)


if __name__ == "__main__":
    main()
