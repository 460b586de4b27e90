"""What is measured, in order of value; what is less worth comes later, and is left out first."""

from functools import partial
from itertools import product

from benchmarks.gpu import Options, Step, checks, timing, training, unit_tests
from benchmarks.variants import GRAPH, MODELS, TUNED, Variant

COMPILED = "ours, compiled"
FAST = [
    "textbook",
    "ours",
    f"ours, {GRAPH}",
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
SLOW = [COMPILED, f"{COMPILED}, {GRAPH}"]  # a minute each, of which most compiles
USUAL = ["textbook", "ours", f"ours, {GRAPH}"]
LARGE = 120  # KTH's frames, pixels; the other size is Moving-MNIST's
SECONDS = {COMPILED: 70, f"{COMPILED}, {GRAPH}": 70}  # others take 7


def plan(options: Options) -> list[Step]:
    """Return all steps; on a CPU those without a graph, which it cannot record."""
    steps = [
        Step("check layers", 5, lambda *_: checks.check_layers(options)),
        *(_check(options, name, p) for p in ("float64", "bf16", "float32", "tf32") for name in MODELS),
        Step("one layer 64, bf16", 5, lambda *_: timing.one_layer(options, "bf16")),
        *_timed(options, 64, "bf16", FAST),
        *(_profile(options, name) for name in MODELS),
        *(_losses(options, name, "bf16") for name in MODELS),
        *_timed(options, 64, "tf32", USUAL),
        *_timed(options, 64, "float32", USUAL),
        *_timed(options, LARGE, "bf16", USUAL),
        *_timed(options, 64, "bf16", SLOW),
        Step("unit tests", 90, lambda _, deadline: unit_tests.run(deadline)),
        Step("training", 90, lambda _, deadline: training.train(options, deadline), waits=True),
        # What is left for another day.
        *(_losses(options, name, "float32") for name in MODELS),
        *_timed(options, LARGE, "bf16", [code for code in FAST if code not in USUAL]),
        *_timed(options, LARGE, "tf32", USUAL),
        *_timed(options, LARGE, "float32", USUAL),
        *_timed(options, 64, "tf32", [code for code in FAST + SLOW if code not in USUAL]),
        *_timed(options, 64, "float32", [code for code in FAST + SLOW if code not in USUAL]),
        *_timed(options, LARGE, "bf16", SLOW),
        *(_check(options, name, p, [COMPILED]) for p in ("bf16", "float32") for name in MODELS),
    ]
    unique: dict[str, Step] = {}
    for step in steps:
        unique.setdefault(step.name, step)  # rates are asked for twice
    return list(unique.values())


def _check(options: Options, name: str, precision: str, codes: list[str] | None = None) -> Step:
    chosen = codes or [code for code in checks.CODES if code != COMPILED]
    title = f"check {name}, {precision}" + (", compiled" if codes else "")
    call = partial(checks.check_model, options, name, precision, chosen)
    return Step(title, 60 if codes else 8, lambda *_: call())


def _timed(options: Options, side: int, precision: str, codes: list[str]) -> list[Step]:
    slower = (1.5 if precision == "float32" else 1) * (2 if side == LARGE else 1)
    alone = partial(timing.rates, options, precision, side)
    steps = [Step(f"rates {side}, {precision}", 4 * slower, lambda *_: alone())]
    for code, name in product(codes, MODELS):
        if GRAPH in code and options.kind != "cuda":
            continue
        call = partial(timing.train_step, options, Variant(name, precision, code), side)
        seconds = SECONDS.get(code, 7) * slower
        steps.append(Step(f"step {side}, {precision}, {name}, {code}", seconds, lambda *_, call=call: call()))
    return steps


def _profile(options: Options, name: str) -> Step:
    return Step(f"profile {name}", 8, lambda records, _: timing.profile_fastest(options, name, records))


def _losses(options: Options, name: str, precision: str) -> Step:
    call = partial(checks.check_losses, options, name, precision)
    return Step(f"losses {name}, {precision}", 45, lambda *_: call())
