"""The page in a real browser: what it draws, what its filters leave, and that it asks the network for nothing."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.reporting.folders import sample, write_run
from tests.reporting.test_page import HOSTILE

from cgpo.reporting import content, named_runs, page, write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a browser; on Debian and Ubuntu: sudo apt-get install chromium"
)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SAMPLES = [
    sample(0, response=HOSTILE, key="hostile", gold="violated"),
    sample(
        10, split="train", verdicts={"facts": {"outcome": "violated", "reason": "false: <b>never</b>"}}, satisfied=False
    ),
    sample(10, satisfied=None, verdicts={"facts": {"outcome": "undecided", "reason": "timed out"}}, reward=None),
    sample(20, prompt="line one\n  line two", response="", gold="violated", reward=7.0),
    sample(20, task="math", gold=None),
    *(sample(5, key=f"more:{i}") for i in range(30)),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two runs: one that went well, and one whose reward is gamed, still under way."""
    folder = tmp_path_factory.mktemp("report")
    well = write_run(folder / "well", samples=SAMPLES)
    gamed = write_run(folder / "<i>gamed", (0.0, 2.0), (0.9, 0.2), SAMPLES[:1], finished=False, seed=4)
    alarm = {"step": 10, "task": "chat", "signal": "gold", "began": 0, "message": f"chat: {HOSTILE}"}
    row = {name: SAMPLES[0][name] for name in ("key", "prompt", "response", "reward", "verdicts")}
    (gamed / "alarms.jsonl").write_text(json.dumps({**alarm, "samples": [row]}) + "\n")
    runs = named_runs([well, gamed])
    write_page(folder / "report.html", page([content(name, run, 100) for name, run in runs.items()]))
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def opened(browser: Browser, report: Path) -> Iterator[Page]:
    """The page, opened once; whatever it says on the console or asks for ends up in a list that must stay empty."""
    found = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    found.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on("dialog", lambda dialog: (complaints.append("a dialog"), dialog.dismiss()))
    found.on("request", lambda request: None if request.url == report.as_uri() else complaints.append(request.url))
    found.goto(report.as_uri())
    found.wait_for_selector("html[data-drawn='1']", timeout=60_000)
    yield found
    assert complaints == []


@pytest.fixture
def shown(opened: Page) -> Page:
    """The page with every filter cleared and every run shown."""
    opened.get_by_role("button", name="Clear").click()
    for box in opened.locator("#runs input").all():
        if not box.is_checked():
            redrawn(opened, box.check)
    expect(opened.locator("#count")).to_have_text("36 of 36 samples")
    return opened


def redrawn(page: Page, change: Any) -> None:
    """Makes a change and waits until the charts are drawn anew."""
    before = int(page.evaluate("document.documentElement.dataset.drawn"))
    change()
    page.wait_for_selector(f"html[data-drawn='{before + 1}']", timeout=60_000)


def figure(page: Page, section: str) -> dict[str, Any]:
    """What plotly drew in a section."""
    return page.evaluate(
        """(id) => { const f = document.getElementById(id); return {
            traces: f.data.map((t) => ({ meta: t.meta, x: [...t.x], y: [...t.y], colour: t.line?.color })),
            paths: f.querySelectorAll('.scatterlayer .trace').length,
            x: Object.keys(f._fullLayout).filter((k) => /^xaxis\\d*$/.test(k)).map((k) => f._fullLayout[k].range),
            y: Object.keys(f._fullLayout).filter((k) => /^yaxis\\d*$/.test(k)).map((k) => f._fullLayout[k].range),
            titles: f.layout.annotations.map((a) => a.text),
            shapes: f.layout.shapes.map((s) => [s.name, s.x0, s.x1]),
        }; }""",
        f"chart-{section}",
    )


def rows(page: Page) -> int:
    return page.locator("#rows > li").count()


def choose(page: Page, **filters: str) -> str:
    """Sets filters, and gives the line that counts what they leave."""
    for name, value in filters.items():
        page.select_option(f"#filters [name={name}]", value)
    return page.locator("#count").inner_text()


