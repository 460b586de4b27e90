"""A bundle of a small made-up reproduction, checked with zipfile, hashlib and plain JSON."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rocrate
from rocrate.rocrate import ROCrate
from rocrate_validator import services

from convttlstm.cli import main
from convttlstm.config import load_settings, resolve_run, write_run
from convttlstm.files import UserError
from convttlstm.reporting import find_reports
from convttlstm.sharing.bundle import bundle, verify_bundle

ROOT = Path(__file__).parents[2]
METADATA = "ro-crate-metadata.json"
SCALE = """
label: tiny scale
decides_claims: false
datasets:
  kth: {title: KTH, source: synthetic, excluded: []}
experiments:
  moving_mnist_2:
    table: [copy_last, conv_lstm]
    ablations: [{system: conv_tt_lstm, filters: 5x5, row: order 3}]
    grid: [{system: conv_tt_lstm, order: [2]}]
    halving: null
    finalists: [1]
    seeds: [0]
  kth: {table: [copy_last], ablations: [], grid: [], halving: null, finalists: [], seeds: [0]}
  something_25: null
  something_50: null
"""
RUNS = {
    "moving_mnist_2": ["copy_last", "conv_lstm-seed0", "conv_tt_lstm-selected-seed1", "conv_tt_lstm-seed0"],
    "kth": ["copy_last"],
}
WINNER = {"conv_tt_lstm": "conv_tt_lstm-N2-seed0"}
WORKFLOW = "workflow/Snakefile"
EVALUATED_AT = 1_700_000_000  # 2023-11-14T22:13:20+00:00
SELECTION = "results/tiny/selection/moving_mnist_2.json"
RUN = "results/tiny/runs/moving_mnist_2/conv_lstm-seed0"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished") / "project"
    for name in ("workflow", "data/paper"):
        shutil.copytree(ROOT / name, root / name)
    (root / "config").mkdir()
    files = ["config/paper.yaml", "config/schema.json", "data/checksums.json", "data/archives.lock.json"]
    files += ["Snakefile", "README.md", "LICENSE", "CITATION.cff", "pyproject.toml"]
    for name in [*files, "requirements.lock"]:
        shutil.copy(ROOT / name, root / name)
    (root / "config/tiny.yaml").write_text(SCALE)
    results = root / "results/tiny"
    settings = load_settings(root / "config/tiny.yaml")
    made = {
        name: f"made up: {name}"
        for report in find_reports().values()
        for dataset in report.made_for(settings)
        for name in report.files(settings, dataset)
    }
    winners = {role: {"run": run} for role, run in WINNER.items()}
    made["selection/moving_mnist_2.json"] = json.dumps({"winners": winners})
    made["tables/.table2.csv.half.tmp"] = "left behind"
    for name, text in made.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(text)
    for dataset, runs in RUNS.items():
        for run in runs:
            make_run(root, dataset, run)
    bundle(root / "config/tiny.yaml", root / "results/tiny", root / "tiny.zip")
    return root


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "project", ignore=shutil.ignore_patterns("*.zip")))


@pytest.fixture
def archive(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(finished / "tiny.zip", tmp_path))


def make_run(root: Path, dataset: str, name: str) -> None:
    run = resolve_run(load_settings(root / "config/tiny.yaml"), "tiny", dataset, name, WINNER)
    folder = root / "results/tiny/runs" / dataset / name
    folder.mkdir(parents=True)
    write_run(folder, run)
    origin: dict[str, Any] = {"commit": "c0ffee", "uncommitted_changes": False, "device": "A CPU"}
    origin["versions"] = {"python": "3.11.7", "convttlstm": "0.1.0", "torch": "2.13.0"}
    (folder / "metrics.json").write_text(json.dumps({"run": name, "evaluated_by": origin}))
    os.utime(folder / "metrics.json", (EVALUATED_AT, EVALUATED_AT))
    (folder / "per_frame.csv").write_text("frame,mse\n1,0.5\n")
    if run.trained:
        (folder / "provenance.json").write_text(json.dumps(origin))
        (folder / "history.csv").write_text("epoch\n1\n")
        (folder / "best.safetensors").write_bytes(b"weights of " + name.encode())
        (folder / "last.ckpt").write_bytes(b"not for others")


def contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def graph(archive: Path) -> dict[str, dict[str, Any]]:
    return {entity["@id"]: entity for entity in json.loads(contents(archive)[METADATA])["@graph"]}


def rewrite(archive: Path, change: Callable[[dict[str, bytes]], Any]) -> None:
    files = contents(archive)
    change(files)
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)


def fault(archive: Path) -> str:
    with pytest.raises(UserError) as error:
        verify_bundle(archive)
    assert "\n" not in str(error.value) and str(error.value).startswith(f"{archive}: ")
    return str(error.value).removeprefix(f"{archive}: ")


def test_every_file_is_described_by_its_checksum_and_size(archive: Path, project: Path) -> None:
    files, entities = contents(archive), graph(archive)
    parts = [part["@id"] for part in entities["./"]["hasPart"]]
    assert sorted(part.replace("%20", " ") for part in parts) == sorted(files.keys() - {METADATA})
    for part in parts:
        name = part.replace("%20", " ")
        assert files[name] == (project / name).read_bytes()
        assert entities[part]["sha256"] == hashlib.sha256(files[name]).hexdigest()
        assert entities[part]["contentSize"] == str(len(files[name]))


def test_the_bundle_holds_final_weights_and_no_checkpoints(archive: Path) -> None:
    names = contents(archive).keys()
    runs = "results/tiny/runs/moving_mnist_2"
    assert [name for name in names if name.endswith(".safetensors")] == [
        f"{runs}/conv_lstm-seed0/best.safetensors",
        f"{runs}/conv_tt_lstm-selected-seed1/best.safetensors",
    ]
    assert f"{runs}/conv_tt_lstm-seed0/history.csv" in names
    assert not [name for name in names if name.endswith((".ckpt", ".tmp"))]
    assert {"Snakefile", WORKFLOW, "workflow/rules/train.smk"} <= names
    assert {"config/tiny.yaml", "config/paper.yaml"} <= names


def test_the_description_is_that_of_a_workflow_run(archive: Path) -> None:
    entities = graph(archive)
    root, action = entities["./"], entities["#reproduction"]
    assert root["mainEntity"] == {"@id": WORKFLOW} == action["instrument"]
    assert "ComputationalWorkflow" in entities[WORKFLOW]["@type"]
    assert entities[entities[WORKFLOW]["programmingLanguage"]["@id"]]["name"] == "Snakemake"
    assert [profile["@id"].split("/", 3)[-1] for profile in root["conformsTo"]] == [
        "ro/wfrun/process/0.5",
        "ro/wfrun/workflow/0.5",
        "workflowhub/workflow-ro-crate/1.0",
    ]
    assert action["endTime"] == root["datePublished"] == "2023-11-14T22:13:20+00:00"
    assert "commit c0ffee" in action["description"]
    used = {entity["@id"] for entity in action["object"]}
    assert {"config/tiny.yaml", "#kth", "#moving_mnist_2"} <= used
    made = {entity["@id"] for entity in action["result"]}
    assert {"results/tiny/tables/table2_kth.csv", f"{RUN}/metrics.json"} <= made
    assert f"{RUN}/config.json" not in made
    assert entities["#torch-2.13.0"]["version"] == "2.13.0"
    crate = ROCrate(archive)
    assert crate.mainEntity.id == WORKFLOW and crate.license.id.endswith("/MIT")


def test_the_description_states_the_limits_of_the_results(archive: Path) -> None:
    assert graph(archive)["./"]["description"].endswith(
        "Moving-MNIST-2: tiny scale: shows nothing about the paper. "
        "KTH: tiny scale, synthetic stand-in for KTH: shows nothing about the paper."
    )


def test_the_same_results_give_the_same_bytes(
    archive: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(project)
    assert main(["bundle", "--config", "config/tiny.yaml", "-o", str(tmp_path / "again.zip")]) == 0
    count = len(contents(archive)) - 1
    assert capsys.readouterr().out == f"wrote {tmp_path / 'again.zip'}: {count} files, 5 runs of scale tiny\n"
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    "missing",
    [f"{RUN}/metrics.json", f"{RUN}/best.safetensors", SELECTION, "results/tiny/index.html", "Snakefile"],
)
def test_missing_files_are_named_and_nothing_is_written(project: Path, tmp_path: Path, missing: str) -> None:
    (project / missing).unlink()
    with pytest.raises(UserError, match=rf"{missing}: no such file .*snakemake --config scale=tiny$"):
        bundle(project / "config/tiny.yaml", project / "results/tiny", tmp_path / "tiny.zip")
    assert not list(tmp_path.glob("*tiny.zip*"))


def test_runs_of_other_settings_or_other_metrics_are_refused(project: Path, tmp_path: Path) -> None:
    config, output = project / "config/tiny.yaml", tmp_path / "tiny.zip"
    metrics = project / RUN / "metrics.json"
    metrics.write_text(metrics.read_text().replace("conv_lstm-seed0", "conv_lstm-seed1"))
    with pytest.raises(UserError, match=r"conv_lstm-seed0/metrics.json: does not belong to the config.json"):
        bundle(config, project / "results/tiny", output)
    config.write_text(SCALE + "training: {learning_rate: 0.5}\n")
    with pytest.raises(UserError, match=r"config.json: has other settings than .*tiny.yaml"):
        bundle(config, project / "results/tiny", output)


def test_a_valid_archive_is_summarized_without_torch(archive: Path) -> None:
    files = contents(archive)
    size = sum(map(len, files.values()))
    said = f"{archive}: {len(files)} files, {size:,} bytes, all as described; scale tiny, 'tiny scale'"
    code = "import sys; from convttlstm.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "verify", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [said, "False"]


def test_a_flipped_byte_is_named(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        start = file.getinfo(f"{RUN}/best.safetensors").header_offset + 30 + len(f"{RUN}/best.safetensors")
    content = bytearray(archive.read_bytes())
    content[start + 6] ^= 1
    archive.write_bytes(content)
    assert fault(archive).startswith(f"{RUN}/best.safetensors is damaged;")


def test_a_changed_file_is_named_and_the_others_counted(archive: Path) -> None:
    rewrite(archive, lambda files: files.update({f"{RUN}/metrics.json": b"{}", "LICENSE": b"none"}))
    assert fault(archive).startswith("LICENSE has another SHA-256 or size than listed")
    assert "(and 1 more)" in fault(archive)


def test_missing_and_extra_files_are_named(archive: Path) -> None:
    rewrite(archive, lambda files: files.pop("results/tiny/figures/orders.svg"))
    assert fault(archive).startswith("results/tiny/figures/orders.svg is missing")
    rewrite(archive, lambda files: files.update({"results/tiny/extra.txt": b""}))
    rewrite(
        archive,
        lambda files: files.update({"results/tiny/figures/orders.svg": b"made up: figures/orders.svg"}),
    )
    assert fault(archive).startswith("results/tiny/extra.txt is not listed;")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "a\nb", "folder/"])
def test_names_that_lead_out_of_the_archive_are_refused(archive: Path, name: str) -> None:
    rewrite(archive, lambda files: files.update({name: b""}))
    assert fault(archive).startswith(f"{name!r} is not a valid name of a file in a bundle")


def test_links_and_duplicate_files_are_refused(archive: Path) -> None:
    whole = archive.read_bytes()
    link = zipfile.ZipInfo("LICENSE")
    link.external_attr = 0o120777 << 16
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "a") as file:
        warnings.simplefilter("ignore")
        file.writestr(link, "/etc/passwd")
    assert fault(archive).startswith("'LICENSE' is a link (and 2 more)")
    archive.write_bytes(whole)
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "a") as file:
        warnings.simplefilter("ignore")
        file.writestr("LICENSE", contents(archive)["LICENSE"])
    assert fault(archive).startswith("LICENSE occurs 2 times;")


def test_metrics_of_another_run_are_noticed_despite_a_correct_checksum(archive: Path) -> None:
    def swap(files: dict[str, bytes]) -> None:
        other = files[f"{RUN}/metrics.json"].replace(b"conv_lstm-seed0", b"conv_lstm-seed1")
        old, new = (hashlib.sha256(text).hexdigest() for text in (files[f"{RUN}/metrics.json"], other))
        files[f"{RUN}/metrics.json"] = other
        files[METADATA] = files[METADATA].replace(old.encode(), new.encode())

    rewrite(archive, swap)
    assert fault(archive).startswith(f"{RUN}/metrics.json: does not belong to the config.json")


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.999])
def test_a_truncated_archive_gives_one_line(archive: Path, kept: float, capsys: Any) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    assert main(["verify", str(archive)]) == 1
    said = capsys.readouterr().err
    assert "not a bundle, or damaged" in said and said.count("\n") == 1


@pytest.mark.parametrize("metadata", [b"[]", b"{", b'{"@graph": [1]}', b'{"@graph": []}', b"[" * 100_000])
def test_a_description_of_another_form_gives_one_line(archive: Path, metadata: bytes) -> None:
    rewrite(archive, lambda files: files.update({METADATA: metadata}))
    assert fault(archive)


def test_any_damage_gives_one_line_or_leaves_contents_intact(archive: Path) -> None:
    content, whole = archive.read_bytes(), contents(archive)
    said = []
    for at in range(0, len(content), len(content) // 100):
        archive.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            said.append(verify_bundle(archive))
            assert contents(archive) == whole
        except UserError as error:
            said.append(str(error))
    assert not [line for line in said if "\n" in line]
    assert len([line for line in said if "as described" not in line]) > 80


def test_the_bundle_is_a_workflow_run_crate(archive: Path, tmp_path: Path) -> None:
    """By the profiles' own checks. The contexts, which are on the net, are those of the package rocrate."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "crate")
    path = tmp_path / "crate" / METADATA
    described = json.loads(path.read_text())
    assert described["@context"] == [
        "https://w3id.org/ro/crate/1.1/context",
        "https://w3id.org/ro/terms/workflow-run/context",
    ]
    terms = json.loads((Path(rocrate.__file__).parent / "data/ro-crate.jsonld").read_text())["@context"]
    version_1_1 = {"ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow"}
    run_terms = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
    path.write_text(json.dumps(described | {"@context": [terms | version_1_1 | run_terms]}))
    asked = services.ValidationSettings(
        rocrate_uri=str(tmp_path / "crate"), profile_identifier="workflow-run-crate-0.5", offline=True
    )
    found = services.validate(asked)
    assert [f"{issue.check.identifier}: {issue.message}" for issue in found.get_issues()] == []
    del described["@graph"][0]["mainEntity"], described["@graph"][0]["hasPart"]
    path.write_text(json.dumps(described | {"@context": [terms | version_1_1 | run_terms]}))
    assert services.validate(asked).has_issues()
