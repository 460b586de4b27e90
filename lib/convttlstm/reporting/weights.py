"""Which weights stand behind a scale's results."""

from pathlib import Path
from typing import Any

from convttlstm.config import Settings, trained_runs
from convttlstm.files import read_json, write_json
from convttlstm.provenance import check_weights


def write_weights(settings: Settings, results: Path, output: Path) -> None:
    """Check the weights of all runs that are trained to the end, and list their checksums and origin.

    Args:
        settings: of the scale.
        results: its folder, such as results/demo.
        output: JSON file: by data set and run.

    Raises:
        UserError: weights are missing, or are not those that training wrote.
    """
    listed: dict[str, dict[str, Any]] = {}
    for dataset in settings.experiments:
        listed[dataset] = {}
        for run in trained_runs(settings, dataset):
            folder = results / "runs" / dataset / run
            sha256, made_by = check_weights(folder), read_json(folder / "provenance.json")
            listed[dataset][run] = {"sha256": sha256} | {key: made_by[key] for key in ("commit", "data")}
    write_json(output, listed)
