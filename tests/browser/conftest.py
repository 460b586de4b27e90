"""Pages in a real browser, without a network; skipped where there is no Chromium."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.made_up_runs import DATASET, RUNS, make_results
from tests.reports import write_all

playwright = pytest.importorskip("playwright.sync_api")

SIZE, CONTEXT, HORIZON = 32, 10, 30
KEPT = [4, 7, 9]  # test sequences, by falling SSIM


@pytest.fixture(scope="session")
def browser() -> Iterator["playwright.Browser"]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium: `tests/install.sh`")
    # As root, in a container, Chromium does not start inside its sandbox; the page is our own.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=path, args=options)
        yield running
        running.close()


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the usual runs, each with three kept sequences of noise: no pixel is like another."""
    results = make_results(tmp_path_factory.mktemp("browser") / "demo")
    noise = np.random.default_rng(0)
    truth = noise.integers(256, size=(3, CONTEXT + HORIZON, 1, SIZE, SIZE), dtype=np.uint8)
    for run in RUNS:
        folder = results / "runs" / DATASET / run
        prediction = noise.integers(256, size=(3, HORIZON, 1, SIZE, SIZE), dtype=np.uint8)
        np.savez(folder / "examples.npz", truth=truth, prediction=prediction, sequence=KEPT)
        table = pd.read_csv(folder / "per_sequence.csv").drop(columns="sequence")
        longest = table[table["horizon"] == HORIZON].drop(columns="ssim_paper")
        scores = pd.DataFrame({"sequence": KEPT, "ssim_paper": [0.9, 0.8, 0.7]})
        longest.merge(scores, how="cross").to_csv(folder / "per_sequence.csv", index=False)
    write_all(results)
    return results


class Reader:
    """Opens the page as readers do, and records the browser's complaints and requests."""

    def __init__(self, browser: "playwright.Browser", path: Path):
        self.browser, self.address = browser, path.as_uri()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.contexts: list[playwright.BrowserContext] = []

    def open(self, width: int = 1280, **options: object) -> "playwright.Page":
        """Return the page, with options of Playwright's new_context."""
        context = self.browser.new_context(viewport={"width": width, "height": 800}, **options)
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: self.complaints.append(said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(self.address)
        if options.get("java_script_enabled", True):
            page.wait_for_selector(".scrubber[data-shown]")
        return page


@pytest.fixture
def reader(browser: "playwright.Browser", results: Path) -> Iterator[Reader]:
    found = Reader(browser, results / "index.html")
    yield found
    for context in found.contexts:
        context.close()
    assert not found.complaints
    folder = found.address.rpartition("/")[0]
    own = (found.address, f"{folder}/figures/", "data:")
    assert [url for url in found.requests if not url.startswith(own)] == []
