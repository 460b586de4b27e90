"""Arrays on disk."""

from pathlib import Path
from typing import Any

import numpy as np

from convttlstm.files import UserError, shortened


def map_array(path: Path, mend: str) -> Any:
    """Return the numpy array of a .npy file, mapped into memory.

    Raises:
        UserError: it is no such file, or cannot be read; the line ends with `mend`.
    """
    try:
        return np.load(path, mmap_mode="r")
    except Exception as error:  # a damaged header raises many kinds, from ValueError to SyntaxError
        raise UserError(f"{path}: damaged, not an array ({shortened(error)}); {mend}") from None
