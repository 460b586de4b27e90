"""`convttlstm`: one subcommand for each arrow of the pipeline; no business logic here."""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from convttlstm import slurm
from convttlstm.config import (
    Dataset,
    Run,
    Settings,
    digests,
    is_selected,
    json_schema,
    load_settings,
    read_winners,
    resolve_run,
    with_model,
)
from convttlstm.files import UserError, write_json, write_text
from convttlstm.reporting import report_names

# Raw data that can be fetched, and the kind of data set that is made of them.
RAW_DATA = {"mnist": "moving_mnist", "kth": "kth", "something": "something"}


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
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convttlstm",
        description="Reproduction of Convolutional Tensor-Train LSTM (NeurIPS 2020).",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
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

    sub = add(
        "fetch",
        _fetch,
        "Download and verify MNIST, KTH or LPIPS's AlexNet weights; check Something-Something's clips.",
    )
    sub.add_argument("what", choices=[*RAW_DATA, "lpips"])
    sub.add_argument(
        "--lock", type=Path, default=Path("data/archives.lock.json"), help="checksums of KTH's files"
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help="LPIPS: file; else folder")

    sub = add("synthesize", _synthesize, "Draw and encode a stand-in for KTH or Something-Something.")
    add_config(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder")

    sub = add("prepare", _prepare, "Make a data set's train, validation and test splits.")
    add_config(sub)
    sub.add_argument("--raw", type=Path, help="raw files; data/raw/mnist, kth or something if not given")
    sub.add_argument("--embedded", type=Path, default=Path("data/embedded"), help="digits in git")
    sub.add_argument("--checksums", type=Path, default=Path("data/checksums.json"))
    sub.add_argument("--processes", type=_positive, default=os.cpu_count(), help="that decode videos")
    sub.add_argument("-o", "--output", type=Path, required=True, help="folder")

    sub = add("verify", _verify, "Check prepared data, or a bundle, by checksum; nothing is unpacked.")
    sub.add_argument("path", type=Path, help="a folder such as data/processed/demo, or a bundle's file")

    sub = add("compare", _compare, "Set two folders of results beside each other: scales, commits, devices.")
    sub.add_argument("a", metavar="A", type=Path, help="a folder such as results/laptop")
    sub.add_argument("b", metavar="B", type=Path, help="another; differences are B - A")
    sub.add_argument("-o", "--output", type=Path, help="file: .md, or .csv of the differences alone")

    sub = add("train", _train, "Train a run, or go on with it where it stopped.")
    add_config(sub)
    add_model(sub)
    sub.add_argument("--data", type=Path, required=True, help="the prepared data set's folder")
    sub.add_argument("--selection", type=Path, help="what `select` wrote, for runs named ...-selected-...")
    sub.add_argument("run", help="such as conv_tt_lstm-N2-M5-seed0")
    sub.add_argument("-o", "--output", type=Path, required=True, help="the run's folder")

    sub = add("try", _try, "Train the run that takes a place in a round of successive halving.")
    add_config(sub)
    sub.add_argument("--data", type=Path, required=True, help="the prepared data set's folder")
    sub.add_argument("--runs", type=Path, required=True, help="the folder of the runs' folders")
    sub.add_argument("--role", required=True, help="the system whose configuration is sought")
    sub.add_argument("--rung", type=int, required=True, help="the round, from 0")
    sub.add_argument("--place", type=int, required=True, help="which of the round's runs, from 0")
    sub.add_argument("--ranking", type=Path, help="what `select` made of the round before")
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")

    sub = add("select", _select, "Rank the runs of a grid by validation loss.")
    add_config(sub)
    sub.add_argument("--runs", type=Path, required=True, help="the folder of the runs' folders")
    sub.add_argument("--tried", type=Path, nargs="*", default=[], help="what `try` wrote, if halving")
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")

    sub = add("evaluate", _evaluate, "Judge a run on the test split.")
    add_config(sub)
    add_model(sub)
    sub.add_argument("--data", type=Path, required=True, help="the prepared data set's folder")
    sub.add_argument("--lpips", type=Path, help="AlexNet's weights, as fetched")
    sub.add_argument("--selection", type=Path, help="what `select` wrote, for runs named ...-selected-...")
    sub.add_argument("run", help="such as conv_tt_lstm-seed0")
    sub.add_argument("-o", "--output", type=Path, required=True, help="the run's folder")

    sub = add("predict", _predict, "Show what a finished run sees coming in a video of your own.")
    sub.add_argument("run", type=Path, help="the run's folder")
    sub.add_argument("video", type=Path, help="any video file")
    sub.add_argument("--horizon", type=_positive, required=True, help="frames to predict")
    sub.add_argument(
        "--start",
        type=_positive,
        help="the first predicted frame, from 1; the one after the video's last if not given",
    )
    sub.add_argument("-o", "--output", type=Path, required=True, help="file: .gif, .mp4 or .npy")

    sub = add("import-weights", _import_weights, "Take the authors' released weights, to be evaluated.")
    add_config(sub)
    sub.add_argument("run", help="with the settings of the file, such as conv_tt_lstm-seed0")
    sub.add_argument("checkpoint", type=Path, help="the file")
    sub.add_argument("--sha256", required=True, help="its checksum, from whoever gave it to you")
    sub.add_argument("-o", "--output", type=Path, required=True, help="a folder of its own")

    sub = add("export-weights", _export_weights, "Write a finished run's weights with a model card.")
    sub.add_argument("run", type=Path, help="the run's folder")
    sub.add_argument("-o", "--output", type=Path, required=True, help="a new folder")

    sub = add("bundle", _bundle, "Pack a finished reproduction into one archive that describes itself.")
    sub.add_argument("--config", type=Path, required=True, help="settings, such as config/demo.yaml")
    sub.add_argument("--results", type=Path, help="its results; results/<scale> if not given")
    sub.add_argument("-o", "--output", type=Path, required=True, help="zip file")

    sub = add("complexity", _complexity, "Count parameters and multiplications of every system.")
    sub.add_argument("--config", type=Path, nargs="+", required=True, help="settings, one for each scale")
    add_model(sub)
    sub.add_argument("-o", "--output", type=Path, required=True, help="CSV file")
    sub.add_argument("--orders", type=Path, help="CSV file of what the orders N = 1, 2, ... cost")

    sub = add("report", _report, "Make a table, a figure or the page from finished runs.")
    sub.add_argument("what", choices=report_names())
    sub.add_argument("--config", type=Path, required=True, help="settings, such as config/demo.yaml")
    add_model(sub)
    sub.add_argument("--dataset", default="", help="the data set's name, for a report on one")
    sub.add_argument("--results", type=Path, help="the scale's results; results/<scale> if not given")
    sub.add_argument("-o", "--output", type=Path, help="folder for the files; the results' if not given")

    sub = add("estimate", _estimate, "Say what a scale will take: jobs, hours and storage by stage.")
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

    sub = add("status", _status, "Say how far a scale's runs are; no job is touched.")
    sub.add_argument("--config", type=Path, required=True, help="settings, such as config/paper.yaml")
    sub.add_argument("--results", type=Path, help="its results; results/<scale> if not given")

    sub = add("settings", _settings_digests, "Write digests of what decides each result of a scale.")
    sub.add_argument("--config", type=Path, required=True, help="settings, such as config/paper.yaml")
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")

    sub = add("forget", _forget, "Set finished runs aside, so that they are trained anew.")
    sub.add_argument("runs", type=Path, nargs="+", help="the runs' folders")

    sub = add("schema", _schema, "Write the JSON schema of the settings.")
    sub.add_argument("-o", "--output", type=Path, required=True, help="JSON file")
    return parser


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError
    return value


def _run(options: argparse.Namespace) -> Run:
    settings = _settings(options.config, options.model)
    winners = read_winners(options.selection) if options.selection else None
    return resolve_run(settings, options.config.stem, options.dataset, options.run, winners)


def _settings(config: Path, model: str | None) -> Settings:
    settings = load_settings(config)
    return with_model(settings, model) if model else settings


def _fetch(options: argparse.Namespace) -> None:
    if options.what == "lpips":
        from convttlstm.evaluation.lpips_weights import fetch_alexnet

        fetch_alexnet(options.output)
    else:
        from convttlstm.data.kinds import data_kind

        data_kind(RAW_DATA[options.what]).fetch(options.output, options.lock)
    print(f"wrote {options.output}")


def _dataset(options: argparse.Namespace) -> Dataset:
    settings = load_settings(options.config)
    if options.dataset not in settings.datasets:
        raise UserError(f"{options.config}: no data set {options.dataset!r}")
    return settings.datasets[options.dataset]


def _synthesize(options: argparse.Namespace) -> None:
    from convttlstm.data.kinds import data_kind

    dataset = _dataset(options)
    written = data_kind(dataset.kind).synthesize(dataset, options.output)
    if not written:
        raise UserError(f"{options.config}: there is no stand-in for {options.dataset}")
    print(f"wrote {', '.join(map(str, written))}")


def _prepare(options: argparse.Namespace) -> None:
    from convttlstm.data.kinds import Preparation, data_kind

    dataset = _dataset(options)
    raw = options.raw or Path(dataset.raw_folder)
    places = raw, options.output, options.embedded, options.checksums
    data_kind(dataset.kind).prepare(dataset, Preparation(options.dataset, *places, options.processes))
    print(f"wrote {options.output}")


def _compare(options: argparse.Namespace) -> None:
    from convttlstm.sharing.compare import compare

    found = compare(options.a, options.b)
    if options.output:
        found.write(options.output)
        print(f"wrote {options.output}")
    else:
        print(found.to_text())


def _verify(options: argparse.Namespace) -> None:
    if options.path.is_dir():
        from convttlstm.data.verify import verify_data

        print(verify_data(options.path))
    else:
        from convttlstm.sharing.bundle import verify_bundle

        print(verify_bundle(options.path))


def _train(options: argparse.Namespace) -> None:
    from convttlstm.training.loop import adopt, train

    run = _run(options)
    if not run.trained:
        raise UserError(f"{run.id} has no weights; evaluate it without training")
    if not (is_selected(run.id) and adopt(run, options.output)):
        with _stopping():
            train(run, options.data, options.output)


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """End this process when training was stopped; if Slurm is to start it again, Slurm ends it."""
    from convttlstm.training.loop import EXIT_INTERRUPTED, Interrupted

    try:
        yield
    except Interrupted as stop:
        print(stop, file=sys.stderr, flush=True)
        if stop.later and slurm.requeue():
            print("the job is back in Slurm's queue, which ends it now", file=sys.stderr, flush=True)
            time.sleep(600)
        sys.exit(EXIT_INTERRUPTED)


def _try(options: argparse.Namespace) -> None:
    from convttlstm.training.halving import take_place

    settings, place = load_settings(options.config), (options.role, options.rung, options.place)
    with _stopping():
        take_place(
            settings,
            options.config.stem,
            options.dataset,
            place,
            options.data,
            options.runs,
            options.ranking,
            options.output,
        )
    print(f"wrote {options.output}")


def _select(options: argparse.Namespace) -> None:
    from convttlstm.evaluation.selection import select

    select(load_settings(options.config), options.dataset, options.runs, options.output, options.tried)
    print(f"wrote {options.output}")


def _evaluate(options: argparse.Namespace) -> None:
    from convttlstm.evaluation.protocol import evaluate_run

    evaluate_run(_run(options), options.data, options.output, options.lpips)
    print(f"wrote {options.output / 'metrics.json'}")


def _predict(options: argparse.Namespace) -> None:
    from convttlstm.forecast import check_suffix, write_forecast

    check_suffix(options.output)
    from convttlstm.evaluation.predict import predict

    forecast = predict(options.run, options.video, options.horizon, options.start)
    write_forecast(forecast.run, forecast.truth, forecast.prediction, options.output)
    print(f"wrote {options.output}")


def _import_weights(options: argparse.Namespace) -> None:
    from convttlstm.sharing.exchange import import_weights

    settings = load_settings(options.config)
    run = resolve_run(settings, options.config.stem, options.dataset, options.run)
    import_weights(options.checkpoint, options.sha256, run, options.output)
    print(f"wrote {options.output / 'best.safetensors'}; `convttlstm evaluate` judges it")


def _export_weights(options: argparse.Namespace) -> None:
    from convttlstm.sharing.exchange import export_weights

    export_weights(options.run, options.output)
    print(f"wrote {options.output}")


def _bundle(options: argparse.Namespace) -> None:
    from convttlstm.sharing.bundle import bundle

    results = options.results or Path("results", options.config.stem)
    print("wrote", bundle(options.config, results, options.output))


def _complexity(options: argparse.Namespace) -> None:
    from convttlstm.evaluation.complexity import write_complexity, write_orders

    scales = {path.stem: _settings(path, options.model) for path in options.config}
    write_complexity(scales, options.output)
    print(f"wrote {options.output}")
    if options.orders:
        write_orders(options.orders)
        print(f"wrote {options.orders}")


def _report(options: argparse.Namespace) -> None:
    from convttlstm.reporting import find_report
    from convttlstm.reporting.report import write_report
    from convttlstm.results import Scale

    scale = Scale.load(options.config, options.results, options.model)
    folder = options.output or scale.folder
    for path in write_report(find_report(options.what), scale, options.dataset, folder):
        print(f"wrote {path}")


def _estimate(options: argparse.Namespace) -> None:
    from convttlstm.evaluation.complexity import ModelCounts
    from convttlstm.planning.estimate import estimate, to_text

    settings, counts = load_settings(options.config), ModelCounts(load_settings(options.config))
    found = estimate(settings, options.config.stem, options.times, counts, options.minutes)
    print(to_text(found, options.times, options.minutes))


def _status(options: argparse.Namespace) -> None:
    from convttlstm.planning.status import status, to_text
    from convttlstm.slurm import jobs_of

    scale = options.config.stem
    results = options.results or Path("results", scale)
    queue = jobs_of(Path.cwd())  # where Snakemake runs
    print(to_text(status(load_settings(options.config), scale, results, queue), queue))


def _settings_digests(options: argparse.Namespace) -> None:
    write_json(options.output, digests(load_settings(options.config), options.config.stem))
    print(f"wrote {options.output}")


def _forget(options: argparse.Namespace) -> None:
    from convttlstm.training.locks import forget

    for folder in options.runs:
        print(f"{folder}: now {forget(folder)}; the usual command trains the run anew")


def _schema(options: argparse.Namespace) -> None:
    write_text(options.output, json_schema())
    print(f"wrote {options.output}")


if __name__ == "__main__":
    sys.exit(main())
