"""Checks that the guides match the configuration schema."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel
from rl_router_api import policies
from rl_router_api.accounting.ledger import Strategy
from rl_router_api.config import Configuration

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
REFERENCE = (ROOT / "docs" / "configuration.md").read_text()
ENTRIES = dict(re.findall(r"^\| `([a-z_]+\.[a-z_.]+)` \| .*? \| (.*?) \|", REFERENCE, re.MULTILINE))


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yields every field by its dotted name, with its default."""
    for name, field in model.model_fields.items():
        inner = [part for part in (field.annotation, *flat(field.annotation)) if is_model(part)]
        if prefix:
            yield prefix + name, field.default
        for part in inner:
            yield from fields(part, f"{prefix}{name}.")


def flat(annotation: object) -> Iterator[object]:
    for part in get_args(annotation):
        yield part
        yield from flat(part)


def is_model(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


FIELDS = dict(fields(Configuration))


def test_the_schema_is_read_with_all_sections() -> None:
    assert {"router.base_url", "routing.policy", "targets.params.set", "targets.price.input", "server.port"} <= set(
        FIELDS
    )


def test_the_reference_has_the_tables_that_the_schema_generates() -> None:
    script = ROOT / "scripts" / "configuration_reference.py"
    ended = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_is_documented(field: str) -> None:
    assert field in ENTRIES


@pytest.mark.parametrize("field", ENTRIES)
def test_every_documented_field_exists(field: str) -> None:
    assert field in FIELDS


@pytest.mark.parametrize(
    "field", [name for name, value in FIELDS.items() if isinstance(value, (bool, int, float, str))]
)
def test_plain_defaults_are_as_documented(field: str) -> None:
    documented, default = ENTRIES[field].strip("`"), FIELDS[field]
    assert (default or None) == (None if documented == "none" else yaml.safe_load(documented) or None)


def yaml_blocks() -> Iterator[tuple[str, str]]:
    for guide in GUIDES:
        # The operator's tests check blocks that begin with `apiVersion`, which are Kubernetes objects.
        blocks = re.findall(r"^```yaml\n((?!apiVersion:).*?)^```", guide.read_text(), re.MULTILINE | re.DOTALL)
        yield from ((f"{guide.name} {number}", block) for number, block in enumerate(blocks, 1))


@pytest.mark.parametrize(("name", "block"), [pytest.param(*each, id=each[0]) for each in yaml_blocks()])
def test_every_yaml_example_is_a_valid_configuration(name: str, block: str) -> None:
    sections = yaml.safe_load(block)
    assert Configuration.model_validate(sections).routing.policy in (None, *policies.names())
    # `server` comes first, so that a truncated copy still has the section with the API keys.
    assert "server" not in list(sections)[1:]


def test_every_policy_is_documented() -> None:
    text = (ROOT / "docs" / "policies.md").read_text()
    for name in policies.names():
        assert f"| `{name}` |" in text


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_every_strategy_is_documented(strategy: str) -> None:
    assert f"| `{strategy}` |" in (ROOT / "README.md").read_text()


OTHER_PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]


@pytest.mark.parametrize("guide", [*GUIDES, *OTHER_PAGES], ids=lambda guide: guide.name)
def test_links_between_the_guides_have_existing_targets(guide: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", guide.read_text()):
        assert (guide.parent / target).exists(), target


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_capabilities_in_examples_can_be_copied_into_a_manifest(path: Path) -> None:
    # In kubectl's YAML, an unquoted `n` is false.
    assert not re.search(r"^\s*capabilities: \[.*\bn\b(?<!\"n)", path.read_text().replace('"n"', ""), re.MULTILINE)
