"""The page of the results, used as its readers use it: with mouse, keyboard, screen reader or paper."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.browser.conftest import CONTEXT, HORIZON, KEPT, SIZE, Reader
from tests.made_up_runs import DATASET, RUNS

PAPER_TABLE = "table.sortable >> nth=0"

pytestmark = pytest.mark.slow

# Read from a second canvas, as Chromium warns where one that is drawn on is read often.
PIXELS = """canvas => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];
}"""


def table2(results: Path) -> pd.DataFrame:
    return pd.read_csv(results / f"tables/table2_{DATASET}.csv")


def methods(page: Any) -> list[str]:
    return list(page.locator(PAPER_TABLE).locator("tbody th[scope=row] .name").all_inner_texts())


def head(page: Any, place: int) -> Any:
    """Return the button in the head of a column of Table 2."""
    return page.locator(PAPER_TABLE).locator("thead tr").last.locator("th button").nth(place)


@pytest.mark.parametrize(
    ("place", "column"),
    [(1, "mse_x1e3_10"), (2, "ssim_paper_10"), (3, "lpips_paper_x1e3_10"), (4, "mse_x1e3_30")],
)
def test_tables_sort_within_groups_and_back(reader: Reader, results: Path, place: int, column: str) -> None:
    page, table = reader.open(), table2(results)
    table["shown"] = table["method"] + table["reference"].map(lambda x: f" {x}" if isinstance(x, str) else "")
    groups = [table[table["origin"] == origin] for origin in ("paper", "reproduced")]
    in_file = list(table["shown"])
    assert methods(page) == in_file and table[column].isna().any() and min(map(len, groups)) > 3
    names = page.locator(PAPER_TABLE).locator("tr.group").all_inner_texts()
    assert names == ["The paper", "Reproduced here"]
    assert page.get_by_role("button", name="Unsort").count() == 0
    for order in ("ascending", "descending"):
        head(page, place).press("Enter")
        ascending = order == "ascending"
        rows = [part.sort_values(column, ascending=ascending, kind="stable") for part in groups]
        assert methods(page) == [name for part in rows for name in part["shown"]]  # unknown values come last
        sorted_by = page.locator(PAPER_TABLE).locator("[aria-sort]")
        assert sorted_by.count() == 1 and sorted_by.get_attribute("aria-sort") == order
    page.get_by_role("button", name="Unsort").first.press("Enter")
    assert methods(page) == in_file
    assert page.locator("[aria-sort]").count() == 0


def test_names_sort_as_words(reader: Reader, results: Path) -> None:
    page = reader.open()
    before, papers = methods(page), int((table2(results)["origin"] == "paper").sum())
    head(page, 0).click()
    expected = [sorted(part, key=str.lower) for part in (before[:papers], before[papers:])]
    assert methods(page) == [*expected[0], *expected[1]]


def test_contents_are_next_to_the_text_or_in_a_menu(reader: Reader) -> None:
    wide = reader.open(width=1280)
    link = wide.locator("nav").get_by_role("link", name="Table 2").first
    assert link.is_visible()
    link.click()
    heading = wide.locator(f"#table2_{DATASET}")
    assert 0 <= heading.bounding_box()["y"] < 200 and link.is_visible()  # the contents stay where they are

    phone = reader.open(width=390)
    link = phone.locator("nav").get_by_role("link", name="Table 2").first
    assert not link.is_visible()
    phone.locator("nav summary").press("Enter")
    assert link.is_visible()
    link.click()
    assert not link.is_visible()
    assert 0 <= phone.locator(f"#table2_{DATASET}").bounding_box()["y"] < 200


def test_the_first_column_stays_while_numbers_scroll(reader: Reader) -> None:
    page = reader.open(width=390)
    table = page.locator(PAPER_TABLE)
    name = table.locator("tbody th[scope=row]").first
    before = name.bounding_box()["x"]
    table.evaluate("it => { it.closest('.scroll').scrollLeft = 300; }")
    assert name.bounding_box()["x"] == before


def test_wide_tables_show_whether_there_is_more_to_the_right(reader: Reader) -> None:
    page = reader.open(width=390)
    box = page.locator(PAPER_TABLE).locator("xpath=ancestor::figure")
    page.wait_for_function("document.querySelector('figure.table').classList.contains('more-right')")
    page.locator(PAPER_TABLE).evaluate("it => { it.closest('.scroll').scrollLeft = 9999; }")
    page.wait_for_function("!document.querySelector('figure.table').classList.contains('more-right')")
    assert box.count() == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_tables_show_a_number_without_scrolling(reader: Reader, width: int) -> None:
    page = reader.open(width)
    page.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true; })")
    tables = page.locator("figure.table:visible")
    assert tables.count() >= 4
    for table in tables.all():
        box = table.locator(".scroll").bounding_box()
        cells = table.locator("tbody td.r").first
        if cells.count():
            cell = cells.bounding_box()
            assert cell["x"] + cell["width"] <= box["x"] + box["width"], table.inner_text()[:60]


def test_text_columns_are_below_the_name_on_a_phone(reader: Reader) -> None:
    for width, visible in ((390, False), (1280, True)):
        page = reader.open(width)
        page.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true; })")
        training = page.get_by_role("region", name="Training").first
        assert training.get_by_role("columnheader", name="Recipe").is_visible() == visible
        assert training.locator("small.narrow").last.is_visible() != visible


def test_claims_on_the_axis_link_to_their_verdicts(reader: Reader) -> None:
    page = reader.open()
    row = page.locator(".forest li").first
    claim = page.locator("#claim-size")
    assert not claim.is_visible()
    row.get_by_role("link").click()
    assert claim.is_visible()
    zero, dot = (row.locator(mark).bounding_box()["x"] for mark in (".zero", ".dot"))
    assert dot > zero  # as claimed: 0.67 of the bound
    assert "here 0.67" in row.inner_text()


def test_wide_figures_scroll_inside_the_page_on_a_phone(reader: Reader) -> None:
    page = reader.open(width=390)
    image = page.locator(".drawing.wide img >> visible=true").first
    assert image.bounding_box()["width"] >= 500
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert "user-scalable" not in page.locator("meta[name=viewport]").get_attribute("content")
    image.click()
    assert page.locator("dialog img").bounding_box()["width"] >= 900


def test_the_dark_theme_inverts_charts_but_not_video_frames(reader: Reader) -> None:
    page = reader.open(color_scheme="dark")
    filters = page.locator(".drawing img").evaluate_all(
        "all => all.map(image => [image.className, getComputedStyle(image).filter])"
    )
    assert {kind for kind, _ in filters} == {"", "pictures"}
    assert all(("invert" in style) == (kind != "pictures") for kind, style in filters)


def pixels(page: Any, panel: int) -> np.ndarray:
    """Return the (height, width, 3) pixels of a panel's canvas, top left first."""
    values = page.locator(".panels canvas").nth(panel).evaluate(PIXELS)
    shown = np.array(values, np.uint8).reshape(SIZE, SIZE, 4)
    assert (shown[..., 3] == 255).all()
    return shown[..., :3]


