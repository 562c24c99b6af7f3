"""`rl-router lab report`: one page without network and scripts, equal byte for byte, with the figures of `evaluate`."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rl_router_lab.__main__ import main
from rl_router_policy.folder import BUNDLED

from fakes.outcomes.files import write_models, write_table
from fakes.outcomes.world import world

PROMPT = "solve <script>alert('&')</script> the equation"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, the models, and two reports on the bundled artefact that two processes made."""
    folder = tmp_path_factory.mktemp("report")
    write_models(folder / "models.json")
    write_table(folder / "table.jsonl", world(150, 1).table)
    assert main(arguments(folder, "first.html")) == 0
    command = [sys.executable, "-m", "rl_router_lab", *arguments(folder, "second.html")]
    subprocess.run(command, check=True, timeout=120)
    return folder


def arguments(folder: Path, out: str) -> list[str]:
    files = ["--table", str(folder / "table.jsonl"), "--models", str(folder / "models.json")]
    return ["report", "--artefact", str(BUNDLED / "artefact"), *files, "--out", str(folder / out)]


class Elements(HTMLParser):
    """Collects the elements of a page and their attributes, and checks that every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_same_artefact_and_table_give_the_same_bytes(folder: Path) -> None:
    assert (folder / "first.html").read_bytes() == (folder / "second.html").read_bytes()


def test_the_page_needs_no_network_and_no_script(folder: Path) -> None:
    page = Elements((folder / "first.html").read_text())
    assert page.open == []
    assert not page.names & {"script", "link", "img", "iframe", "object", "image"}
    links = [value for name, value in page.attributes if name in ("href", "src", "xlink:href")]
    assert all((value or "").startswith("#") for value in links)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(http" not in (folder / "first.html").read_text()


def test_the_page_has_the_figures_of_the_command_evaluate(folder: Path) -> None:
    page = html.unescape(re.sub(r"<[^>]+>", " ", (folder / "first.html").read_text()))
    options = arguments(folder, "unused")[1:-2]
    assert main(["evaluate", *options, "--json", str(folder / "figures.json")]) == 0
    figures = json.loads((folder / "figures.json").read_text())
    assert f"The AIQ gain is {figures['aiq_gain'][0]:+.4f}" in page
    for name, constant in figures["constants"].items():
        assert f"{name}  {constant['score']:.4f}  {constant['cost']:.4g}" in page
    for title in ("Quality and cost", "What changes", "Baselines", "Calibration", "Tasks", "Examples"):
        assert f" {title} " in page
    assert page.count("mean score") >= 3


def test_the_text_of_a_prompt_is_no_part_of_the_page(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "table.jsonl").read_text().splitlines()]
    for row in rows:
        row["prompt"] = f"{PROMPT} {row['prompt']}"
    (folder / "hostile.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = [part.replace("table.jsonl", "hostile.jsonl") for part in arguments(folder, "hostile.html")]
    assert main(options) == 0
    text = (folder / "hostile.html").read_text()
    assert "script" not in Elements(text).names
    assert html.escape(PROMPT) in text


def test_too_few_prompts_are_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(folder / "few.jsonl", world(20, 1).table)
    options = [part.replace("table.jsonl", "few.jsonl") for part in arguments(folder, "few.html")]
    assert main(options) == 1
    assert "only 20 prompts of the table" in capsys.readouterr().err
    assert not (folder / "few.html").exists()
