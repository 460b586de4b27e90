"""The steps, the most useful first: where time is short, the last ones are skipped."""

from functools import partial
from itertools import product

from benchmarks.gpu import Options, Step, checks, timing, training, unit_tests
from benchmarks.variants import GRAPH, MODELS, TUNED, Variant

COMPILED = "ours, compiled"
USUAL = ["textbook", "ours", f"ours, {GRAPH}"]
COMPILING = [f"{COMPILED}, {GRAPH}", COMPILED]
OTHERS = [
    f"ours, {GRAPH}, {TUNED}",
    f"ours, {TUNED}",
    "ours, padded first layer",
    "ours, inputs at once",
    "ours, batched weight gradients",
    f"ours, {GRAPH}, {TUNED}, padded first layer",
    f"ours, {GRAPH}, {TUNED}, inputs at once",
    f"ours, {GRAPH}, {TUNED}, batched weight gradients",
    "readable",
]
SMALL, LARGE = 64, 120  # sizes of Moving-MNIST's and KTH's frames, pixels
# Estimates; the second compiled variant finds the first one's code in the cache.
SECONDS = {COMPILING[0]: 70, COMPILING[1]: 30}
USUAL_SECONDS = 7


def plan(options: Options) -> list[Step]:
    """Return all steps; those with a CUDA graph on a GPU only."""
    steps = [
        Step("check layers", 5, lambda *_: checks.check_layers(options)),
        *(_check(options, name, p) for p in ("float64", "bf16") for name in MODELS),
        *_timed(options, SMALL, "bf16", USUAL),
        *_timed(options, SMALL, "bf16", OTHERS),
        *(_profile(options, name) for name in MODELS),
        *_timed(options, SMALL, "bf16", COMPILING),
        *_timed(options, LARGE, "bf16", USUAL),
        *(_losses(options, name, "bf16") for name in MODELS),
        Step("one layer 64, bf16", 5, lambda *_: timing.one_layer(options, "bf16")),
        *(_check(options, name, p) for p in ("float32", "tf32") for name in MODELS),
        *_timed(options, SMALL, "tf32", USUAL),
        *_timed(options, SMALL, "float32", USUAL),
        *_timed(options, LARGE, "bf16", COMPILING),
        *(_check(options, name, "bf16", [COMPILED]) for name in MODELS),
        *(_profile(options, name, compiled=True) for name in MODELS),
        # Tests of the environment more than of the GPU: they run on the CPU.
        Step("unit tests", 90, lambda _, deadline: unit_tests.run(deadline)),
        Step("training", 90, lambda _, deadline: training.train(options, deadline), open_ended=True),
        # For another day.
        *(_losses(options, name, "float32") for name in MODELS),
        *_timed(options, LARGE, "bf16", OTHERS),
        *_timed(options, LARGE, "tf32", USUAL),
        *_timed(options, LARGE, "float32", USUAL),
        *_timed(options, SMALL, "tf32", OTHERS + COMPILING),
        *_timed(options, SMALL, "float32", OTHERS + COMPILING),
        *(_check(options, name, "float32", [COMPILED]) for name in MODELS),
    ]
    unique: dict[str, Step] = {}
    for step in steps:
        unique.setdefault(step.name, step)  # some groups have the same rates
    return list(unique.values())


def _check(options: Options, name: str, precision: str, codes: list[str] | None = None) -> Step:
    chosen = codes or [code for code in checks.CODES if code != COMPILED]
    title = f"check {name}, {precision}" + (", compiled" if codes else "")
    call = partial(checks.check_model, options, name, precision, chosen)
    return Step(title, 60 if codes else 6, lambda *_: call())


def _timed(options: Options, side: int, precision: str, codes: list[str]) -> list[Step]:
    """Return the steps that time these variants, after one that measures rates to compare with."""
    slower = (1.5 if precision == "float32" else 1) * (2 if side == LARGE else 1)
    rates = partial(timing.rates, options, precision, side)
    steps = [Step(f"rates {side}, {precision}", 4 * slower, lambda *_: rates())]
    for code, name in product(codes, MODELS):
        if GRAPH in code and options.kind != "cuda":
            continue
        call = partial(timing.train_step, options, Variant(name, precision, code), side)
        seconds = SECONDS.get(code, USUAL_SECONDS * slower)
        steps.append(Step(f"step {side}, {precision}, {name}, {code}", seconds, lambda *_, call=call: call()))
    return steps


def _profile(options: Options, name: str, compiled: bool = False) -> Step:
    title = f"profile compiled {name}" if compiled else f"profile {name}"
    call = partial(timing.profile_fastest, options, name, compiled)
    return Step(title, 40 if compiled else 15, lambda records, _: call(records))


def _losses(options: Options, name: str, precision: str) -> Step:
    call = partial(checks.check_losses, options, name, precision)
    return Step(f"losses {name}, {precision}", {"conv_lstm": 40, "conv_tt_lstm": 75}[name], lambda *_: call())