def kept(results: Path, run: str) -> dict[str, np.ndarray]:
    with np.load(results / "runs" / DATASET / run / "examples.npz") as arrays:
        return dict(arrays)


def go_to(page: Any, frame: int) -> None:
    page.locator(".frame").fill(str(frame))


@pytest.mark.parametrize(("rank", "place"), [("best", 0), ("median", 1), ("worst", 2)])
def test_each_frame_is_the_one_in_examples_npz(reader: Reader, results: Path, rank: str, place: int) -> None:
    page = reader.open()
    example = page.locator(".example")
    label = example.locator("option").nth(place).inner_text()
    assert label.startswith(f"{rank} of 3 kept: test sequence {KEPT[place]}")
    example.select_option(label=label)
    page.wait_for_selector(f'.scrubber[data-shown="{place}"]')
    shown = [name.splitlines()[0] for name in page.locator(".panels figcaption").all_inner_texts()]
    assert shown == ["Truth", "Copy last frame", "ConvLSTM (baseline)", "Conv-TT-LSTM"]
    for frame in (1, CONTEXT, CONTEXT + 1, 27, CONTEXT + HORIZON):
        go_to(page, frame)
        for panel, run in enumerate(RUNS):  # of black frames nothing is shown; the truth is any run's
            arrays = kept(results, run)
            predicted = panel > 0 and frame > CONTEXT
            source, t = ("prediction", frame - CONTEXT) if predicted else ("truth", frame)
            grey = arrays[source][place, t - 1, 0]
            np.testing.assert_array_equal(pixels(page, panel), np.repeat(grey[..., None], 3, axis=2))


