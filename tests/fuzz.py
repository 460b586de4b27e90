"""Settings files with random faults: each must load, or be refused in one line.

`python -m tests.fuzz 10000 [SEED]` tries that many and prints those with another outcome.
"""

import copy
import random
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from convttlstm.config import digests, load_settings
from convttlstm.files import UserError

ROOT = Path(__file__).parents[1]
LONGEST = 300  # letters of a message, without the file's path
ODD: list[Any] = [None, "", " ", "x" * 5000, "../../etc/passwd", "a b", "ü💥", "\x07", "0", "1e400", "~"]
ODD += [-1, 0, 1, 2**70, 0.5, float("inf"), float("nan"), True, False, [], {}, [[]], [None], {"a": 1}, "nan"]
ODD += [["black", "black"], {"kind": "vidoes"}, {"name": "conv_lstn"}, {1: 2}, {None: None}, {"": ""}]
TOKENS = ["&a ", "*a", "!!python/object:os.system ", "!!binary x", "\t", "{", "}", "[", "]", ": ", "- ", "#"]
TOKENS += ["2026-13-45", "0x", "<<: *a\n", "? ", "|", ">", "%YAML 9.9\n", "---\n", "...\n", "\0", "\ufeff"]
TOKENS += ["\\", "1:2:3", "'", '"']


def mutants(seed: int) -> Iterator[bytes]:
    """Yield settings files, each with one to three faults, in a way that the seed decides."""
    chance = random.Random(seed)
    bases = [path.read_text() for path in sorted((ROOT / "config").glob("*.yaml"))]
    while True:
        text = chance.choice(bases)
        for _ in range(chance.randint(1, 3)):
            text = chance.choice([_other_value, _other_value, _other_key, _token, _cut])(text, chance)
        content = text.encode("utf-8", "surrogateescape")
        if chance.random() < 0.1:
            at = chance.randrange(len(content) + 1)
            content = content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]
        yield content


def _parsed(text: str) -> Any:
    try:
        return copy.deepcopy(yaml.safe_load(text))
    except Exception:  # an earlier fault
        return None


def _places(content: Any) -> list[tuple[Any, Any]]:
    """Return each container with each of its keys."""
    found: list[tuple[Any, Any]] = []
    if isinstance(content, dict | list):
        for key in list(content) if isinstance(content, dict) else range(len(content)):
            found += [(content, key), *_places(content[key])]
    return found


def _other_value(text: str, chance: random.Random) -> str:
    content = _parsed(text)
    if not (places := _places(content)):
        return text
    container, key = chance.choice(places)
    source, other = chance.choice(places)
    container[key] = copy.deepcopy(chance.choice([chance.choice(ODD), source[other]]))
    return str(yaml.safe_dump(content, allow_unicode=True))


def _other_key(text: str, chance: random.Random) -> str:
    content = _parsed(text)
    places = [(container, key) for container, key in _places(content) if isinstance(container, dict)]
    if not places:
        return text
    container, key = chance.choice(places)
    value = container.pop(key)
    if chance.random() < 0.7:
        container[chance.choice([f"{key}s", str(key)[:-1], "kind", "name", 3, "a-b"])] = value
    return str(yaml.safe_dump(content, allow_unicode=True))


def _token(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(TOKENS) + text[at:]


def _cut(text: str, chance: random.Random) -> str:
    first, last = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    return text[:first] + text[last:] if chance.random() < 0.5 else text[:last]


def fault_of(content: bytes, folder: Path) -> str:
    """Return the fault in the handling of a settings file, "" if there is none."""
    path = folder / "own.yaml"
    path.write_bytes(content)
    try:
        settings = load_settings(path)
        digests(settings, "own")
    except UserError as error:
        text = str(error).replace(str(folder), "")
        return f"{len(text)} letters: {text[:400]!r}" if "\n" in text or len(text) > LONGEST else ""
    except Exception:
        return traceback.format_exc(limit=-3)
    return ""


def main() -> int:
    """Try as many mutants as the command line says; return the number of kinds of faults."""
    count, seed, kinds = int(sys.argv[1]), int([*sys.argv, "0"][2]), dict[str, bytes]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "paper.yaml").write_text((ROOT / "config/paper.yaml").read_text())
        for _, content in zip(range(count), mutants(seed), strict=False):
            if fault := fault_of(content, folder):
                kinds.setdefault(fault.strip().splitlines()[-1][:80], content)
                print(fault, flush=True)
    print(f"{count} files, {len(kinds)} kinds of faults")
    return len(kinds)


if __name__ == "__main__":
    sys.exit(main())
