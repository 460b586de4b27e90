"""weights.json: checksums of the weights that a scale's results were made from."""

from pathlib import Path
from typing import Any

from convttlstm.config import Settings, trained_runs
from convttlstm.files import read_json, write_json
from convttlstm.provenance import check_weights
from convttlstm.reporting.report import FileReport, Runs
from convttlstm.results import Scale


def make(scale: Scale, dataset: str, loaded: Runs, folder: Path) -> None:
    """Check the weights of all runs that are trained to the end, and list their checksums and origin.

    Raises:
        UserError: weights are missing, or are not those that training wrote.
    """
    listed: dict[str, dict[str, Any]] = {}
    for name in scale.settings.experiments:
        listed[name] = {}
        for run in trained_runs(scale.settings, name):
            own = scale.folder / "runs" / name / run
            sha256, made_by = check_weights(own), read_json(own / "provenance.json")
            listed[name][run] = {"sha256": sha256} | {key: made_by[key] for key in ("commit", "data")}
    write_json(folder / "weights.json", listed)


def _weights(scale: Scale, dataset: str) -> list[Path]:
    return [
        scale.folder / "runs" / name / run / file
        for file in ("best.safetensors", "provenance.json")
        for name in scale.settings.experiments
        for run in trained_runs(scale.settings, name)
    ]


def _name(settings: Settings, dataset: str) -> list[str]:
    return ["weights.json"]


REPORT = FileReport(
    name="weights", each=False, reads=_weights, title="Checksums of all weights", make=make, names=_name
)
