"""Lines and bars: where they go, what they say, and that nothing is lost or broken."""

import time
from io import StringIO

import pytest
from rich.console import Console

from cgpo.progress import SilentScreen, bar, say, show, shown_on
from cgpo.terminal import Terminal, duration


def terminal(width: int = 80) -> tuple[Terminal, StringIO]:
    written = StringIO()
    return Terminal(Console(file=written, force_terminal=True, color_system=None, width=width)), written


def log(every: float = 10.0) -> tuple[Terminal, StringIO]:
    written = StringIO()
    return Terminal(Console(file=written, force_terminal=False, width=80), every), written


def until_it_says(written: StringIO, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in written.getvalue():
        assert time.monotonic() < deadline, written.getvalue()
        time.sleep(0.01)


def test_without_a_screen_lines_are_printed_and_bars_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("training", 3) as work:
        say("a line")
        work.advance(1, reward=1.0)
    show("a picture")
    assert capsys.readouterr() == ("a line\na picture\n", "")


def test_the_screen_is_the_one_before_again_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    screen, written = log()
    with shown_on(screen):
        say("inside")
        with shown_on(SilentScreen()), bar("nothing", 1) as work:
            say("nobody")
            work.advance()
    say("outside")
    assert written.getvalue() == "inside\n"
    assert capsys.readouterr().out == "outside\n"


def test_a_log_has_a_line_every_some_seconds_of_the_innermost_work() -> None:
    screen, written = log(every=0.05)
    with shown_on(screen), bar("training", 70, 10) as work:
        work.advance(2, reward=0.5234, violated=None)
        until_it_says(written, "training: 12/70, ")
        assert "s left; reward 0.52  violated –\n" in written.getvalue()
        with bar("loading", None):
            until_it_says(written, "loading: ")
            length = written.getvalue().count("training")
            until_it_says(written, "loading: 0 s\nloading: 0 s\n")
            assert written.getvalue().count("training") == length
    assert written.getvalue().splitlines()[-1].startswith("training: 12/70, ")
    assert written.getvalue().endswith(" in all; reward 0.52  violated –\n")


def test_a_log_says_nothing_of_short_work() -> None:
    screen, written = log()
    with shown_on(screen), bar("training", 2) as work:
        work.advance(2)
    assert written.getvalue() == ""


def test_a_bar_of_80_columns_is_whole_and_lines_stand_above_it() -> None:
    screen, written = terminal()
    with shown_on(screen), bar("training", 1000, 990) as work:
        work.advance(1, reward=-10.25, violated=0.5, KL=12.5)
        with bar("evaluating before training", 2500) as inner:
            inner.advance(500)
            say("a line that is kept")
            assert screen._progress is not None
            screen._progress.refresh()
    lines = written.getvalue().splitlines()
    assert "a line that is kept" in written.getvalue()
    assert any("991/1000" in line and "reward -10.25  violated 0.50  KL 12.50" in line for line in lines)
    assert any("evaluating before training" in line and "500/2500" in line for line in lines)
    assert screen._progress is None


def test_no_word_is_broken() -> None:
    path = "/a/very/long/path/" + "folder/" * 12 + "end"
    screen, written = terminal()
    screen.say(f"all of it lies in {path} and a few words more of which some go to the next line, as they are")
    assert path in written.getvalue()
    assert all(len(line) <= 80 or path in line for line in written.getvalue().splitlines())
    screen, written = log()
    screen.say("word " * 40)
    assert len(written.getvalue().splitlines()) == 1


def test_a_failing_piece_of_work_takes_its_bar_away() -> None:
    screen, _ = terminal()
    with pytest.raises(ValueError, match="wrong"), shown_on(screen), bar("training", 3):
        raise ValueError("wrong")
    assert screen._progress is None


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (245, "4:05 min"), (7620, "2:07 h")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
