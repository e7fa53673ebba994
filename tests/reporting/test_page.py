"""The page as a file, and the command that writes it."""

import base64
import hashlib
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.processes import run
from tests.reporting.folders import sample, write_run

from cgpo.errors import UserError
from cgpo.reporting import content, named_runs, page, write_page
from cgpo.reporting.page import check_output

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- {{plotly}}"


class Scripts(HTMLParser):
    """The scripts of a page, as a browser cuts them out."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        self.inside = tag == "script"
        if self.inside:
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_run(folder, samples=[sample(0, response=HOSTILE, reward=None)])
    return page([content(name, run, 10) for name, run in named_runs([folder]).items()], title="<b>one</b>")


def test_a_hostile_response_ends_no_script_and_makes_no_element(html: str) -> None:
    scripts = Scripts(html)
    assert len(scripts.texts) == 3
    assert "img" not in scripts.tags
    data = json.loads(scripts.texts[0])
    assert data["runs"][0]["samples"][0]["response"] == HOSTILE
    assert data["runs"][0]["samples"][0]["reward"] is None
    assert "<title>&lt;b&gt;one&lt;/b&gt;</title>" in html


def test_only_the_pages_own_scripts_may_run(html: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in Scripts(html).texts[1:]]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert f"script-src {allowed};" in policy[1]
    assert policy[1].startswith("default-src 'none';")


def test_a_page_is_never_overwritten_unless_told(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_page(file, "one")
    with pytest.raises(UserError, match=r"report\.html is there already; .*overwrite=true"):
        write_page(file, "two")
    assert file.read_text() == "one"
    write_page(file, "two", overwrite=True)
    assert file.read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_where_no_page_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder; name a file: output=.*report\.html"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(UserError, match="there is no folder"):
        check_output(tmp_path / "no" / "report.html", overwrite=False)


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return run("cgpo", "report", *arguments, folder=folder)


def test_the_command(tmp_path: Path) -> None:
    write_run(tmp_path / "sweep" / "0", samples=[sample(step) for step in range(5)])
    write_run(tmp_path / "sweep" / "1", finished=False)
    done = command("sweep", "samples=2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    assert "0: 3 older samples are left out; samples=… shows more" in done.stdout.splitlines()
    assert (tmp_path / "report.html").is_file()
    again = command("sweep", folder=tmp_path)
    assert again.returncode == 1
    assert again.stderr == "error: report.html is there already; choose another output=FILE, or say overwrite=true\n"
    assert command("sweep", "overwrite=true", folder=tmp_path).returncode == 0


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    done = command("nowhere", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: nowhere: there is no such folder;")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
