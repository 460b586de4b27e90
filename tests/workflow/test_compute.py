"""Settings that change how a run is computed, and not its results."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import RUN, Project


def losses(project: Project, name: str, run: str = RUN, **compute: object) -> pd.DataFrame:
    # Layers of few shapes: each is compiled for itself.
    plain = {"model": {"channels": [2, 2, 2, 2]}}
    project.configure(compute={"accelerator": "cpu", "threads": 1, **compute}, systems={"conv_lstm": plain})
    folder = project.run_folder(name=name)
    train = project.spawn if compute else project.call
    done = train("train", *project.run_arguments(folder, run))
    assert done.returncode == 0, done.stderr
    return pd.read_csv(folder / "history.csv").drop(columns="seconds")


@pytest.mark.slow
def test_two_processes_train_like_one(project: Project):
    """Each takes half of every batch; the losses differ by rounding only."""
    project.prepare()
    one, two = losses(project, "one"), losses(project, "two", devices=2)
    pd.testing.assert_frame_equal(one, two, rtol=1e-4)
    assert one["train_loss"].nunique() > 1


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("c++"), reason="torch.compile on the CPU needs a C++ compiler: install g++"
)
def test_compiled_cells_train_like_plain_ones(project: Project, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    project.prepare()
    plain = losses(project, "plain", "conv_lstm-seed0")
    compiled = losses(project, "compiled", "conv_lstm-seed0", compile=True)
    pd.testing.assert_frame_equal(plain, compiled, rtol=1e-4)
