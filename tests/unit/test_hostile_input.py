"""Input that would write elsewhere, run commands, hang or lose work is refused in one line."""

import json
import os
import stat
import threading
import zipfile
from base64 import urlsafe_b64encode
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from convttlstm import hub
from convttlstm.cli import main
from convttlstm.config import load_settings, settings_of_scale
from convttlstm.data.arrays import map_array
from convttlstm.data.frames import boundaries_of, decode
from convttlstm.data.something import read_labels
from convttlstm.data.verify import verify_data
from convttlstm.data.videos import Source, _read_split_file
from convttlstm.files import UserError, atomic_path, read_text, sha256_of, write_text
from convttlstm.markup import Document, Row, Table
from convttlstm.planning.clock import read_times
from convttlstm.records import restore
from convttlstm.reporting import find_report
from convttlstm.reporting.cells import capital
from convttlstm.reporting.drawing import save, styled
from convttlstm.reporting.report import write_report
from convttlstm.results import Scale
from convttlstm.training.history import best_epoch
from convttlstm.training.locks import archive, run_lock
from tests.conftest import KEPT, TRAVELS, Project
from tests.fuzz import fault_of, mutants
from tests.fuzz_files import faults as damages
from tests.made_up_runs import DATASET, RUNS, make_results
from tests.reports import NO_BENCHMARKS, settings_with

ROOT = Path(__file__).parents[2]


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    return str(error.value)


# Records of Snakemake, which travel with results


def encoded(subject: str) -> str:
    return urlsafe_b64encode(subject.encode()).decode()


GOOD = {encoded("results/tiny/a.csv"): {"endtime": 1.5, "input_checksums": {}}}


@pytest.mark.parametrize(
    "records",
    [
        {"../../evil": {"endtime": 1.0}},
        {"/tmp/evil-record": {"endtime": 1.0}},
        {"a/../../../evil": {"endtime": 1.0}},
        {encoded("../outside"): {"endtime": 1.0}},
        {"\0": {"endtime": 1.0}},
        {"not base64!": {"endtime": 1.0}},
        GOOD | {encoded("b"): {"endtime": "yesterday"}},
        GOOD | {encoded("b"): {"endtime": 1.0, "input_checksums": [1]}},
        GOOD | {encoded("b"): {}},
        GOOD | {encoded("b"): None},
        [],
        "text",
        None,
    ],
)
def test_invalid_records_are_set_aside_and_write_nothing(
    tmp_path: Path, records: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "inside/project"
    path = project / KEPT
    write_text(path, json.dumps(records))
    before = {found for found in tmp_path.rglob("*")}
    restore(project, *TRAVELS)
    assert "renamed to records.json.damaged" in capsys.readouterr().err
    assert {found for found in tmp_path.rglob("*")} - before == {path.with_name("records.json.damaged")}
    assert not Path("/tmp/evil-record").exists()
    restore(project, *TRAVELS)  # nothing is left that could be in the way


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b"[" * 100_000])
def test_records_that_are_no_json_are_set_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / KEPT
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    restore(tmp_path, *TRAVELS)
    assert not path.exists()


# Locks and outputs


def test_a_lock_that_is_a_link_is_refused_and_its_target_kept(tmp_path: Path) -> None:
    target = tmp_path / "thesis.tex"
    target.write_text("years of work")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").symlink_to(target)
    with pytest.raises(UserError) as error, run_lock(folder):
        pass
    assert ".lock: cannot be opened as a lock" in one_line(error)
    assert target.read_text() == "years of work"


