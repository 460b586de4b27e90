"""`convttlstm`: one subcommand for each arrow of the pipeline; no business logic here."""

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from convttlstm.cli import commands
from convttlstm.faults import mending
from convttlstm.files import UserError, shortened
from convttlstm.reporting import report_names


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; return the exit status: 0, 1 after one line of error, 75 if interrupted."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except UserError as error:
        print(f"convttlstm: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("convttlstm: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # a fault of ours, or of a library
        if said := mending(error):
            print(f"convttlstm: error: {said} ({shortened(error)})", file=sys.stderr)
            return 1
        log = _log_of_failure()
        print(f"convttlstm: error: {shortened(error)}; {log} says where it happened", file=sys.stderr)
        return 1
    return 0


def _log_of_failure() -> Path:
    """Write the last traceback to a log file, and return its path."""
    folder = "." if os.access(".", os.W_OK) else None
    handle, name = tempfile.mkstemp(prefix="convttlstm-error-", suffix=".log", dir=folder)
    with os.fdopen(handle, "w") as file:
        file.write(traceback.format_exc())
    return Path(name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convttlstm",
        description="Reproduction of Convolutional Tensor-Train LSTM (NeurIPS 2020).",
    )
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        sub = subcommands.add_parser(name, help=command.__doc__, description=command.__doc__)
        sub.set_defaults(command=command)
        return sub

    def add_config(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--config", type=Path, required=True, help="settings, such as config/demo.yaml")
        sub.add_argument("--dataset", required=True, help="the data set's name in the settings")

    def add_model(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--model",
            metavar="FILE.py:CLASS",
            help="a model of your own, added to the catalogue as class_name; or an entry point's name",
        )

    sub = add("fetch", commands.fetch)
    sub.add_argument("what", choices=[*commands.RAW_DATA, "lpips"])
    sub.add_argument(
        "--lock", type=Path, default=Path("data/archives.lock.json"), help="checksums of KTH's files"
    )
    sub.add_argument(
        "--labels", nargs="+", default=[], help="files of Something-Something's labels; the official ones"
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help="LPIPS: file; else folder")

    sub = add("synthesize", commands.synthesize)
    add_config(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder")

    sub = add("prepare", commands.prepare)
    add_config(sub)
    sub.add_argument("--raw", type=Path, help="raw files; data/raw/mnist, kth or something if not given")
    sub.add_argument("--embedded", type=Path, default=Path("data/embedded"), help="digits in git")
    sub.add_argument("--checksums", type=Path, default=Path("data/checksums.json"))
    sub.add_argument("--processes", type=_positive, default=os.cpu_count(), help="that decode videos")
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder")

    sub = add("verify", commands.verify)
    sub.add_argument("path", type=Path, help="a folder such as data/processed/demo, or a bundle's file")

    sub = add("compare", commands.compare)
    sub.add_argument("a", metavar="A", type=Path, help="a folder such as results/laptop")
    sub.add_argument("b", metavar="B", type=Path, help="another; differences are B - A")
    sub.add_argument("-o", "--output", type=Path, help="file: .md, or .csv of the differences alone")

    sub = add("train", commands.train)
    add_config(sub)
    add_model(sub)
    sub.add_argument("--data", type=Path, required=True, help="the prepared data set's folder")
    sub.add_argument("--selection", type=Path, help="what `select` wrote, for runs named ...-selected-...")
    sub.add_argument("run", help="such as conv_tt_lstm-N2-M5-seed0")
    sub.add_argument("-o", "--output", type=Path, required=True, help="the run's folder")

    sub = add("try", commands.try_place)
    add_config(sub)
    sub.add_argument("--data", type=Path, required=True, help="the prepared data set's folder")
    sub.add_argument("--runs", type=Path, required=True, help="the folder of the runs' folders")
    sub.add_argument("--role", required=True, help="the system whose configuration is searched")
    sub.add_argument("--rung", type=_not_negative, required=True, help="the round, from 0")
    sub.add_argument("--place", type=_not_negative, required=True, help="which of the round's runs, from 0")
    sub.add_argument("--ranking", type=Path, help="what `select` made of the round before")
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")

    sub = add("select", commands.select)
    add_config(sub)
    sub.add_argument("--runs", type=Path, required=True, help="the folder of the runs' folders")
    sub.add_argument("--tried", type=Path, nargs="*", default=[], help="what `try` wrote, if halving")
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")

    sub = add("evaluate", commands.evaluate)
    add_config(sub)
    add_model(sub)
    sub.add_argument("--data", type=Path, required=True, help="the prepared data set's folder")
    sub.add_argument("--lpips", type=Path, help="AlexNet's weights, as fetched")
    sub.add_argument("--selection", type=Path, help="what `select` wrote, for runs named ...-selected-...")
    sub.add_argument("run", help="such as conv_tt_lstm-seed0")
    sub.add_argument("-o", "--output", type=Path, required=True, help="the run's folder")

    sub = add("predict", commands.predict)
    sub.add_argument("run", type=Path, help="the run's folder, or one of published weights")
    sub.add_argument(
        "video",
        type=Path,
        nargs="?",
        help="a video, a folder of pictures, or an array; Moving-MNIST: a test sequence if left out",
    )
    sub.add_argument("--horizon", type=_positive, required=True, help="frames to predict")
    sub.add_argument(
        "--start",
        type=_positive,
        help="the first predicted frame, from 1; the one after the video's last if not given",
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help="file: .gif, .mp4 or .npy")

    sub = add("import-weights", commands.import_weights)
    add_config(sub)
    sub.add_argument("run", help="with the settings of the file, such as conv_tt_lstm-seed0")
    sub.add_argument("checkpoint", type=Path, help="the file")
    sub.add_argument("--sha256", required=True, help="its checksum, from whoever gave it to you")
    sub.add_argument("-o", "--output", type=Path, required=True, help="a folder of its own")

    sub = add("export-weights", commands.export_weights)
    sub.add_argument("run", type=Path, help="the run's folder")
    sub.add_argument("-o", "--output", type=Path, required=True, help="a new folder")

    sub = add("bundle", commands.bundle)
    sub.add_argument("--config", type=Path, required=True, help="settings, such as config/demo.yaml")
    sub.add_argument("--results", type=Path, help="its results; results/<scale> if not given")
    sub.add_argument("-o", "--output", type=Path, required=True, help="zip file")

    sub = add("complexity", commands.complexity)
    sub.add_argument("--config", type=Path, nargs="+", required=True, help="settings, one for each scale")
    add_model(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help="CSV file")
    sub.add_argument("--orders", type=Path, help="CSV file for the cost of each order N = 1, 2, ...")

    sub = add("report", commands.report)
    sub.add_argument("what", choices=report_names())
    sub.add_argument("--config", type=Path, required=True, help="settings, such as config/demo.yaml")
    add_model(sub)
    sub.add_argument("--dataset", default="", help="the data set's name, for a report on one")
    sub.add_argument("--results", type=Path, help="the scale's results; results/<scale> if not given")
    sub.add_argument("-o", "--output", type=Path, help="folder for the files; the results' if not given")

    sub = add("estimate", commands.estimate)
    sub.add_argument("--config", type=Path, required=True, help="settings, such as config/paper.yaml")
    sub.add_argument(
        "--times",
        type=Path,
        default=Path("benchmarks/results/system_times-AMD_EPYC-torch2.13.0.csv"),
        help="what benchmarks.system_times measured on a device",
    )
    sub.add_argument(
        "--minutes",
        type=float,
        help="in which your device trains Conv-TT-LSTM on 10,000 sequences of 10 + 10 frames, 64x64",
    )

    sub = add("status", commands.status)
    sub.add_argument("--config", type=Path, required=True, help="settings, such as config/paper.yaml")
    sub.add_argument("--results", type=Path, help="its results; results/<scale> if not given")

    sub = add("settings", commands.settings_digests)
    sub.add_argument("--config", type=Path, required=True, help="settings, such as config/paper.yaml")
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")

    sub = add("forget", commands.forget)
    sub.add_argument("runs", type=Path, nargs="+", help="the runs' folders")

    sub = add("schema", commands.schema)
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")
    return parser


def _not_negative(text: str) -> int:
    if (value := int(text)) < 0:
        raise ValueError
    return value


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError
    return value


if __name__ == "__main__":
    sys.exit(main())
