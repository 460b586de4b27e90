"""Times the computation of checksums by DVC and by our command, on a data set of some gigabytes."""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import RESULTS, publish, seconds_of
from convttlstm.data.verify import verify_data
from convttlstm.provenance import device_name

LINKS = ["copy", "hardlink", "symlink"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for link in LINKS:
            for operation, seconds in measure(Path(folder, link), link, options.gigabytes):
                lines.append(
                    {"device": device_name("cpu"), "link": link, "operation": operation, "seconds": seconds}
                )
    table = pd.DataFrame(lines).assign(gigabytes=options.gigabytes)
    table["gigabytes_per_second"] = table["gigabytes"] / table["seconds"]
    publish(table, options.output, "checksums", digits=3)


def measure(folder: Path, link: str, gigabytes: float) -> list[tuple[str, float]]:
    """Return the name and seconds of each operation on a data set of one array, in their order."""
    project, store = folder / "project", folder / "store"
    data = project / "data/train.npy"
    data.parent.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    dvc(project, "init")
    dvc(project, "config", "cache.type", link)
    dvc(project, "remote", "add", "--default", "store", str(store))
    sequences = int(gigabytes * 1e9 / (20 * 64 * 64))
    array = np.random.default_rng(0).integers(0, 256, (sequences, 20, 64, 64), dtype=np.uint8)
    np.save(data, array)
    entry = {"sha256": hashlib.sha256(array).hexdigest(), "shape": list(array.shape)}
    (data.parent / "manifest.json").write_text(json.dumps({"splits": {"train": entry}}))
    del array

    found = [("convttlstm verify", seconds_of(lambda: verify_data(project)))]
    found.append(("dvc add", dvc(project, "add", "data")))
    found.append(("dvc status, nothing touched", dvc(project, "status")))
    os.utime(data)
    found.append(("dvc status, touched", dvc(project, "status")))
    found.append(("dvc push, to a folder", dvc(project, "push")))
    shutil.rmtree(project / "data")
    shutil.rmtree(project / ".dvc/cache")
    found.append(("dvc pull, from a folder", dvc(project, "pull")))
    shutil.rmtree(folder)
    return found


def dvc(project: Path, *arguments: str) -> float:
    """Return the seconds that a command of DVC takes."""
    command = [str(Path(sys.executable).with_name("dvc")), *arguments]
    return seconds_of(lambda: subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL))


if __name__ == "__main__":
    main()
