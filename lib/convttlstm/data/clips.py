"""Prepared sequences as batches of float frames."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from convttlstm.files import UserError, read_json

MEND = "run snakemake or `convttlstm prepare` to make it"


class Clips:
    """One split of a prepared data set; frames stay on disk until they are asked for.

    Attributes:
        sha256: checksum of the split's frames, from the manifest.
        shape: sequences, frames, height, width.
    """

    def __init__(self, folder: Path, split: str) -> None:
        """Open `<folder>/<split>.npy`.

        Raises:
            UserError: the array or the manifest is missing, or they do not belong together.
        """
        manifest, path = folder / "manifest.json", folder / f"{split}.npy"
        for needed in (manifest, path):
            if not needed.is_file():
                raise UserError(f"{needed}: no such file; {MEND}")
        try:
            entry = read_json(manifest)["splits"][split]
            self.sha256: str = entry["sha256"]
            self.shape: tuple[int, ...] = tuple(entry["shape"])
            size = entry["bytes"]
        except (KeyError, TypeError):
            raise UserError(f"{manifest}: no entry for split {split!r}; {MEND} anew") from None
        # Size and shape only: to hash gigabytes at every start would take longer than a small run.
        found = path.stat().st_size
        if found != size:
            raise UserError(f"{path}: {found} bytes, but its manifest says {size}; {MEND} anew")
        try:
            self._frames = np.load(path, mmap_mode="r")
        except ValueError as error:
            raise UserError(f"{path}: not an array ({error}); {MEND} anew") from None
        if self._frames.shape != self.shape or self._frames.dtype != np.uint8:
            raise UserError(
                f"{path}: {self._frames.dtype} {self._frames.shape}, "
                f"but its manifest says uint8 {self.shape}; {MEND} anew"
            )

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self._frames)

    def batch(self, indices: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return sequences as float32 (batch, time, 1, height, width) in [0, 1]."""
        frames = torch.from_numpy(self._frames[np.asarray(indices, dtype=int)])
        return frames.unsqueeze(2).to(torch.float32) / 255