def test_success_is_drawn_for_both_runs_on_shared_axes(shown: Page) -> None:
    drawn = figure(shown, "success")
    assert drawn["titles"] == ["chat", "math"]
    assert [(t["meta"], t["x"], t["y"]) for t in drawn["traces"]] == [
        ("well", [0, 10, 20], [0.5, 0.6, 0.7]),
        ("&lt;i>gamed", [0, 10], [0.9, 0.2]),
    ] * 2
    assert drawn["paths"] == 4
    assert drawn["x"] == [[0, 20.4]] * 2
    assert drawn["y"] == [[0, 1.03]] * 2
    assert len({t["colour"] for t in drawn["traces"]}) == 2
    assert drawn["shapes"] == [["alarm", 0, 10], ["said", 10, 10]], (
        "the alarm of the gamed run on chat, and none on math"
    )


def test_reward_against_success(shown: Page) -> None:
    drawn = figure(shown, "phase")
    assert [(t["x"], t["y"]) for t in drawn["traces"][:2]] == [([0, 1, 2], [0.5, 0.6, 0.7]), ([0, 2], [0.9, 0.2])]
    assert drawn["x"] == [[-0.12, 2.12]] * 2


@pytest.mark.parametrize(
    ("section", "traces", "titles"),
    [
        ("reward", 2 * 2 + 2 * 2, ["chat", "math"]),  # two runs: training faint and strong on chat, held out on both
        ("violations", 2 * 2 * 2, ["facts", "tone"]),
        ("agreement", 2 * 2, ["facts tone"]),
        ("given", 2 * 4, ["chat"]),
        ("kl", 2 * 2 + 2 * 2, ["chat", "math"]),
        ("length", 2 * 2, ["chat"]),
        ("time", 2 * 2, ["well", "&lt;i>gamed"]),  # two runs of two stages
    ],
)
def test_each_section_has_its_curves(shown: Page, section: str, traces: int, titles: list[str]) -> None:
    drawn = figure(shown, section)
    assert len(drawn["traces"]) == traces
    assert [title.split("<br>")[0] for title in drawn["titles"]] == titles
    assert len({tuple(spread) for spread in drawn["x"]}) == len({tuple(spread) for spread in drawn["y"]}) == 1


def test_smoothing_is_the_mean_of_the_last_updates(shown: Page) -> None:
    faint, strong = figure(shown, "length")["traces"][:2]
    assert faint["y"][:6] == [11, 12, 13, 14, 15, 16]
    assert strong["y"][:6] == [11, 11.5, 12, 12.5, 13, 14]
    redrawn(shown, lambda: shown.select_option("#smoothing", "1"))
    assert [t["y"][:3] for t in figure(shown, "length")["traces"]] == [[11, 12, 13]] * 2
    redrawn(shown, lambda: shown.select_option("#smoothing", "5"))


def test_stages_are_stacked_to_the_seconds_of_an_update(shown: Page) -> None:
    assert figure(shown, "time")["y"][0][1] == pytest.approx(1.06 * 0.75)


def test_a_run_can_be_hidden_everywhere(shown: Page) -> None:
    redrawn(shown, shown.locator("#runs input").nth(1).uncheck)
    assert {t["meta"] for t in figure(shown, "success")["traces"]} == {"well"}
    assert figure(shown, "success")["x"] == [[0, 20.4]] * 2, "the axes stay, so that curves can be compared"
    assert shown.locator("#count").inner_text() == "35 of 36 samples"


def test_the_tables_at_the_head(shown: Page) -> None:
    facts, success = shown.locator("#overview table").all()
    assert facts.locator("tbody tr").all_inner_texts()[0].replace("\n", "").split("\t") == [
        "well", "CRPG", "facts, tone", "3", "20 of 20", "finished", "seed=3"
    ]  # fmt: skip
    assert facts.locator("tbody tr").all_inner_texts()[1].split("\t")[:6] == [
        "<i>gamed", "CRPG", "facts, tone", "4", "10 of 20", "under way"
    ]  # fmt: skip
    assert success.locator("tbody tr").all_inner_texts() == [
        "well\t0.50 → 0.70 ▲\t0.50 → 0.70 ▲",
        "<i>gamed\t0.90 → 0.20 ▼\t0.90 → 0.20 ▼",
    ]
    assert shown.locator(".findings li").all_inner_texts() == ["chat: all well."]


