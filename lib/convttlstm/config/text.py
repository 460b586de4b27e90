"""Reads YAML files written by people."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from convttlstm.files import UserError, read_text, shortened


class _Loader(yaml.SafeLoader):
    """YAML that refuses duplicate keys; PyYAML drops all but the last."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.flattened: set[yaml.MappingNode] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # The first call for a node: it puts merged keys next to the node's own.
        if node not in self.flattened:
            self.flattened.add(node)
            self._refuse_duplicates(node)
        super().flatten_mapping(node)

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} is there twice; merge both", key.start_mark
                )
            seen.add(key.value if isinstance(key.value, str) else "")


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        UserError: the file cannot be read, is not YAML, or names a setting twice; one line says where.
    """
    text = read_text(path)
    try:
        return deepcopy(_parse(text))
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {shortened(error)}") from None


@lru_cache(maxsize=8)  # a command reads the paper's settings several times
def _parse(text: str) -> Any:
    # Not by libyaml, which is faster, but crashes on deeply nested files.
    return yaml.load(text, _Loader)
