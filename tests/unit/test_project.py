"""What the repository promises about itself."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [
    *PROJECT["dependencies"],
    *(pin for pins in PROJECT["optional-dependencies"].values() for pin in pins),
]


def test_the_lock_holds_every_direct_pin_but_torch():
    locked = set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements.lock").read_text(), re.M))
    assert [pin for pin in DIRECT if re.sub(r"\[.*]", "", pin) not in locked] == [
        pin for pin in DIRECT if pin.startswith("torch==")
    ]


def test_the_lock_names_no_host_and_hashes_everything():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|--index|--find-links", text)
    entries = re.split(r"\n(?=\S+==)", text)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)


def test_conda_users_get_the_same_direct_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert sorted(pip) == sorted(DIRECT)


@pytest.mark.parametrize(
    "module, forbidden",
    [
        (
            "convttlstm.models",
            ["pydantic", "yaml", "snakemake", "dvc", "lpips", "matplotlib", "torchvision", "pandas"],
        ),
        ("convttlstm.config", ["torch", "snakemake", "pandas", "numpy"]),
        ("convttlstm.cli", ["torch", "snakemake", "pandas", "numpy", "matplotlib"]),
        ("convttlstm.reporting.page", ["torch", "snakemake"]),
        ("convttlstm.reporting.claim_table", ["torch", "snakemake"]),
        ("convttlstm.training.loop", ["snakemake", "lpips", "matplotlib", "torchvision"]),
    ],
)
def test_rooms_do_not_pull_in_what_they_do_not_need(module, forbidden):
    code = f"import sys, {module}; print([m for m in {forbidden} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_rule_states_its_environment_log_cost_and_reason():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            parts = re.findall(r"^    (\w+):", rule, re.M)
            needed = {"output", "log", "benchmark", "resources", "conda", "message", "shell"}
            assert needed <= set(parts), (path.name, rule.split(":")[0])
            assert all(f"{name}=" in rule for name in ("mem_mb", "runtime", "gpu")), path.name