def test_alarms_are_listed_with_their_samples_as_text(shown: Page) -> None:
    alarm = shown.locator("#alarms .alarm")
    assert alarm.count() == 1
    assert alarm.locator("summary").inner_text().strip() == f"<i>gamed · chat: {HOSTILE}; first said at update 10"
    alarm.locator("summary").click()
    assert alarm.locator(".response").inner_text() == HOSTILE
    assert "from gold success alone, for: well." in shown.locator("#alarms").inner_text()


def test_a_hostile_response_is_shown_as_text(shown: Page) -> None:
    shown.fill("#filters [name=text]", "ONERROR")
    assert shown.locator("#count").inner_text() == "2 of 36 samples"
    assert shown.locator("#rows .response").all_inner_texts() == [HOSTILE] * 2
    assert shown.locator("img").count() == 0


def test_filters_leave_what_they_say(shown: Page) -> None:
    assert rows(shown) == 25
    assert choose(shown, task="math") == "1 of 36 samples"
    assert rows(shown) == 1
    assert choose(shown, task="chat", split="train") == "1 of 36 samples"
    assert shown.locator("#rows .reason").first.inner_text() == "false: <b>never</b>"
    assert choose(shown, task="", split="", run="<i>gamed") == "1 of 36 samples"
    assert choose(shown, run="", judge="facts", outcome="violated") == "1 of 36 samples"
    assert choose(shown, judge="gold") == "3 of 36 samples"
    assert choose(shown, judge="", outcome="undecided") == "1 of 36 samples"
    assert choose(shown, judge="gold", outcome="") == "35 of 36 samples"
    assert choose(shown, judge="", run="well", outcome="satisfied", split="train") == "0 of 36 samples"
    assert rows(shown) == 0


def test_texts_are_whole_and_keep_their_lines(shown: Page) -> None:
    shown.fill("#filters [name=text]", "line two")
    card = shown.locator("#rows > li")
    assert card.locator(".text").all_inner_texts() == ["line one\n  line two", "(nothing)"]
    assert "reward +7.00" in card.inner_text()


def test_orders_and_further_rows(shown: Page) -> None:
    choose(shown, order="highest")
    assert "reward +7.00" in shown.locator("#rows > li").first.inner_text()
    choose(shown, order="lowest")
    more = shown.locator("#more")
    assert more.inner_text() == "Show 11 more"
    more.focus()
    shown.keyboard.press("Enter")
    assert rows(shown) == 36
    assert more.is_hidden()
    assert "reward –" in shown.locator("#rows > li").last.inner_text(), "what has no reward comes last"


def test_filters_can_be_reached_and_set_from_the_keyboard(shown: Page) -> None:
    shown.locator("#filters [name=run]").focus()
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.name") == "task"
    shown.keyboard.press("m")
    expect(shown.locator("#count")).to_have_text("1 of 36 samples")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800])
def test_nothing_is_wider_than_the_window_and_every_curve_can_be_told_from_the_paper(
    shown: Page, theme: str, width: int
) -> None:
    redrawn(shown, lambda: shown.select_option("#theme", theme))
    if shown.viewport_size != {"width": width, "height": 900}:
        redrawn(shown, lambda: shown.set_viewport_size({"width": width, "height": 900}))
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    sizes = shown.evaluate(
        "[...document.querySelectorAll('.chart')].map((c) => [c.clientWidth, c.querySelector('svg').clientWidth])"
    )
    assert all(inner <= outer for outer, inner in sizes)
    paper = luminance(shown.evaluate("getComputedStyle(document.body).backgroundColor"))
    ink = luminance(shown.evaluate("getComputedStyle(document.body).color"))
    assert contrast(paper, ink) > 7
    for colour in shown.evaluate("COLOURS[isDark() ? 'dark' : 'light']"):
        assert contrast(paper, luminance(colour)) > 3, colour
    for kind in ("good", "bad", "doubt", "faint"):
        colour = shown.evaluate(
            f"(document.body.style.caretColor = 'var(--{kind})', getComputedStyle(document.body).caretColor)"
        )
        assert contrast(paper, luminance(colour)) > 4.5, kind


def luminance(colour: str) -> float:
    """Relative luminance (WCAG) of `rgb(1, 2, 3)` or `#010203`."""
    if colour.startswith("#"):
        parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    else:
        parts = [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in parts)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
