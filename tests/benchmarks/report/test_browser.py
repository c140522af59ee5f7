"""The report in a real browser: silent console, no request, tabs, filters and the 3D view."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import exhibits
from benchmarks.causes import complete
from benchmarks.own_model import hand_of, wrap
from benchmarks.report import diagnosis, page
from benchmarks.report.pictures import Looks
from benchmarks.subject import rendered_frames

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
if CHROMIUM is None:
    pytest.skip("no Chromium is on this machine", allow_module_level=True)

EXAMPLE = Path(__file__).parent / "example.json"
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-angle=swiftshader",  # WebGL without a GPU
    "--enable-unsafe-swiftshader",
)


class Still(nn.Module):
    """Says the mean hand half a metre away, whatever it sees."""

    def forward(self, images):
        return images.new_zeros(len(images), 10)


def read(out, view):
    rotmats = torch.eye(3).expand(len(out), 16, 3, 3)
    position = out.new_tensor((0.0, 0.0, 0.5)).expand(len(out), 3)
    return hand_of(rotmats, out, position=position, view=view)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """A full report, pictures and 3D included."""
    frames = rendered_frames(4, seed=0, image_size=64)
    subject = wrap(Still, read=read, crop=(64, 64), frames=frames, name="mine")
    looks = [
        Looks(
            name,
            exhibits.see(subject, 2, training=False),
            [exhibits.see(subject, 2, training=True, seed=1)],
        )
        for name in ("mine", "hamer")
    ]
    numbers = exhibits.summary(looks[0].plain, exhibits.scales(looks[0].plain), subject)
    raw = json.loads(EXAMPLE.read_text())
    report = complete(raw, exhibits=[numbers, numbers], command="zoo", environment={})
    html = diagnosis.render(report, looks, subject.model.hand.faces)
    target = tmp_path_factory.mktemp("report") / "report.html"
    page.write(target, html)
    return target


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, file):
    """The page, and everything it complained about or asked the network for."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    noise: list[str] = []
    tab.on("console", lambda message: noise.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: noise.append(str(error)))
    tab.on("request", lambda request: noise.append(request.url))
    tab.goto(file.as_uri())
    tab.noise = [entry for entry in noise if entry != file.as_uri()]
    yield tab
    tab.close()


def test_the_console_is_silent_and_nothing_is_fetched(opened, file):
    opened.wait_for_timeout(200)
    assert [n for n in opened.noise if not n.startswith("data:")] == []
    assert file.stat().st_size < 6_000_000


def test_tabs_move_with_the_arrow_keys(opened):
    tabs = opened.locator("#scales-of > [role=tablist] > [role=tab]")
    panels = opened.locator("#scales-of > [role=tabpanel]")
    assert [panels.nth(i).is_visible() for i in range(2)] == [True, False]
    tabs.nth(0).focus()
    opened.keyboard.press("ArrowRight")
    assert [panels.nth(i).is_visible() for i in range(2)] == [False, True]
    assert tabs.nth(1).get_attribute("aria-selected") == "true"
    opened.keyboard.press("Home")
    assert panels.nth(0).is_visible()


def test_the_hands_are_drawn_and_turn(opened):
    view = opened.locator("[data-viewer]")
    canvas = view.locator("canvas")
    before = canvas.screenshot()
    assert len(set(before)) > 50
    canvas.focus()
    opened.keyboard.press("ArrowRight")
    turned = canvas.screenshot()
    assert turned != before
    view.locator("input[name=show]").nth(1).uncheck()
    assert canvas.screenshot() != turned
    choose = "e => { e.value = '1'; e.dispatchEvent(new Event('change', { bubbles: true })) }"
    view.locator("select[name=hand]").evaluate(choose)
    assert view.get_attribute("data-drawn").endswith(" 1")


def test_a_filter_hides_what_it_leaves_out(opened):
    shown = opened.locator("#findings-list > article:visible")
    assert shown.count() == 4
    opened.locator("input[value=error]").uncheck()
    assert shown.count() == 2
    for name in ("warning", "info"):
        opened.locator(f"input[value={name}]").uncheck()
    assert opened.locator("#findings-list-empty").is_visible()


def test_colours_can_be_chosen(opened):
    def background() -> str:
        return opened.evaluate("getComputedStyle(document.body).backgroundColor")

    light = background()
    opened.locator("#theme").click()
    opened.locator("#theme").click()
    assert opened.locator("#theme").inner_text() == "Colours: dark"
    assert background() != light


def test_a_phone_shows_it_without_scrolling_sideways(opened):
    opened.set_viewport_size({"width": 375, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") <= 375


def test_print_shows_every_panel(opened):
    opened.emulate_media(media="print")
    assert opened.locator("#scales-of > [role=tabpanel]").nth(1).is_visible()
    assert not opened.locator("#theme").is_visible()