def test_the_difference_is_prediction_minus_truth(reader: Reader, results: Path) -> None:
    page = reader.open()
    page.get_by_label("Difference: prediction minus truth").check()
    assert page.get_by_text("brighter than the truth").is_visible()
    go_to(page, 20)
    for panel, run in enumerate(RUNS[1:], start=1):
        arrays = kept(results, run)
        truth = arrays["truth"][1, 19, 0] / 255.0
        apart = arrays["prediction"][1, 19 - CONTEXT, 0] / 255.0 - truth
        blue, orange = np.array([0, 114, 178]), np.array([213, 94, 0])
        full = np.where(apart[..., None] < 0, blue, orange)
        expected = 255 + (full - 255) * np.abs(apart[..., None])
        assert np.abs(pixels(page, panel) - expected).max() <= 0.5 + 1e-6
        error = page.locator(".panels .error").nth(panel).inner_text()
        assert error == f"MSE {1e3 * (apart**2).mean():.2f}"
    np.testing.assert_array_equal(pixels(page, 0)[..., 0], kept(results, RUNS[0])["truth"][1, 19, 0])
    go_to(page, 3)
    assert page.locator(".panels .error").all_inner_texts() == ["input"] * 4


def test_frames_step_by_keyboard_and_name_their_time(reader: Reader) -> None:
    page = reader.open(reduced_motion="reduce")
    slider, now = page.locator(".frame"), page.locator(".now")
    assert now.get_attribute("aria-live") == "polite"
    slider.focus()
    page.keyboard.press("Home")
    assert now.inner_text() == "t = 1: input"
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "t = 2: input"
    page.keyboard.press("End")
    assert now.inner_text() == f"t = {CONTEXT + HORIZON}: predicted frame {HORIZON}"


def test_the_animation_plays_only_when_asked_and_stops(reader: Reader) -> None:
    page = reader.open()
    now = page.locator(".now")
    page.wait_for_timeout(500)
    assert now.inner_text() == "t = 11: predicted frame 1"
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_function("document.querySelector('.now').value.startsWith('t = 13:')")
    assert now.get_attribute("aria-live") == "off"
    page.get_by_role("button", name="Pause").press("Enter")
    there = now.inner_text()
    page.wait_for_timeout(500)
    assert now.inner_text() == there and now.get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("from_where", ["row", "claim", "figure"])
def test_origins_open_and_close_by_keyboard(reader: Reader, results: Path, from_where: str) -> None:
    page = reader.open()
    link = {
        "row": page.locator(PAPER_TABLE).get_by_role("link", name="Conv-TT-LSTM, seed 0"),
        "claim": page.locator("#claim-mse a.origin"),
        "figure": page.locator("figure.drawing a.origin >> visible=true").first,
    }[from_where]
    if from_where == "claim":
        page.locator("#claims-training summary").first.press("Enter")
    link.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    runs = [run.split("/")[1] for run in (link.get_attribute("data-runs") or "").split()]
    assert dialog.locator("details").count() == len(runs) == {"row": 1, "claim": 2, "figure": 4}[from_where]
    for place, run in enumerate(runs):
        facts = dialog.locator("details").nth(place).text_content()
        assert f"runs/{DATASET}/{run}/" in facts
        metrics = json.loads((results / "runs" / DATASET / run / "metrics.json").read_text())
        assert metrics["evaluated_by"]["command"] in facts and metrics["lpips_weights"] in facts
        path = results / "runs" / DATASET / run / "provenance.json"
        if path.is_file():
            made = json.loads(path.read_text())
            for fact in (
                *made["data"].values(),
                made["weights_sha256"],
                made["source_digest"],
                made["command"],
            ):
                assert fact in facts
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert link.evaluate("link => link === document.activeElement")


