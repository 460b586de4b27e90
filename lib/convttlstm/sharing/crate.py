"""The contents of a bundle, and its description: RO-Crate 1.1 with the Workflow Run RO-Crate profiles."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel
from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from convttlstm.config import Run, RunId, Settings, evaluated_runs, shown_runs
from convttlstm.reporting import find_reports
from convttlstm.results import read_checked, source_label

PAPER = "Convolutional Tensor-Train LSTM for Spatio-Temporal Learning (NeurIPS 2020)"
PROJECT = ["Snakefile", "README.md", "LICENSE", "CITATION.cff", "requirements.lock"]
PROJECT += ["pyproject.toml", "data/checksums.json", "data/archives.lock.json"]
WORKFLOW = "workflow/Snakefile"
# RO-Crate 1.1 itself has no term for a checksum.
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
FORMATS = {  # mimetypes depends on the machine
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".rst": "text/x-rst",
    ".smk": "text/x-python",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
    ".toml": "application/toml",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


@dataclass(frozen=True)
class Part:
    """SHA-256, as hexadecimal digits, and size in bytes of one file."""

    sha256: str
    size: int


class Origin(BaseModel):
    """Provenance of a run's training or evaluation; imported weights have no device."""

    commit: str | None
    uncommitted_changes: bool | None
    versions: dict[str, str]
    device: str | None = None


class _Evaluated(BaseModel):
    evaluated_by: Origin


def contents(settings: Settings, config: Path, results: Path) -> dict[str, Path]:
    """Return the files of a bundle, existing or not, by their names in it; see `bundle`."""
    return _project(config) | _reports(settings, results, config.stem) | _runs(settings, config.stem, results)


def _project(config: Path) -> dict[str, Path]:
    root = config.absolute().parent.parent
    files = {name: root / name for name in PROJECT}
    files |= {f"config/{name}": config.with_name(name) for name in ("paper.yaml", config.name, "schema.json")}
    for folder in ("workflow", "data/paper", "data/categories"):
        files |= _below(root / folder, folder)
    return files


def _reports(settings: Settings, results: Path, scale: str) -> dict[str, Path]:
    """Return the files of all reports of the scale."""
    names = [
        name
        for report in find_reports().values()
        for dataset in report.made_for(settings)
        for name in report.files(settings, dataset)
    ]
    return {f"results/{scale}/{name}": results / name for name in names}


