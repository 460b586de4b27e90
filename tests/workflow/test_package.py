"""The package as pip installs it into an environment of its own: models alone, and hints on the rest."""

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from convttlstm.deployment import READ
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

# A prediction with published weights, without the repository.
FORECAST = """
import json, sys, torch
from pathlib import Path
from safetensors.torch import save_file
import convttlstm.models
from convttlstm.files import sha256_of
from convttlstm.hub import load

weights, description = (Path(sys.argv[1], name) for name in ("model.safetensors", "model.json"))
arguments = {"in_channels": 1, "channels": [2, 3, 3, 2], "layers_per_block": 1}
made = convttlstm.models.create_model("conv_tt_lstm", **arguments).eval()
save_file({name: tensor.contiguous() for name, tensor in made.state_dict().items()}, weights)
described = {"name": "conv_tt_lstm", "arguments": arguments, "sha256": sha256_of(weights)}
description.write_text(json.dumps(described))

frames = torch.rand(2, 4, 1, 16, 16)
with torch.no_grad():
    print(torch.equal(load(sys.argv[1])(frames, 4, 3), made(frames, 4, 3)))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the package, torch, numpy and safetensors: the versions that the tests run on.

    All that the package needs is there, or pip fails: it may not ask an index.
    """
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    (site,) = folder.glob("venv/lib/python*/site-packages")
    for name in required("torch", "numpy", "safetensors"):
        link_distribution(name, site)
    pip = [folder / "venv/bin/pip", "--quiet"]
    wheel = [*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT]
    done = subprocess.run(wheel, capture_output=True, text=True)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package index")
    assert done.returncode == 0, done.stderr
    install = [*pip, "install", "--no-index", *folder.glob("*.whl")]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def required(*names: str) -> set[str]:
    """Return these distributions and all that they require here."""
    found: set[str] = set()
    for name in names:
        needs = map(Requirement, distribution(name).requires or [])
        needed = [need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
        found |= {name} | required(*needed)
    return found


def link_distribution(name: str, site: Path) -> None:
    installed = distribution(name)
    for top in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(installed.locate_file(top))))


def call(alone: Path, *command: object) -> subprocess.CompletedProcess[str]:
    words = [str(alone / "venv/bin" / str(command[0])), *map(str, command[1:])]
    return subprocess.run(words, cwd=alone, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)


def test_models_and_published_weights_need_torch_numpy_and_safetensors(alone: Path, tmp_path: Path) -> None:
    done = call(alone, "python", "-W", "error", "-c", FORECAST, tmp_path)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    installed = call(alone, "pip", "list", "--format", "freeze").stdout.lower()
    assert "pydantic" not in installed and "pandas" not in installed and "pillow" not in installed


def test_a_missing_library_is_named_in_one_line_with_its_remedy(alone: Path) -> None:
    for arguments in (["--help"], ["train", "--config", "config/demo.yaml"]):
        done = call(alone, "convttlstm", *arguments)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr == (
            "convttlstm: error: a library is missing; pip install 'convttlstm[train]' "
            "(No module named 'pydantic')\n"
        )


def test_the_package_contains_the_files_that_the_workflow_reads(alone: Path) -> None:
    code = "from pathlib import Path; from convttlstm.deployment import supply; supply(Path.cwd())"
    done = call(alone, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    for name in READ:
        there, here = alone / name, ROOT / name
        assert there.is_dir() or there.read_bytes() == here.read_bytes()
    for name in ("config/paper.yaml", "data/paper/claims.yaml", "data/embedded/images-idx3-ubyte.gz"):
        assert (alone / name).read_bytes() == (ROOT / name).read_bytes()
