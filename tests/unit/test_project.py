"""What the repository promises about itself."""

import ast
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
        ("convttlstm.reporting.tables.claims", ["torch", "snakemake"]),
        ("convttlstm.training.loop", ["snakemake", "lpips", "matplotlib", "torchvision"]),
    ],
)
def test_rooms_do_not_pull_in_what_they_do_not_need(module, forbidden):
    code = f"import sys, {module}; print([m for m in {forbidden} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_rule_states_its_environment_log_cost_and_reason():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^ *rule\b", path.read_text(), flags=re.M)[1:]:
            parts = re.findall(r"^ +(\w+):", rule, re.M)
            needed = {"output", "log", "benchmark", "resources", "conda", "message", "shell"}
            assert needed <= set(parts), (path.name, rule.split(":")[0])
            assert all(f"{name}=" in rule for name in ("mem_mb", "runtime", "gpu")), path.name


# From top to bottom: a room imports from those below it and, within itself, in no circle.
ROOMS = ["__main__", "cli", "forecast", "sharing", "reporting", "claims", "planning", "results"]
ROOMS += ["evaluation", "training", "hub", "repeatability", "models", "data", "config", "animation", "markup"]
ROOMS += ["faults", "metrics", "records", "slurm", "provenance", "randomness", "files"]


def imports_of(path: Path) -> set[str]:
    """The modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("convttlstm"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if module_file(name) else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("convttlstm.")}
    return found


def module_file(name: str) -> Path | None:
    path = ROOT / "lib" / name.replace(".", "/")
    files = [path.with_suffix(".py"), path / "__init__.py"]
    return next((file for file in files if file.is_file()), None)


def test_rooms_import_only_from_rooms_below_them():
    upward = []
    for path in (ROOT / "lib/convttlstm").rglob("*.py"):
        room = path.relative_to(ROOT / "lib/convttlstm").parts[0].removesuffix(".py")
        if room != "__init__":
            for name in imports_of(path):
                other = [*name.split("."), "__init__"][1]
                if other != "__init__" and ROOMS.index(other) < ROOMS.index(room):
                    upward.append((str(path.relative_to(ROOT)), name))
    assert upward == []


def test_no_module_imports_itself_by_way_of_others():
    graph = {}
    for path in (ROOT / "lib/convttlstm").rglob("*.py"):
        graph[path] = {module_file(name) for name in imports_of(path)} - {None, path}
    done: set[Path] = set()

    def visit(path: Path, above: tuple[Path, ...]) -> None:
        assert path not in above, [str(p.relative_to(ROOT)) for p in (*above[above.index(path) :], path)]
        if path not in done:
            for other in graph[path]:
                visit(other, (*above, path))
            done.add(path)

    for path in graph:
        visit(path, ())


def test_no_file_is_longer_than_a_few_screens():
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "lib").rglob("*.py")}
    assert {path.name: length for path, length in lengths.items() if length > 350} == {"vpn.py": 353}