def test_a_file_that_is_no_lock_is_not_truncated(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("something else")
    with pytest.raises(UserError, match="is not a lock file of a training process"), run_lock(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == "something else"


def test_a_lock_of_an_earlier_process_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("process 123456 on another-machine-of-a-long-name\n")
    with run_lock(tmp_path):
        assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
        assert (tmp_path / ".lock").read_text().count("\n") == 1


@pytest.mark.parametrize("path", ["/dev/null", "/dev/full", "/tmp"])
def test_devices_and_folders_are_refused_as_outputs(path: str) -> None:
    before = os.stat(path)
    with pytest.raises(UserError, match="name a file to write to"), atomic_path(Path(path)):
        pass
    assert stat.S_IFMT(os.stat(path).st_mode) == stat.S_IFMT(before.st_mode)


def test_files_obey_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "private", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for arguments in (["verify", str(tmp_path / "pipe")], ["verify", "/dev/zero"]):
        found: list[int] = []
        reader = threading.Thread(target=lambda a, f: f.append(main(a)), args=(arguments, found), daemon=True)
        reader.start()
        reader.join(10)
        assert found == [1]
    with pytest.raises(UserError, match="name a file"):
        read_text(tmp_path / "pipe")


def test_a_run_can_be_set_aside_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "results/tiny/runs/d/r"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    monkeypatch.chdir(folder.parent)
    assert archive(Path("r")) == tmp_path / "results/tiny/archived/d/r-1"


# Settings


def settings_file(folder: Path, text: str) -> Path:
    (folder / "paper.yaml").write_text((ROOT / "config/paper.yaml").read_text())
    path = folder / "own.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("training: {epochs: 3}\nlabel: x\ntraining: {batch_size: 2}\n", "'training' is there twice"),
        ("training: {epochs: 3, epochs: 500}\n", "'epochs' is there twice"),
        (
            "experiments: {kth: {table: [black], grid: [], halving: {epochs: 2}, finalists: []}}\n",
            "halving without a grid",
        ),
        (
            "experiments: {kth: {table: [black], grid: [], halving: null, finalists: [1]}}\n",
            "finalists without a grid",
        ),
        ("datasets: {moving_mnist_2: {size: 24, digit_size: 14}}\n", "needs frames of at least 31 pixels"),
        ('label: ""\n', "label"),
        ('label: "two\\nlines"\n', "label"),
        (f"label: {'long ' * 100}\n", "label"),
        ("systems: {conv_lstm: {title: ''}}\n", "systems.conv_lstm.title"),
        ("a: &a [*a]\n", "unknown setting"),
        ("training: &t {epochs: *t}\n", "own.yaml"),
        ("label: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
        ("label: 2026-99-99\n", "own.yaml"),
        ("- a\n- b\n", "expected settings"),
    ],
)
def test_duplicate_and_unusable_settings_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = settings_file(tmp_path, text)
    with pytest.raises(UserError) as error:
        load_settings(path)
    assert says in one_line(error) and "own.yaml" in str(error.value)


def test_a_merge_key_is_no_duplicate(tmp_path: Path) -> None:
    text = (
        "datasets: {kth: &kth {title: KTH}, other: {<<: *kth, kind: videos, folder: x, size: 16, title: O}}\n"
    )
    assert load_settings(settings_file(tmp_path, text)).datasets["other"].title == "O"


@pytest.mark.parametrize("scale", ["../esc/tiny", "a b", "/etc/passwd", "$(touch P)", ".hidden", ""])
def test_unsafe_scale_names_are_refused(scale: str) -> None:
    with pytest.raises(UserError, match="a scale's name has letters"):
        settings_of_scale(scale)


def test_settings_with_random_faults_load_or_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text((ROOT / "config/paper.yaml").read_text())
    faults = [fault for content in islice(mutants(seed=1), 200) if (fault := fault_of(content, tmp_path))]
    assert faults == []


@pytest.mark.slow
def test_damaged_files_are_read_or_refused_in_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    found = [(kind, said) for kind, _, said in damages(project, count=3, seed=1)]
    assert found == []


def _zip_with_damage(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.avi", bytes(range(256)) * 40)
    content = bytearray(path.read_bytes())
    content[45:60] = b"\xff" * 15
    path.write_bytes(content)


def _labels_with_damage(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.json", "[]")
    path.write_bytes(path.read_bytes().replace(b"[]", b"[)", 1))


def _picture_of_a_bomb(path: Path) -> None:
    """A few bytes that would become twelve gigabytes."""
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    content = path.read_bytes()
    place = content.index(b"\xff\xc0") + 5  # height and width
    path.write_bytes(content[:place] + b"\xff\xff\xff\xff" + content[place + 4 :])


def _array_of_a_terabyte(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 8, 8)}
        )


def _description(path: Path) -> None:
    path.with_name(hub.WEIGHTS).write_bytes(b"")
    described = {"sha256": sha256_of(path.with_name(hub.WEIGHTS)), "name": "conv_lstm"}
    path.write_text(json.dumps(described | {"arguments": {"channels": [2] * 5}}))


@pytest.mark.parametrize(
    ("name", "write", "read"),
    [
        ("history.csv", b"\xff\xfe", lambda path: best_epoch(path.parent)),
        ("history.csv", b"epoch,validation_loss\n1,x\n", lambda path: best_epoch(path.parent)),
        ("history.csv", b"epoch,validation_loss\n", lambda path: best_epoch(path.parent)),
        ("x/manifest.json", b'"x"', lambda path: verify_data(path.parents[1])),
        ("x.npy", b"\x93NUMPY\x01\0\x10\0{'descr': '|u1',\n", lambda path: map_array(path, "")),
        ("labels.zip", _labels_with_damage, lambda path: read_labels(path.parent, "train.json")),
        ("1.jpg", _picture_of_a_bomb, lambda path: list(decode(str(path.parent), (8, 8)))),
        ("x.npz", _zip_with_damage, lambda path: boundaries_of(path, "thw", 1)),
        ("x.npz", _array_of_a_terabyte, lambda path: boundaries_of(path, "thw", 1)),
        ("x.zip", _zip_with_damage, lambda path: Source("x", "train", path, "x.avi").open()),
        (hub.DESCRIPTION, _description, lambda path: hub.load(path.parent)),
        ("times.csv", b"system,size\na,1\nb,2,3\n", read_times),
        ("splits.csv", b"video,split\na\0b,train\n", lambda path: _read_split_file(path.parent, path)),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, name: str, write: Any, read: Any) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    write(path) if callable(write) else path.write_bytes(write)
    with pytest.raises(UserError) as error:
        read(path)
    assert name in str(error.value) and "\n" not in str(error.value)


# Text that is shown


def test_a_dollar_in_a_title_starts_no_formula(tmp_path: Path) -> None:
    with styled({}):
        figure = Figure((2, 1))
        figure.subplots().set_title(r"$\notacommand$")
        save(figure, r"costs $5 or $\frac", tmp_path / "figure")
    assert r"$\notacommand$" in (tmp_path / "figure.svg").read_text()


def test_markdown_escapes_elements_and_links_in_titles() -> None:
    title = '<img src=x onerror="alert(1)"> [x](javascript:alert(1))'
    table = Table(title, "note", [("", "Model"), ("", "MSE")], "lr", [Row([title, "1 < 2"], ours=True)])
    text = Document([table], title=title, lead=f"**{title}**").to_markdown()
    assert "<img" not in text.replace(r"\<img", "") and "](" not in text.replace(r"]\(", "")
    assert "1 < 2" in text


def test_an_empty_text_can_be_capitalized() -> None:
    assert capital("") == ""


# Commands


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["select", "--dataset", "nope", "--runs", "x", "-o", "x.json"], "no data set 'nope'"),
        (["report", "table1", "--dataset", "kth"], "report table1 is made"),
        (["report", "table2"], "report table2 is made"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(project: Project, arguments: list[str], says: str) -> None:
    done = project.call(arguments[0], *arguments[1:], "--config", project.config)
    assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--rung", "--place"])
def test_a_negative_place_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"--config": "c", "--dataset": "d", "--data": "d", "--runs": "r", "--role": "r", "-o": "o"}
    places = {"--rung": "0", "--place": "0"} | {option: "-1"}
    with pytest.raises(SystemExit) as stopped:
        main(["try", *(text for pair in (arguments | places).items() for text in pair)])
    assert stopped.value.code == 2
    assert option in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["-5", "0", "nan", "inf", "x"])
