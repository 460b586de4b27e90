"""Counts with units."""


def billions(count: str | int | None) -> str:
    """Return a count in billions or millions, "-" if there is none."""
    if count is None or count in ("", "0"):
        return count or "-"
    billions = int(count) / 1e9
    return f"{billions:.2f} G" if billions >= 1 else f"{billions * 1e3:.1f} M"


def mebibytes(count: str) -> str:
    """Return a number of bytes in MiB, "-" if there is none."""
    if count in ("", "0"):
        return count or "-"
    mebibytes = int(count) / 2**20
    return f"{mebibytes:,.0f} MiB" if mebibytes >= 10 else f"{mebibytes:.1f} MiB"
