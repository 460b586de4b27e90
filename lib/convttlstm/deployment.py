"""Copy the files that the workflow reads to a folder that it was deployed to."""

import shutil
from pathlib import Path

from convttlstm.files import UserError, atomic_path

PACKAGE = Path(__file__).parent
# Paths in the repository; an installed package has them in its folder `shipped`.
READ = ["config", "data/paper", "data/embedded", "data/categories", "data/checksums.json"]
READ += ["data/archives.lock.json", "benchmarks/results"]


def is_clone(project: Path) -> bool:
    """Return whether a folder is a clone of the repository; otherwise the workflow was deployed to it."""
    return (project / "lib/convttlstm").is_dir()


def supply(project: Path) -> None:
    """Copy the files that the rules read to a folder, unless it is a clone; existing files stay.

    Args:
        project: the folder that Snakemake runs in.

    Raises:
        UserError: the installed package lacks one of them, or one cannot be written.
    """
    if is_clone(project):
        return
    shipped = PACKAGE / "shipped"
    source = shipped if shipped.is_dir() else PACKAGE.parents[1]
    for name in READ:
        if not (source / name).exists():
            raise UserError(f"{source / name}: missing; install convttlstm again, or work in a clone")
        for file in [source / name, *(source / name).rglob("*")]:
            copy = project / file.relative_to(source)
            if file.is_file() and not copy.exists():
                with atomic_path(copy) as temporary:
                    shutil.copyfile(file, temporary)
