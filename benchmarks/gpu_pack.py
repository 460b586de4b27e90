"""Packs `benchmarks.gpu` and its requirements, except Python 3.12 and PyTorch, into one archive.

The archive holds files of the working tree, and wheels of the locked versions for x86-64. It is unpacked and
run on a machine without a network: see README.md.
"""

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from benchmarks import ROOT
from convttlstm.files import UserError, atomic_path

LIMIT = 64 * 2**20  # bytes
PYTHON = "3.12"
# A wheel's name has the oldest C library that it supports, and pip wants the exact number.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17, 12, 5)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux1_x86_64"]
FOLDERS = ["benchmarks", "config", "data/embedded", "data/paper", "data/categories", "lib", "tests"]
FILES = ["data/checksums.json", "data/archives.lock.json", "pyproject.toml", "LICENSE"]
LEFT_OUT = ("benchmarks/results/", "tests/browser/")
# Packages that training and its unit tests import, without torch and its requirements.
PACKAGES = {
    "numpy",
    "pandas",
    "python-dateutil",
    "six",
    "pillow",
    "pydantic",
    "pydantic-core",
    "annotated-types",
    "typing-inspection",
    "lightning-fabric",
    "lightning-utilities",
    "packaging",
    "pyyaml",
    "safetensors",
    "tqdm",
    "pytest",
    "pytest-xdist",
    "execnet",
    "iniconfig",
    "pluggy",
    "pygments",
}


def main(arguments: list[str] | None = None) -> int:
    """Download the wheels and write the archive; return 1 after printing an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("archive", type=Path, help="such as gpu.tar")
    parser.add_argument("--wheels", type=Path, help="folder that holds the wheels; downloaded by default")
    given = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            wheels = given.wheels or download(Path(folder))
            size = pack(given.archive, wheels)
    except (UserError, subprocess.CalledProcessError) as error:
        print(f"benchmarks.gpu_pack: {error}", file=sys.stderr)
        return 1
    print(f"wrote {given.archive}, {size / 2**20:.1f} MiB")
    return 0


def download(folder: Path) -> Path:
    """Download the wheels, verified by the lock's checksums, into a new folder below this one; return it."""
    requirements = folder / "requirements.txt"
    requirements.write_text(locked((ROOT / "requirements.lock").read_text()))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--require-hashes",
        "--only-binary=:all:",
        "--python-version",
        PYTHON,
        "--implementation",
        "cp",
    ]
    command += [option for platform in PLATFORMS for option in ("--platform", platform)]
    subprocess.run([*command, "-r", str(requirements), "-d", str(folder / "wheels")], check=True)
    return folder / "wheels"


def locked(lock: str) -> str:
    """Return the lock's entries of PACKAGES.

    Raises:
        UserError: an entry is missing.
    """
    entries = re.findall(r"^(?:\S.*\n(?:[ \t]+--hash.*\n)+)", lock, re.MULTILINE)
    own = {name: entry for entry in entries if (name := entry.split("==")[0]) in PACKAGES}
    if missing := sorted(PACKAGES - own.keys()):
        raise UserError(f"requirements.lock: has no {', '.join(missing)}; run `make lock`")
    return "".join(own[name] for name in sorted(own))


def pack(archive: Path, wheels: Path) -> int:
    """Write the archive; return its size in bytes.

    Raises:
        UserError: it is larger than LIMIT, or there are no wheels.
    """
    found = sorted(wheels.glob("*.whl"))
    if not found:
        raise UserError(f"{wheels}: holds no wheels")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *FOLDERS, *FILES],
        cwd=ROOT,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    names = sorted(name for name in listed.stdout.split("\0") if name and not name.startswith(LEFT_OUT))
    with atomic_path(archive) as temporary:
        with tarfile.open(temporary, "w:xz", preset=1) as tar:
            for name in names:
                if (ROOT / name).is_file():
                    tar.add(ROOT / name, f"convttlstm/{name}")
            for wheel in found:
                tar.add(wheel, f"convttlstm/wheels/{wheel.name}")
        size = temporary.stat().st_size
        if size > LIMIT:
            raise UserError(f"{archive}: would have {size / 2**20:.1f} MiB, more than {LIMIT / 2**20:.0f}")
    return size


if __name__ == "__main__":
    sys.exit(main())
