"""Loads external models: a class in a file, or an entry point of the group `convttlstm.models`."""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

from convttlstm import ENTRY_POINTS
from convttlstm.files import UserError


def is_external(name: str) -> bool:
    """Return whether `name` has the form path/to/file.py:Class, or is the name of an entry point."""
    return ":" in name or name in importlib.metadata.entry_points(group=ENTRY_POINTS).names


def load_external(name: str) -> Callable[..., nn.Module]:
    """Import and return the class or factory with this name.

    Raises:
        UserError: the file or the class does not exist, or the import fails.
    """
    if ":" not in name:
        (point,) = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
        factory: Callable[..., nn.Module] = point.load()
        return factory
    path, _, attribute = name.rpartition(":")
    module_name = f"convttlstm_external_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"model {name!r}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and pickling look it up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the file does wrong
        raise UserError(f"model {name!r}: {path} cannot be imported: {error!r}") from error
    if not callable(found := getattr(module, attribute, None)):
        raise UserError(f"model {name!r}: {path} has no class {attribute!r}")
    factory = found
    return factory
