"""The command line `convttlstm`: parses options and calls the subcommands in `commands`."""

import argparse
import math
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from convttlstm.cli import commands
from convttlstm.faults import remedy
from convttlstm.files import UserError, shortened
from convttlstm.reporting import report_names


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; return 0, 1 after one line of error, or 130 for Ctrl-C.

    Interrupted training exits with 75 itself.
    """
    options = make_parser().parse_args(arguments)
    try:
        options.command(options)
        sys.stdout.flush()
    except UserError as error:
        print(f"convttlstm: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output is gone, as in `convttlstm status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("convttlstm: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # a bug here or in a library
        if said := remedy(error):
            print(f"convttlstm: error: {said} ({shortened(error)})", file=sys.stderr)
            return 1
        log = _log_of_failure()
        print(f"convttlstm: error: {shortened(error)}; see {log} for the traceback", file=sys.stderr)
        return 1
    return 0


def _log_of_failure() -> Path:
    """Write the last traceback to a log file, and return its path."""
    folder = "." if os.access(".", os.W_OK) else None
    handle, name = tempfile.mkstemp(prefix="convttlstm-error-", suffix=".log", dir=folder)
    with os.fdopen(handle, "w") as file:
        file.write(traceback.format_exc())
    return Path(name)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog="convttlstm",
        description="Reproduction of Convolutional Tensor-Train LSTM (NeurIPS 2020).",
    )
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        text = command.__doc__ or ""
        sub = subcommands.add_parser(name, help=text.partition("\n\n")[0], description=text)
        sub.set_defaults(command=command)
        return sub

    def add_config(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--config", type=Path, required=True, help="settings file, such as config/demo.yaml")
        sub.add_argument("--dataset", required=True, help="the data set's name in the settings")

    def add_model(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--model",
            metavar="FILE.py:CLASS",
            help="your own model, added as class_name; or an entry point's name",
        )

    sub = add("fetch", commands.fetch)
    sub.add_argument("what", choices=[*commands.RAW_DATA, "lpips"], help="what to fetch")
    sub.add_argument(
        "--lock",
        type=Path,
        default=Path("data/archives.lock.json"),
        help="file with the checksums of KTH's files",
    )
    sub.add_argument(
        "--labels",
        nargs="+",
        default=[],
        help="files of Something-Something's labels; default: the official ones",
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder, or for lpips a file")

    sub = add("synthesize", commands.synthesize)
    add_config(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder")

    sub = add("prepare", commands.prepare)
    add_config(sub)
    sub.add_argument("--raw", type=Path, help="folder of raw files; default: as in the settings")
    sub.add_argument(
        "--embedded", type=Path, default=Path("data/embedded"), help="folder of the digits in git"
    )
    sub.add_argument(
        "--checksums",
        type=Path,
        default=Path("data/checksums.json"),
        help="file with the expected checksums of generated sequences; new ones are added",
    )
    sub.add_argument(
        "--processes",
        type=_at_least(1),
        default=os.cpu_count(),
        help="number of processes that decode videos",
    )
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
    sub.add_argument(
        "--selection", type=Path, help="file that `select` wrote, for runs named ...-selected-..."
    )
    sub.add_argument("run", help="such as conv_tt_lstm-N2-M5-seed0")
    sub.add_argument("-o", "--output", type=Path, required=True, help="the run's folder")

    sub = add("try", commands.try_rung)
    add_config(sub)
    sub.add_argument("--data", type=Path, required=True, help="the prepared data set's folder")
    sub.add_argument("--runs", type=Path, required=True, help="the folder of the runs' folders")
    sub.add_argument("--role", required=True, help="the model whose settings are searched")
    sub.add_argument("--rung", type=_at_least(0), required=True, help="the round, from 0")
    sub.add_argument(
        "--place", type=_at_least(0), required=True, help="index of the run in the round, from 0"
    )
    sub.add_argument("--ranking", type=Path, help="file that `select` wrote for the previous round")
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")

    sub = add("select", commands.select)
    add_config(sub)
    sub.add_argument("--runs", type=Path, required=True, help="the folder of the runs' folders")
    sub.add_argument(
        "--tried", type=Path, nargs="*", default=[], help="files that `try` wrote, for successive halving"
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")

    sub = add("evaluate", commands.evaluate)
    add_config(sub)
    add_model(sub)
    sub.add_argument("--data", type=Path, required=True, help="the prepared data set's folder")
    sub.add_argument("--lpips", type=Path, help="file of AlexNet's weights that `fetch lpips` wrote")
    sub.add_argument(
        "--selection", type=Path, help="file that `select` wrote, for runs named ...-selected-..."
    )
    sub.add_argument("run", help="such as conv_tt_lstm-seed0")
    sub.add_argument("-o", "--output", type=Path, required=True, help="the run's folder")

    sub = add("predict", commands.predict)
    sub.add_argument("run", type=Path, help="the run's folder, or one of published weights")
    sub.add_argument(
        "video",
        type=Path,
        nargs="?",
        help="a video, a folder of pictures, or an array; default for Moving-MNIST: a test sequence",
    )
    sub.add_argument("--horizon", type=_at_least(1), required=True, help="frames to predict")
    sub.add_argument(
        "--start",
        type=_at_least(1),
        help="the first predicted frame, from 1; default: the one after the video's last",
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help="file: .gif, .mp4 or .npy")

    sub = add("import-weights", commands.import_weights)
    add_config(sub)
    sub.add_argument("run", help="a run with the file's settings, such as conv_tt_lstm-seed0")
    sub.add_argument("checkpoint", type=Path, help="the authors' file")
    sub.add_argument("--sha256", required=True, help="the file's checksum, as published with it")
    sub.add_argument("-o", "--output", type=Path, required=True, help="a new folder")

    sub = add("export-weights", commands.export_weights)
    sub.add_argument("run", type=Path, help="the run's folder")
    sub.add_argument("-o", "--output", type=Path, required=True, help="a new folder")

    sub = add("bundle", commands.bundle)
    sub.add_argument("--config", type=Path, required=True, help="settings file, such as config/demo.yaml")
    sub.add_argument("--results", type=Path, help="the scale's results; default: results/<scale>")
    sub.add_argument("-o", "--output", type=Path, required=True, help="zip file")

    sub = add("complexity", commands.complexity)
    sub.add_argument("--config", type=Path, nargs="+", required=True, help="settings files, one per scale")
    add_model(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help="CSV file")
    sub.add_argument("--orders", type=Path, help="CSV file for the costs of each order N = 1, 2, ...")

    sub = add("report", commands.report)
    sub.add_argument(
        "what", choices=report_names(), help="the table or figure to make; page makes index.html"
    )
    sub.add_argument("--config", type=Path, required=True, help="settings file, such as config/demo.yaml")
    add_model(sub)
    sub.add_argument("--dataset", default="", help="the data set's name, for reports on one data set")
    sub.add_argument("--results", type=Path, help="the scale's results; default: results/<scale>")
    sub.add_argument("-o", "--output", type=Path, help="folder for the files; default: the results' folder")

    sub = add("estimate", commands.estimate)
    sub.add_argument("--config", type=Path, required=True, help="settings file, such as config/paper.yaml")
    sub.add_argument(
        "--times",
        type=Path,
        default=Path("benchmarks/results/system_times-AMD_EPYC-torch2.13.0.csv"),
        help="file that benchmarks.system_times wrote on some device",
    )
    sub.add_argument(
        "--minutes",
        type=_positive_time,
        help="your device's minutes to train Conv-TT-LSTM on 10,000 sequences, 10 + 10 frames, 64x64",
    )

    sub = add("status", commands.status)
    sub.add_argument("--config", type=Path, required=True, help="settings file, such as config/paper.yaml")
    sub.add_argument("--results", type=Path, help="the scale's results; default: results/<scale>")

    sub = add("settings", commands.settings_digests)
    sub.add_argument("--config", type=Path, required=True, help="settings file, such as config/paper.yaml")
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")

    sub = add("archive", commands.archive)
    sub.add_argument("runs", type=Path, nargs="+", help="the runs' folders")

    sub = add("schema", commands.schema)
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} on, not {text!r}")
        return value

    return number


def _positive_time(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of minutes above 0, not {text!r}")
    return value