def test_impossible_minutes_are_refused(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["estimate", "--config", "config/demo.yaml", f"--minutes={minutes}"])
    assert stopped.value.code == 2
    assert "--minutes: must be a number of minutes above 0" in capsys.readouterr().err


def test_a_data_set_without_a_grid_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config", str(ROOT / "config/paper.yaml"), "--dataset", "something_25"]
    assert main(["select", *arguments, "--runs", str(tmp_path), "-o", str(tmp_path / "selection.json")]) == 1
    said = capsys.readouterr().err
    assert "has no grid on 'something_25'; grids: moving_mnist_2, kth, something_50" in said
    assert said.count("\n") == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rung", "place"), [(9, 0), (0, 99), (10**30, 10**30)])
def test_a_place_outside_the_search_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rung: int, place: int
) -> None:
    arguments = {"--config": ROOT / "config/paper.yaml", "--dataset": "moving_mnist_2", "--data": tmp_path}
    arguments |= {"--runs": tmp_path, "--role": "conv_tt_lstm", "--rung": rung, "--place": place}
    arguments["-o"] = tmp_path / "tried.json"
    assert main(["try", *(str(part) for pair in arguments.items() for part in pair)]) == 1
    said = capsys.readouterr().err
    assert f"round {rung} has no place {place}" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_reports_files_are_written_below_its_folder(tmp_path: Path, elsewhere: bool) -> None:
    """With --output they lie below that folder, and nothing of the scale's own changes."""
    results = make_results(tmp_path / "demo")
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    scale = Scale("demo", settings_with(DATASET, RUNS), results, ROOT / "data/paper", NO_BENCHMARKS)
    folder = tmp_path / "elsewhere" if elsewhere else results
    written = write_report(find_report("summary"), scale, "", folder)
    assert len(written) == 2 + len(RUNS)
    assert all(path.is_relative_to(folder) and path.is_file() for path in written)
    after = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    assert (after == before) == elsewhere


