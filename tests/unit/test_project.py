"""Rules for the repository's own files."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from convttlstm import faults

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lib/convttlstm"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    extra: [Requirement(line) for line in lines] for extra, lines in PROJECT["optional-dependencies"].items()
}
NEEDED = [Requirement(line) for line in PROJECT["dependencies"]]


def brought_by(extra: str) -> list[Requirement]:
    """The libraries of an optional group, and of the groups that it names."""
    found = []
    for requirement in EXTRAS[extra]:
        if requirement.name == "convttlstm":
            found += [line for group in requirement.extras for line in brought_by(group)]
        else:
            found.append(requirement)
    return found


def locked() -> dict[str, str]:
    """The exact versions that `make` installs."""
    pins = re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    torch = re.findall(r"^TORCH := (torch)==(\S+)", (ROOT / "Makefile").read_text(), re.M)
    return dict([*pins, *torch])


def test_locked_versions_are_within_the_packages_ranges():
    versions = locked()
    for requirement in [*NEEDED, *brought_by("all")]:
        (bound,) = requirement.specifier
        assert bound.operator == ">=" and versions[requirement.name] in requirement.specifier, requirement


def test_the_models_need_three_libraries():
    assert [requirement.name for requirement in NEEDED] == ["numpy", "safetensors", "torch"]


def test_the_version_is_the_same_in_all_files():
    changes = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert changes and changes[1] == cited == PROJECT["version"]


def test_the_lock_names_no_host_and_hashes_everything():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|--index|--find-links", text)
    entries = re.split(r"\n(?=\S+==)", text)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)


def test_the_rules_environment_pins_only_the_needed_libraries():
    environment = yaml.safe_load((ROOT / "workflow/envs/convttlstm.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    versions = locked()
    names = [requirement.name for requirement in [*NEEDED, *brought_by("report")]]
    assert pip == sorted(f"{name}=={versions[name]}" for name in names)


def test_every_imported_library_has_an_installation_hint():
    """The hint names the optional group that installs the library."""
    spelled = {"PIL": "pillow", "yaml": "pyyaml", "lightning_fabric": "lightning-fabric"}
    with_another, by_their_names = {"pydantic_core", "markupsafe"}, {"lpips", "torchvision"}
    for extra, libraries in faults.EXTRAS.items():
        names = {spelled.get(library, library) for library in libraries} - with_another
        assert names <= {requirement.name for requirement in EXTRAS[extra]}
    known = {library for libraries in faults.EXTRAS.values() for library in libraries}
    imported = {name.partition(".")[0] for path in PACKAGE.rglob("*.py") for name in all_imports_of(path)}
    own = {"convttlstm", *(requirement.name for requirement in NEEDED)}
    assert imported - set(sys.stdlib_module_names) - own == known - by_their_names


def test_pre_commit_runs_the_commands_of_make_lint():
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert recipe
    linted = [re.sub(r"^\t@\$\((?:BIN\)/|ACTIVE\) )", "", line) for line in recipe[1].splitlines()]
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in repo["hooks"]] == linted


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pre-commit"), reason="pre-commit is not installed")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout")
def test_every_file_passes_pre_commit():
    done = subprocess.run(["pre-commit", "run", "--all-files"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.count("Passed")) == (0, 5), done.stdout + done.stderr


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
def test_packages_do_not_import_unneeded_libraries(module, forbidden):
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


# From top to bottom: a package imports only from those below it.
ORDER = ["__main__", "cli", "forecast", "sharing", "reporting", "claims", "planning", "results"]
ORDER += ["evaluation", "training", "repeatability", "hub", "models", "data", "config", "animation", "markup"]
ORDER += ["deployment", "faults", "metrics", "records", "slurm", "provenance", "randomness", "files"]


def all_imports_of(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if module_file(name) else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def imports_of(path: Path) -> set[str]:
    """Those of this package."""
    return {name for name in all_imports_of(path) if name.startswith("convttlstm.")}


def module_file(name: str) -> Path | None:
    path = ROOT / "lib" / name.replace(".", "/")
    files = [path.with_suffix(".py"), path / "__init__.py"]
    return next((file for file in files if file.is_file()), None)


def test_packages_import_only_from_packages_below_them():
    upward = []
    for path in (ROOT / "lib/convttlstm").rglob("*.py"):
        package = path.relative_to(ROOT / "lib/convttlstm").parts[0].removesuffix(".py")
        if package != "__init__":
            for name in imports_of(path):
                other = [*name.split("."), "__init__"][1]
                if other != "__init__" and ORDER.index(other) < ORDER.index(package):
                    upward.append((str(path.relative_to(ROOT)), name))
    assert upward == []


def test_imports_are_not_circular():
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


def test_only_vpn_is_longer_than_350_lines():
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "lib").rglob("*.py")}
    assert {path.name: length for path, length in lengths.items() if length > 350} == {"vpn.py": 353}
