"""Writes the results as CSV files named after the device."""

from pathlib import Path

import pandas as pd

from benchmarks import named_after
from benchmarks.gpu import Records, Row
from convttlstm.files import with_suffix, write_text

# Each table, with a column that only its rows have.
TABLES = {
    "gpu_steps": "ms",
    "gpu_rates": "ceiling",
    "gpu_checks": "agrees",
    "gpu_profile": "kernel",
    "gpu_layer": "one_layer",
    "gpu_training": "run",
}


def write_tables(records: Records, folder: Path) -> list[Path]:
    """Write each table that has rows; return their paths."""
    done = [record for record in records.values() if record["status"] == "done"]
    written = []
    for device in dict.fromkeys(record["device"] for record in done):
        own = [record for record in done if record["device"] == device]
        rows = [{"conditions": record["conditions"]} | row for record in own for row in record["rows"]]
        for name, column in TABLES.items():
            if found := [row for row in rows if column in row]:
                table = pd.DataFrame(with_shares(found, rows) if name == "gpu_steps" else found)
                path = named_after(folder, name, device, own[0]["conditions"].rsplit("torch ", 1)[1])
                path = with_suffix(path, ".csv")
                write_text(path, table.to_csv(index=False, float_format="%.5g"))
                written.append(path)
    return written


def with_shares(rows: list[Row], everything: list[Row]) -> list[Row]:
    """Return steps with their shares of the ceilings, and their speed relative to the textbook."""
    ceilings = {(r["ceiling"], r["precision"], r["side"]): r["gflops"] for r in everything if "ceiling" in r}
    base = {(r["model"], r["precision"], r["side"]): r["ms"] for r in rows if r["code"] == "textbook"}
    result = []
    for row in rows:
        textbook = base.get((row["model"], row["precision"], row["side"]))
        more: Row = {"times_textbook": textbook / row["ms"]} if textbook else {}
        for name in ("lone_convolution", "matrix_product"):
            if rate := ceilings.get((name, row["precision"], row["side"])):
                more[f"share_of_{name}"] = row["gflops"] / rate
        result.append(row | more)
    return result
