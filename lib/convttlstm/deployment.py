"""What the workflow reads beside its rules, brought to a folder that it was deployed to."""

import shutil
import tempfile
from pathlib import Path

from convttlstm.files import UserError

PACKAGE = Path(__file__).parent
# As in the repository; an installed package holds them in its folder `shipped`.
READ = ["config", "data/paper", "data/embedded", "data/categories", "data/checksums.json"]
READ += ["data/archives.lock.json", "benchmarks/results"]


def is_clone(project: Path) -> bool:
    """Return whether a folder is a clone of the repository, else the workflow was deployed to it."""
    return (project / "lib/convttlstm").is_dir()


def supply(project: Path) -> None:
    """Copy to a folder, unless it is a clone, what the workflow's rules read; what is there stays.

    Args:
        project: the folder that Snakemake runs in.

    Raises:
        UserError: the installed package does not hold it.
    """
    if is_clone(project):
        return
    shipped = PACKAGE / "shipped"
    source = shipped if shipped.is_dir() else PACKAGE.parents[1]
    for name in READ:
        if (project / name).exists():
            continue
        if not (source / name).exists():
            raise UserError(f"{source / name}: not there; install convttlstm anew, or work in a clone")
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=project, prefix=".supply-") as folder:
            copied = Path(folder, "copied")
            if (source / name).is_dir():
                shutil.copytree(source / name, copied)
            else:
                shutil.copyfile(source / name, copied)
            copied.replace(project / name)
