"""Your own model is found, trained and evaluated, or refused in one line where something is wrong."""

import json
import re
from importlib.metadata import EntryPoint, EntryPoints

import pytest
import torch

from convttlstm.config import load_settings, resolve_run, table_runs, with_model
from convttlstm.evaluation.complexity import write_complexity
from convttlstm.files import UserError
from convttlstm.models import create_model
from convttlstm.reporting.tables import complexity
from convttlstm.results import Scale
from tests.conftest import ROOT, Project

MODEL = '''
import torch
from torch import nn


class Fading(nn.Module):
    """Predicts the last frame, dimmed more with every step."""

    def __init__(self, in_channels=1, *, start=0.9):
        super().__init__()
        self.keep = nn.Parameter(torch.full((in_channels, 1, 1), start))

    def forward(self, frames, context, horizon, sampling=None):
        steps = torch.arange(1, horizon + 1, device=frames.device)[:, None, None, None]
        return frames[:, context - 1 : context] * self.keep**steps
'''


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "fading.py"
    path.write_text(MODEL)
    return path


def test_a_file_gives_a_model(model_file):
    model = create_model(f"{model_file}:Fading", start=0.5)
    frames = torch.ones(1, 3, 1, 4, 4)
    assert model(frames, 3, 2)[0, :, 0, 0, 0].tolist() == [0.5, 0.25]


def test_an_entry_point_gives_a_model(monkeypatch):
    point = EntryPoint("last", "convttlstm.models.naive:CopyLast", "convttlstm.models")
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda **query: EntryPoints([point]).select(**query)
    )
    settings = with_model(load_settings(ROOT / "config/demo.yaml"), "last")
    assert table_runs(settings, "moving_mnist_2")[-1] == "last-seed0"
    assert type(create_model("last")).__name__ == "CopyLast"


@pytest.mark.parametrize(
    "name, said",
    [
        ("nowhere.py:Fading", "no file nowhere.py"),
        ("fading", "is not defined; known are black"),
        ("conv_lsm", "did you mean 'conv_lstm'?"),
    ],
)
def test_an_unknown_model_is_refused_in_one_line(name, said):
    with pytest.raises(UserError, match=said.replace("?", r"\?")) as error:
        with_model(load_settings(ROOT / "config/demo.yaml"), name)
    assert "\n" not in str(error.value)


def test_a_file_that_fails_is_named(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import nothing_of_that_name\n")
    with pytest.raises(UserError, match=r"broken\.py cannot be imported.*nothing_of_that_name"):
        create_model(f"{path}:Model")
    path.write_text("")
    with pytest.raises(UserError, match=r"broken\.py has no class 'Model'"):
        create_model(f"{path}:Model")


def test_a_function_that_makes_no_module_is_refused(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def make(in_channels):\n    return [in_channels]\n")
    with pytest.raises(UserError, match="makes 'list', which is no"):
        create_model(f"{path}:make")


@pytest.mark.slow
def test_outputs_of_the_wrong_shape_are_refused_in_one_line(project: Project):
    project.prepare()
    wrong = MODEL.replace("return frames[:, context - 1 : context] *", "return frames[:, context - 1, 0] *")
    (project.folder / "fading.py").write_text(wrong.replace("self.keep**steps", "self.keep"))
    arguments = project.run_arguments(project.run_folder("fading-seed0"), "fading-seed0")
    done = project.call("train", "--model", "fading.py:Fading", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "convttlstm: error: the model returned (4, 16, 16) for sequences (4, 6, 1, "
    )
    assert done.stderr.count("\n") == 1


def test_a_name_of_the_catalogue_is_refused(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("")
    with pytest.raises(UserError, match="the catalogue has a system 'conv_lstm'"):
        with_model(load_settings(ROOT / "config/demo.yaml"), f"{path}:ConvLstm")


def test_a_change_of_the_file_is_another_run(model_file):
    name = f"{model_file}:Fading"

    def digest():
        settings = with_model(load_settings(ROOT / "config/demo.yaml"), name)
        return resolve_run(settings, "demo", "moving_mnist_2", "fading-seed0").digest()

    before = digest()
    assert digest() == before
    model_file.write_text(MODEL + "# changed\n")
    assert digest() != before


BLOCKS = MODEL.replace(
    "steps = ",
    """if frames.shape[-1] % 64:
            raise ValueError("frames cannot be cut into blocks")
        if context != 10:
            raise ValueError("made for ten frames")
        steps = """,
)


def test_costs_are_counted_at_sizes_that_the_model_accepts(tmp_path, capsys):
    """At the lengths that it is trained for; the rest of the table is made all the same."""
    path = tmp_path / "fading.py"
    path.write_text(BLOCKS)
    settings = with_model(load_settings(ROOT / "config/demo.yaml"), f"{path}:Fading")
    write_complexity({"demo": settings}, tmp_path / "complexity.csv")
    scale = Scale("demo", settings, tmp_path, ROOT / "data/paper", tmp_path)
    table = complexity.rows(scale, "", [])
    (row,) = table[table["system"] == "fading"].to_dict("records")
    assert row["parameters"] == "1" and row["multiplications_64"] == row["multiplications_128"] == "0"
    assert row["multiplications_120"] == row["activation_bytes_120"] == ""
    assert "not counted at 120 x 120 pixels: frames cannot be cut into blocks" in capsys.readouterr().out
    shown = complexity.document(scale, "", table).to_markdown()
    (line,) = (line for line in shown.splitlines() if line.startswith("| Fading"))
    assert [cell.strip() for cell in line.split("|")].count("-") == 2


@pytest.mark.slow
def test_your_own_model_is_trained_evaluated_and_gets_a_row(project: Project):
    """By one command; the other runs are not trained again for it."""
    table2, runs = "results/tiny/tables/table2_moving_mnist_2.md", "results/tiny/runs/moving_mnist_2"
    others = [f"{runs}/{model}-seed0/best.safetensors" for model in ("conv_lstm", "conv_tt_lstm")]
    done = project.snakemake("--", *others)
    assert done.returncode == 0, done.stdout
    (project.folder / "fading.py").write_text(MODEL)
    done = project.snakemake("model=fading.py:Fading", "--", table2)
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"Training (\S+) on", done.stdout)) == {"fading-seed0"}
    metrics = project.folder / runs / "fading-seed0/metrics.json"
    assert json.loads(metrics.read_text())["parameters"] == 1
    table = (project.folder / table2).read_text()
    assert re.search(r"^\| Fading, seed 0 +\| here +\|", table, re.M)


@pytest.mark.slow
def test_your_own_model_works_with_single_commands(project: Project):
    project.prepare()
    (project.folder / "fading.py").write_text(MODEL)
    folder = project.run_folder("fading-seed0")
    arguments = project.run_arguments(folder, "fading-seed0")
    for command in ("train", "evaluate"):
        done = project.call(command, "--model", "fading.py:Fading", *arguments)
        assert done.returncode == 0, done.stderr
    assert (folder / "metrics.json").exists()
