"""Wrong settings stop before any job, in one line that names the file, the setting and its allowed values."""

import itertools
import json
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from convttlstm.config import (
    RunId,
    Training,
    ablation_runs,
    evaluated_runs,
    first_runs,
    grid_runs,
    json_schema,
    load_settings,
    planned_run,
    read_run,
    resolve_run,
    run_id,
    table_runs,
)
from convttlstm.config.datasets import KINDS
from convttlstm.config.models import BUILT_IN
from convttlstm.files import UserError

ROOT = Path(__file__).parents[2]
MNIST = "moving_mnist_2"
SCALES = sorted(path.stem for path in (ROOT / "config").glob("*.yaml"))


@pytest.fixture
def overlay(tmp_path: Path):
    """Lay some settings over the paper's, as config/wrong.yaml."""

    def write(text: str, paper: str | None = None) -> Path:
        (tmp_path / "paper.yaml").write_text(paper or (ROOT / "config/paper.yaml").read_text())
        path = tmp_path / "wrong.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "text, key, said",
    [
        ("traning: {}", "traning", "did you mean 'training'?"),
        ("training: {epoch: 3}", "training.epoch", "did you mean 'epochs'?"),
        (
            "systems: {conv_tt_lstm: {model: {ordr: 3}}}",
            "systems.conv_tt_lstm.model.ordr",
            "did you mean 'order'?",
        ),
        ("training: {epochs: many}", "training.epochs", "valid integer, not 'many'"),
        ("training: {epochs: true}", "training.epochs", "valid integer, not True"),
        ("training: {precision: 16}", "training.precision", "'tf32' or 'bf16-mixed', not 16"),
        (
            "systems: {conv_tt_lstm: {model: {order: 4}}}",
            "systems.conv_tt_lstm.model",
            "order 4 > steps 3; steps (M) must be at least order (N)",
        ),
        (
            "systems: {conv_lstm: {model: {kernel_size: 4}}}",
            "systems.conv_lstm.model.kernel_size",
            "must be odd",
        ),
        (
            "systems: {conv_tt_lstm: {model: {rank: 0}}}",
            "systems.conv_tt_lstm.model.rank",
            "greater than 0, not 0",
        ),
        (
            "systems: {conv_lstm: {model: {checkpointing: [1, 5]}}}",
            "systems.conv_lstm.model.checkpointing.1",
            "less than or equal to 4, not 5",
        ),
        ("experiments: {moving_mnist_2: {table: [conv_lsm]}}", "", "did you mean 'conv_lstm'?"),
        ("datasets: {moving_mnist_2: {size: 20}}", "datasets.moving_mnist_2", "digit_size 28 leaves no room"),
        (
            "datasets: {moving_mnist_2: {test_horizons: [10, 40]}}",
            "datasets.moving_mnist_2",
            "test.frames is 40, but context + horizon need 50",
        ),
        (
            "experiments: {moving_mnist_2: null, kth: null, something_25: null, something_50: null}",
            "settings",
            "experiments: none is left; give at least one data set a table",
        ),
        (
            "training: {batch_size: 7}",
            "training",
            "samples_per_epoch 10000 is not a multiple of batch_size 7",
        ),
        ("training: {samples_per_epoch: 20000}", "", "trains on 10000 sequences"),
        ("training: {learning_rate: .inf}", "training.learning_rate", "finite number"),
        (
            "systems: {vpn: {training: {epoch: 3}}}",
            "settings",
            "systems.vpn.training: epoch: unknown setting; did you mean 'epochs'?",
        ),
        (
            "systems: {vpn: {evaluation: {sequences: 0}}}",
            "settings",
            "systems.vpn.evaluation: sequences: Input should be greater than 0",
        ),
        ("systems: {my-net: {title: x, model: {name: black}}}", "systems.my-net", "should match pattern"),
        ("systems: {mine: {title: x, model: {name: conv_lsm}}}", "systems.mine.model", "'conv_lstm'?"),
        (
            "datasets: {moving_mnist_2: {size: 62}}",
            "settings",
            "conv_lstm_shi cannot be used on this data set: "
            "frames of 62 pixels cannot be cut into patches of 4",
        ),
        (
            "experiments: {moving_mnist_2: {grid: [{system: conv_lstm, order: [2]}]}}",
            "settings",
            "conv_lstm has no setting 'order'",
        ),
        (
            "experiments: {moving_mnist_2: {grid: [{system: conv_tt_lstm, order: [5]}]}}",
            "settings",
            "conv_tt_lstm: order 5 > steps 3",
        ),
        (
            "experiments: {moving_mnist_2: {grid: [{system: conv_tt_lstm, order: [5], steps: [3]}]}}",
            "settings",
            "no point of conv_tt_lstm's grid has steps (M) >= order (N)",
        ),
        (
            "experiments: {moving_mnist_2: {published: [copy_last]}}",
            "settings",
            "experiments.moving_mnist_2: copy_last has no weights to search for or publish",
        ),
        (
            "experiments: {kth: {halving: {epochs: 32, factor: 4}, grid: [{system: conv_tt_lstm}, "
            "{system: predrnn_pp, role: conv_tt_lstm}]}}\nsystems: {predrnn_pp: {training: {epochs: 64}}}",
            "settings",
            "experiments.kth.halving: conv_tt_lstm's models differ in training.epochs",
        ),
        ("experiments: {moving_mnist_2: {seeds: [0, 0]}}", "experiments.moving_mnist_2.seeds", "twice"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(overlay, text, key, said):
    path = overlay(text)
    with pytest.raises(UserError) as error:
        load_settings(path)
    message = str(error.value)
    assert message.startswith(f"{path}: {key}") or (not key and str(path.parent) in message)
    assert said in message
    assert "\n" not in message


def test_anchors_may_be_merged_from_merged_ones(overlay):
    path = overlay(
        "systems:\n"
        "  conv_lstm_shi: {training: &few {epochs: 2, samples_per_epoch: 240, batch_size: 6}}\n"
        "  vpn: {training: &fewer {<<: *few, epochs: 1}}\n"
        "training: {<<: *fewer, batch_size: 3}\n"
    )
    training = load_settings(path).training
    assert (training.epochs, training.samples_per_epoch, training.batch_size) == (1, 240, 3)


def test_published_models_are_in_the_table(overlay):
    path = overlay("experiments: {moving_mnist_2: {table: [conv_lstm], published: [conv_lstm_narrow]}}")
    with pytest.raises(UserError, match=r"moving_mnist_2\.published: conv_lstm_narrow is not in `table`"):
        load_settings(path)


def test_a_search_in_rounds_has_each_point_in_one_role_only(overlay):
    other = "{system: conv_lstm, role: conv_tt_lstm, kernel_size: [5]}"
    grid = f"[{{system: conv_lstm, kernel_size: [3, 5]}}, {other}]"
    path = overlay(f"experiments: {{moving_mnist_2: {{grid: {grid}}}}}")
    with pytest.raises(
        UserError, match="halving: conv_lstm is in the grids of conv_lstm and of conv_tt_lstm"
    ):
        load_settings(path)


def test_the_file_that_is_wrong_is_named(overlay):
    paper = (ROOT / "config/paper.yaml").read_text().replace("epochs: 500", "epochs: -1")
    path = overlay("label: x", paper)
    with pytest.raises(UserError, match=r"paper\.yaml: training\.epochs: .*greater than 0, not -1"):
        load_settings(path)


@pytest.mark.parametrize("text, said", [("a: [1", "not valid YAML"), ("- a", "expected settings")])
def test_a_file_without_settings_is_refused(overlay, text, said):
    with pytest.raises(UserError, match=said):
        load_settings(overlay(text))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "latin-1", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_settings_must_be_utf_8_with_any_line_ends(overlay, encoding, end):
    path = overlay("")
    path.write_bytes(f"label: ü scale{end}training:{end}  epochs: 7{end}".encode(encoding))
    if encoding.startswith("utf-8"):
        settings = load_settings(path)
        assert (settings.label, settings.training.epochs) == ("ü scale", 7)
    else:
        with pytest.raises(UserError, match=r"is not UTF-8 text; save it as UTF-8$"):
            load_settings(path)


@pytest.mark.parametrize("title", ["x" * 121, "a\nb", "a\x85b", "a\u2028b", "\u202eab"])
def test_long_and_unprintable_titles_are_refused(overlay, title):
    with pytest.raises(UserError) as error:
        load_settings(overlay(yaml.safe_dump({"systems": {"conv_lstm": {"title": title}}})))
    assert "systems.conv_lstm.title" in str(error.value)
    assert all(letter.isprintable() for letter in str(error.value))


def test_a_missing_scale_is_refused_with_a_list_of_all():
    with pytest.raises(
        UserError, match="no such scale; there are ablations, demo, gpu, h100, laptop, order, paper"
    ):
        load_settings(ROOT / "config/dmeo.yaml")


def test_a_very_long_scale_name_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"^.{,200}: no such scale; there are ablations"):
        load_settings(ROOT / f"config/{'x' * 5000}.yaml")


def test_every_committed_scale_is_valid():
    for path in (ROOT / "config").glob("*.yaml"):
        load_settings(path)


def test_the_committed_schema_is_current():
    assert (ROOT / "config/schema.json").read_text() == json_schema(), (
        "run: convttlstm schema -o config/schema.json"
    )


def test_the_papers_grid_equals_an_independent_count():
    settings = load_settings(ROOT / "config/paper.yaml")
    expected = {
        (s, n, c, m)
        for s, n, c, m in itertools.product([3, 5], [1, 2, 3, 5], [4, 8, 16], [1, 3, 5])
        if m >= n
    }
    assert len(expected) == 48
    runs = [resolve_run(settings, "paper", MNIST, run) for run in grid_runs(settings, MNIST)]
    models = [run.model for run in runs if run.system == "conv_tt_lstm"]
    assert {(m.kernel_size, m.order, m.rank, m.steps) for m in models} == expected
    assert len(models) == 48
    baselines = [run for run in runs if run.system == "conv_lstm"]
    assert sorted(run.model.kernel_size for run in baselines) == [3, 5]


def test_runs_are_named_by_their_differences_from_the_catalogue():
    settings = load_settings(ROOT / "config/paper.yaml")
    assert (
        run_id(settings, "conv_tt_lstm", {"order": 2, "steps": 5, "rank": 8}, 0) == "conv_tt_lstm-N2-M5-seed0"
    )
    ablated = {"factor_size": 1, "order": 1, "steps": 1}
    assert run_id(settings, "conv_tt_lstm", ablated, 0) == "conv_tt_lstm-G1-N1-M1-seed0"
    assert run_id(settings, "copy_last", {}, 3) == "copy_last"
    shown, firsts = table_runs(settings, MNIST), first_runs(settings, MNIST)
    assert firsts == [name for name in shown if "seed" not in name or name.endswith("-seed0")]
    assert shown[:2] == ["black", "copy_last"] and shown[-1] == "conv_tt_lstm-seed2"
    for name in [*grid_runs(settings, MNIST), *ablation_runs(settings, MNIST)]:
        assert resolve_run(settings, "paper", MNIST, name).id == name
    run = resolve_run(settings, "paper", MNIST, "conv_lstm-S3-G1-seed2")
    assert (run.model.kernel_size, run.model.factor_size, run.seed) == (3, 1, 2)
    winners = {"conv_tt_lstm": "conv_tt_lstm-N2-seed0"}
    selected = resolve_run(settings, "paper", MNIST, "conv_tt_lstm-selected-seed1", winners)
    assert selected.title == "Conv-TT-LSTM S5 N2 C8 M3"


@pytest.mark.parametrize(
    "name, said",
    [
        ("conv_tt_lstm-N3-seed0", "is called 'conv_tt_lstm-seed0'"),
        ("conv_tt_lstm-M5-N2-seed0", "is called 'conv_tt_lstm-N2-M5-seed0'"),
        ("conv_tt_lstm", "is called 'conv_tt_lstm-seed0'"),
        ("conv_tt_lstm-Q3-seed0", "expected SYSTEM"),
        ("conv_lstm-N3-seed0", "unknown setting"),
        ("conv_tt_lstm-N2-G1-seed0", "is called 'conv_tt_lstm-G1-N2-seed0'"),
        ("conv_tt_lstm-G2-seed0", "must be odd"),
        ("conv_lstm_ttd-G1-seed0", "unknown setting"),
        ("conv_tt_lstm-N5-seed0", "^run 'conv_tt_lstm-N5-seed0': order 5 > steps 3"),
        (f"conv_tt_lstm-seed{2**64}", "a seed must be less than 18446744073709551616"),
        (f"conv_tt_lstm-seed{'9' * 5000}", r"^.{,300}expected SYSTEM"),
        (f"conv_tt_lstm-selected-seed{'9' * 5000}", r"^.{,300}expected SYSTEM"),
        ("conv_ttlstm-seed0", "did you mean 'conv_tt_lstm'"),
    ],
)
def test_other_names_of_a_run_are_refused(name, said):
    settings = load_settings(ROOT / "config/paper.yaml")
    with pytest.raises(UserError, match=said):
        resolve_run(settings, "paper", MNIST, name)


def test_only_settings_that_decide_weights_make_another_run(tmp_path):
    def digest(**changes: object) -> str:
        (tmp_path / "paper.yaml").write_text((ROOT / "config/paper.yaml").read_text())
        (tmp_path / "other.yaml").write_text(yaml.safe_dump(changes))
        settings = load_settings(tmp_path / "other.yaml")
        return resolve_run(settings, "other", MNIST, "conv_lstm-seed0").digest()

    same = digest(label="x")
    assert digest(evaluation={"lpips": False}) == same
    assert digest(compute={"threads": 1, "accelerator": "cpu"}) == same
    assert digest(datasets={MNIST: {"test": {"sequences": 7, "frames": 40}}}) == same
    assert digest(datasets={MNIST: {"step": 0.2}}) != same
    assert digest(training={"learning_rate": 1e-4}) != same
    assert digest(systems={"conv_lstm": {"model": {"kernel_size": 3}}}) != same


def videos_run(tmp_path: Path, training: dict | None = None, model: dict | None = None, **dataset: object):
    """A run on your own videos."""
    own = {"kind": "videos", "title": "Clips", "folder": "raw", "size": 32} | dataset
    names = yaml.safe_load((ROOT / "config/paper.yaml").read_text())["experiments"]
    content = {
        "datasets": {"clips": own},
        "systems": {"conv_lstm": {"model": model or {}}},
        "experiments": dict.fromkeys(names) | {"clips": {"table": ["conv_lstm"]}},
        "training": training or {},
    }
    (tmp_path / "paper.yaml").write_text((ROOT / "config/paper.yaml").read_text())
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    return resolve_run(load_settings(tmp_path / "own.yaml"), "own", "clips", "conv_lstm-seed0")


def test_epochs_folders_and_memory_make_no_other_run(tmp_path):
    """More epochs give other weights, though, and these have another digest."""
    run = videos_run(tmp_path)
    for same in (
        videos_run(tmp_path, folder="elsewhere", split_file="splits.csv", excluded=["x.mp4"]),
        videos_run(tmp_path, model={"checkpointing": [1, 4]}),
    ):
        assert same.identity() == run.identity() and same.digest() == run.digest()
        assert same.changes_since(run.deciding()) == []
    longer = videos_run(tmp_path, training={"epochs": 501})
    assert longer.identity() == run.identity() and longer.digest() != run.digest()
    assert longer.digest(epochs=500) == run.digest()


def test_settings_that_differ_are_named(tmp_path):
    run = videos_run(tmp_path, training={"learning_rate": 0.003, "epochs": 3}, frame_step=2)
    earlier = videos_run(tmp_path, model={"kernel_size": 3}).deciding()
    del earlier["dataset"]["frame_step"]  # as if that had been added since, with its default
    assert run.changes_since(earlier) == [
        "dataset.frame_step is 2, was 1",
        "model.kernel_size is 5, was 3",
        "training.learning_rate is 0.003, was 0.001",
    ]


def defaults() -> dict[str, object]:
    """All settings that decide weights, with their defaults."""
    groups, found = [Training, *BUILT_IN.values(), *KINDS.values()], {}
    while groups:
        group = groups.pop()
        for name, field in group.model_fields.items():
            value = field.get_default(call_default_factory=True)
            if isinstance(value, BaseModel):
                groups.append(type(value))
            elif not field.is_required() and name not in group.__dict__.get("evaluation_only", ()):
                found[f"{group.__name__}.{name}"] = json.loads(json.dumps(value, default=dict))
    return found


def test_no_default_changes():
    """Identities leave defaults out: with another one, weights of the old would pass for those of the new."""
    recorded = json.loads((ROOT / "tests/defaults.json").read_text())
    assert {name: defaults().get(name) for name in recorded} == recorded
    assert set(defaults()) == set(recorded), "put new settings, with their defaults, into tests/defaults.json"


def test_a_run_is_read_back_from_its_folder(tmp_path):
    run = resolve_run(load_settings(ROOT / "config/demo.yaml"), "demo", MNIST, "conv_tt_lstm-seed0")
    with pytest.raises(UserError, match="no such file; train the run first"):
        read_run(tmp_path)
    (tmp_path / "config.json").write_text(run.model_dump_json())
    assert read_run(tmp_path) == run
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize("scale", SCALES)
def test_names_of_runs_are_read_as_they_are_written(scale):
    settings = load_settings(ROOT / f"config/{scale}.yaml")
    for dataset in settings.experiments:
        for name in [*evaluated_runs(settings, dataset), *grid_runs(settings, dataset)]:
            parsed, run = RunId.parse(name), planned_run(settings, scale, dataset, name)
            assert str(parsed) == name and parsed.selected == ("selected" in name)
            assert (parsed.system, parsed.seed) == (run.system, run.seed if run.trained else None)
            assert parsed.hyper().items() <= run.model.hyper().items()


def test_names_are_parsed_into_their_parts():
    run = RunId.parse("conv_tt_lstm-N2-M5-seed1")
    assert run == RunId("conv_tt_lstm", {"N": 2, "M": 5}, 1) and run.variant == "N2 M5"
    assert str(run.without_seed) == "conv_tt_lstm-N2-M5"
    assert str(run.with_seed(3)) == "conv_tt_lstm-N2-M5-seed3"
    assert RunId.parse("conv_lstm-selected-seed2") == RunId("conv_lstm", seed=2, selected=True)
    for wrong in ("conv_lstm-selected", "conv_lstm-selected-N2", "conv_lstm-seed", "conv_lstm-Q1-seed0"):
        with pytest.raises(UserError, match="expected SYSTEM"):
            RunId.parse(wrong)