def test_an_internal_error_gives_one_line_that_names_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("by far")

    monkeypatch.setattr("convttlstm.cli.commands.json_schema", fail)
    assert main(["schema", "-o", "schema.json"]) == 1
    said = capsys.readouterr().err
    [log] = tmp_path.glob("convttlstm-error-*.log")
    assert "by far" in said and log.name in said and said.count("\n") == 1
    assert "ZeroDivisionError" in log.read_text()


QUITTER = "import sys\nclass Model:\n    pass\nsys.exit(3)\n"
SHORT = """
import torch
class Short(torch.nn.Module):
    def __init__(self, in_channels):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
    def forward(self, frames, context, horizon, sampling=None):
        return self.scale * frames[:, :2]
"""


@pytest.mark.slow
def test_a_faulty_model_is_refused_before_training(project: Project) -> None:
    project.prepare()
    for name, code, says in (("quitter:Model", QUITTER, "SystemExit(3)"), ("short:Short", SHORT, "returned")):
        file, _, kind = name.partition(":")
        (project.folder / f"{file}.py").write_text(code)
        run = f"{kind.lower()}-seed0"
        folder = project.run_folder(run)
        done = project.call("train", *project.run_arguments(folder, run), "--model", f"{file}.py:{kind}")
        assert done.returncode == 1 and says in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1 and not list(folder.glob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize("change", ["a missing key", "an unknown key", "another shape", "no dictionary"])
def test_a_checkpoint_of_another_layout_falls_back_to_the_previous_one(project: Project, change: str) -> None:
    project.prepare()
    folder = project.run_folder()
    assert project.train(folder).returncode == 0
    weights = (folder / "best.safetensors").read_bytes()
    content = torch.load(folder / "last.ckpt", weights_only=True)
    if change == "a missing key":
        del content["progress"]["epoch"], content["recipe"]
    elif change == "an unknown key":
        content["progress"]["moon"] = 1
    elif change == "another shape":
        content["model"] = {name: value[..., :1] for name, value in content["model"].items()}
    torch.save([content] if change == "no dictionary" else content, folder / "last.ckpt")
    done = project.train(folder)
    assert done.returncode == 0, done.stderr
    assert "last.ckpt: unusable checkpoint" in done.stdout and (folder / "last.ckpt.corrupt").exists()
    assert (folder / "best.safetensors").read_bytes() == weights


# Snakemake's command line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["scale=$(touch pwned)"], "a scale's name has letters"),
        (["scale=../esc/tiny"], "a scale's name has letters"),
        (["scales=tiny"], "--config scales: unknown"),
    ],
)
def test_unsafe_and_unknown_configuration_is_refused(project: Project, options: list[str], says: str) -> None:
    done = project.run("snakemake", "-n", "--config", *options)
    assert done.returncode != 0 and says in done.stdout
    assert "Traceback" not in done.stdout and not (project.folder / "pwned").exists()


@pytest.mark.slow
def test_a_models_path_is_not_run_as_a_command(project: Project) -> None:
    folder = project.folder / "my models; touch pwned"
    folder.mkdir()
    (folder / "x.py").write_text(SHORT.replace("frames[:, :2]", "frames[:, 1:]"))
    model = f"{folder.name}/x.py:Short"
    planned = project.run("snakemake", "-n", "-p", "--config", "scale=tiny", f"model={model}")
    assert planned.returncode == 0, planned.stdout
    assert f"--model '{model}'" in planned.stdout
    configuration = ["scale=tiny", f"model={model}", "--cores", "1"]
    weights = "results/tiny/runs/moving_mnist_2/short-seed0/best.safetensors"
    made = project.run("snakemake", "--config", *configuration, "--", weights)
    assert made.returncode == 0, made.stdout
    assert not (project.folder / "pwned").exists()