def test_details_are_folded_and_open_by_keyboard(reader: Reader) -> None:
    page = reader.open()
    folded = page.locator("main details")
    assert folded.count() > 10 and folded.evaluate_all("all => all.every(one => !one.open)")
    for title in ("Film strip", "Gallery", "Both metric protocols", "Loss curves"):
        summary = page.locator("summary").get_by_text(title, exact=True)
        summary.press("Enter")
        assert summary.locator("xpath=../figure").locator("img").is_visible()
    claims = page.locator("#claims-training")
    claims.locator("summary").first.press("Enter")
    assert page.locator("#claim-mse").is_visible()


def test_narrow_figures_share_a_row_on_wide_screens(reader: Reader) -> None:
    def places(width: int) -> tuple[dict[str, float], dict[str, float]]:
        boxes = [
            reader.open(width).get_by_text(text, exact=True).locator("xpath=ancestor::figure").bounding_box()
            for text in ("Every run.", "Curves by frame.")
        ]
        return boxes[0], boxes[1]

    first, second = places(1280)
    assert second["x"] > first["x"] + first["width"] and abs(second["y"] - first["y"]) < 1
    first, second = places(390)
    assert second["x"] == first["x"] and second["y"] > first["y"] + first["height"]


def test_figures_enlarge_and_the_focus_returns(reader: Reader) -> None:
    page = reader.open()
    small = page.locator("a.enlarge >> visible=true").first
    width = small.locator("img").evaluate("image => image.clientWidth")
    small.focus()
    page.keyboard.press("Enter")
    large = page.locator("dialog img")
    assert large.evaluate("image => image.complete && image.naturalWidth > 0")
    assert large.evaluate("image => image.clientWidth") > 1.2 * width
    page.get_by_role("button", name="Close").press("Enter")
    assert not page.locator("dialog").is_visible()
    assert small.evaluate("link => link === document.activeElement")


def test_all_figures_can_be_seen(reader: Reader) -> None:
    page = reader.open()
    sizes = page.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert len(sizes) >= 5 and min(sizes) > 100


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("opened", [False, True])
def test_axe_finds_nothing_serious(reader: Reader, colours: str, opened: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = reader.open(color_scheme=colours)
    page.get_by_label("Difference: prediction minus truth").check()
    head(page, 1).click()
    page.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true; })")
    if opened:
        page.locator("tbody a.origin").first.click()
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in ("serious", "critical")
    ]
    assert not serious


def test_headings_descend_by_one_and_landmarks_are_there(reader: Reader) -> None:
    page = reader.open()
    levels = page.locator("main :is(h1, h2, h3, h4), header h1").evaluate_all(
        "heads => heads.map(head => Number(head.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdicts"


@pytest.mark.parametrize("width", [360, 768])
def test_narrow_screens_do_not_scroll_sideways(reader: Reader, width: int) -> None:
    page = reader.open(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("tbody a.origin").first.click()
    assert page.locator("dialog").evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")


def test_everything_can_be_read_without_javascript(reader: Reader, results: Path) -> None:
    page = reader.open(java_script_enabled=False)
    for text in ("Which claims hold", "What was not tested", "Claims tested by counting and timing"):
        assert page.locator("main").get_by_text(text).first.is_visible()
    for text in ("The paper's own numbers contradict it.", "Film strip."):
        said = page.locator("main").get_by_text(text).first
        assert not said.is_visible()
        said.locator("xpath=ancestor::details[1]").locator("summary").first.click()
        assert said.is_visible()
    assert methods(page)[-1] == "Conv-TT-LSTM, seed 0"
    assert page.locator("noscript p").is_visible()
    assert page.locator("button:visible").count() == 0
    facts = page.locator(f"#run-{DATASET}-conv_tt_lstm-seed0")
    assert not facts.is_visible()
    page.locator(PAPER_TABLE).get_by_role("link", name="Conv-TT-LSTM, seed 0").click()
    assert facts.is_visible()  # the browser opens the details that the link leads into


def test_print_shows_tables_and_no_controls(reader: Reader) -> None:
    page = reader.open()
    page.emulate_media(media="print")
    assert page.locator(PAPER_TABLE).is_visible()
    assert not page.locator(".scrubber").is_visible() and not page.locator("nav").is_visible()
