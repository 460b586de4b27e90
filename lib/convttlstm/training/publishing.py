"""The files of a finished run: best.safetensors, history.csv and provenance.json."""

import contextlib
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from convttlstm.config import Run, write_run
from convttlstm.files import atomic_path, read_json, sha256_of, write_bytes, write_json
from convttlstm.provenance import discard_other_metrics
from convttlstm.training.checkpoints import Progress
from convttlstm.training.history import HISTORY, PARTIAL, write_history

WEIGHTS, PROVENANCE = "best.safetensors", "provenance.json"


def publish(
    run: Run, folder: Path, best: dict[str, Tensor], progress: Progress, data: dict[str, str], parameters: int
) -> None:
    """Write a finished run's `best` weights, history and provenance.

    `data` has a checksum for each split, `parameters` is the number of weights.
    """
    write_history(folder / HISTORY, progress.history)
    (folder / PARTIAL).unlink(missing_ok=True)
    with atomic_path(folder / WEIGHTS) as temporary:
        # One entry only: safetensors writes several in random order.
        save_file(best, temporary, {"digest": run.digest()})
        sha256 = sha256_of(temporary)
        discard_other_metrics(folder, sha256)
        made_by = {
            "run": run.id,
            **progress.made_by,
            "weights_sha256": sha256,
            **progress.conditions,
            "data": data,
            "parameters": parameters,
            **progress.summary(),
        }
        write_json(folder / PROVENANCE, made_by)


def reuse(run: Run, folder: Path, data: Path) -> bool:
    """Copy the files of a finished run with the same settings, seed and data; return whether there is one.

    A selected run is a run of the grid under another name, in a folder next to it.
    """
    splits = read_json(data / "manifest.json")["splits"]
    for weights in sorted(folder.parent.glob(f"{run.system}-*/{WEIGHTS}")):
        with contextlib.suppress(SafetensorError), safe_open(weights, framework="pt") as file:
            if weights.parent != folder and file.metadata().get("digest") == run.digest():
                trained_on = read_json(weights.with_name(PROVENANCE)).get("data", {})
                if not trained_on or any(
                    splits.get(split, {}).get("sha256") != sha256 for split, sha256 in trained_on.items()
                ):
                    continue
                discard_other_metrics(folder, sha256_of(weights))
                for name in (HISTORY, PROVENANCE, WEIGHTS):
                    write_bytes(folder / name, (weights.parent / name).read_bytes())
                write_run(folder, run)
                print(f"{run.id}: copied from {weights.parent.name}, a finished run with the same settings")
                return True
    return False