def _below(folder: Path, inside: str) -> dict[str, Path]:
    """Return the files in a folder, except hidden ones, by their names in the archive."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {f"{inside}/{path.relative_to(folder).as_posix()}": path for path in paths}


def _runs(settings: Settings, scale: str, results: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for dataset, experiment in settings.experiments.items():
        if experiment.grid:
            selection = f"selection/{dataset}.json"
            files[f"results/{scale}/{selection}"] = results / selection
        for run in evaluated_runs(settings, dataset):
            folder = results / "runs" / dataset / run
            names = ["config.json", "metrics.json"]
            names += [name for name in ("per_frame.csv", "predictions.csv") if (folder / name).is_file()]
            if settings.systems[RunId.parse(run).system].trained:
                names += ["provenance.json", "history.csv"]
                names += ["best.safetensors"] if run in shown_runs(settings, dataset) else []
            files |= {f"results/{scale}/runs/{dataset}/{run}/{name}": folder / name for name in names}
    return files


def origins_of(folder: Path) -> list[Origin]:
    """Return the provenance of a run's evaluation and, if it was trained, of its training.

    Raises:
        UserError: metrics.json or provenance.json is missing or damaged.
    """
    origins = [read_checked(folder / "metrics.json", _Evaluated).evaluated_by]
    trained = folder / "provenance.json"
    return [*origins, read_checked(trained, Origin)] if trained.is_file() else origins


def describe(parts: dict[str, Part], runs: list[Run], origins: list[Origin], ended: str) -> Any:
    """Return the content of ro-crate-metadata.json.

    Args:
        parts: the files, by their names in the archive.
        runs: all evaluated runs of one scale.
        origins: provenance of their training and evaluation.
        ended: when the last of them was evaluated, in ISO 8601.
    """
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    scale = runs[0].scale
    crate.name = f"Reproduction of {PAPER}: {runs[0].label}"
    crate.description = _description(runs)
    crate.datePublished = ended
    crate.license = _entity(crate, "https://spdx.org/licenses/MIT", "CreativeWork", name="MIT License")
    crate.root_dataset["conformsTo"] = [
        _entity(crate, profile, "CreativeWork", name=name, version=profile.rpartition("/")[2])
        for profile, name in PROFILES.items()
    ]
    contributors = _entity(crate, "#contributors", "Organization", name="The convttlstm contributors")
    crate.root_dataset["author"] = contributors
    files = {name: _file(crate, name, part) for name, part in parts.items()}
    workflow = files[WORKFLOW]
    workflow["name"] = f"Reproduction of {PAPER}"
    workflow["license"] = crate.license
    workflow["conformsTo"] = _entity(
        crate, BIOSCHEMAS, "CreativeWork", name="Bioschemas ComputationalWorkflow"
    )
    workflow["version"] = ", ".join(
        sorted({origin.versions.get("convttlstm", "unknown") for origin in origins})
    )
    workflow["softwareRequirements"] = _software(crate, origins)
    files["README.md"]["about"] = crate.root_dataset
    used = [file for name, file in files.items() if name.startswith("config/")]
    made = [file for name, file in files.items() if _is_result(name, scale)]
    action = crate.add_action(
        workflow,
        identifier="#reproduction",
        object=used + _data_sets(crate, runs),
        result=made,
        properties={
            "name": f"Evaluation and reports of the runs of scale {scale}",
            "description": _made_by(origins),
            "endTime": ended,
            "agent": contributors,
        },
    )
    crate.root_dataset["mentions"] = action
    return crate.metadata.generate()


def _description(runs: list[Run]) -> str:
    """Return a description with the label of each data set's results, such as synthetic stand-in data."""
    labels = {run.dataset.title: source_label(run) for run in runs}
    lines = [f"{title}: {said}." for title, said in labels.items()]
    return " ".join(["Tables, figures, metrics and weights of a reproduction by Snakemake.", *lines])


def _made_by(origins: list[Origin]) -> str:
    commits = sorted({origin.commit or "unknown" for origin in origins})
    changed = any(origin.uncommitted_changes for origin in origins)
    devices = sorted({origin.device for origin in origins if origin.device})
    differs = ", with uncommitted changes" if changed else ""
    return f"Source: commit {', '.join(commits)}{differs}. Devices: {', '.join(devices)}."


def _entity(crate: ROCrate, identifier: str, kind: str, **properties: str) -> Any:
    return crate.add(ContextEntity(crate, identifier, {"@type": kind, **properties}))


def _file(crate: ROCrate, name: str, part: Part) -> Any:
    properties = {"sha256": part.sha256, "contentSize": str(part.size)}
    properties["encodingFormat"] = FORMATS.get(PurePosixPath(name).suffix, "application/octet-stream")
    if name != WORKFLOW:
        return crate.add_file(dest_path=name, properties={"name": name, **properties})
    properties["encodingFormat"] = "text/x-python"
    return crate.add_workflow(dest_path=name, properties=properties, main=True, lang="snakemake")


def _software(crate: ROCrate, origins: list[Origin]) -> list[Any]:
    found = {pair for origin in origins for pair in origin.versions.items()}
    return [
        _entity(crate, f"#{name}-{version}", "SoftwareApplication", name=name, version=version)
        for name, version in sorted(found)
    ]


def _data_sets(crate: ROCrate, runs: list[Run]) -> list[Any]:
    data = {run.dataset_name: run.dataset for run in runs}
    return [
        _entity(
            crate,
            f"#{name}",
            "CreativeWork",
            name=dataset.title,
            description=dataset.stand_in or dataset.title,
        )
        for name, dataset in data.items()
    ]


def _is_result(name: str, scale: str) -> bool:
    folders = tuple(f"results/{scale}/{folder}/" for folder in ("tables", "figures", "selection"))
    return name.startswith(folders) or name.endswith(("/metrics.json", "/index.html", "/report.md"))
