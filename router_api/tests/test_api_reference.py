"""docs/api.md documents every endpoint, every field of the metadata and every error code of the API."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import rl_router_api
from msgspec.structs import fields
from rl_router_api.accounting.ledger import Ledger
from rl_router_api.config import Price
from rl_router_api.conversation.request import Options

PACKAGE = Path(rl_router_api.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()
README = (ROOT / "README.md").read_text()
RAISES = {"ApiError", "UnaffordableError", "bad_request", "Refusal"}


def raised_codes() -> Iterator[str]:
    """Yields the error codes in the source of the API."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISES:
                code = next((keyword.value for keyword in node.keywords if keyword.arg == "code"), None)
                # The code is the third argument of bad_request and Refusal.
                code = code or (node.args[2] if len(node.args) > 2 else None)
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    yield code.value


def documented_codes() -> set[str]:
    return set(re.findall(r"^\| \d+ \| `(\w+)` \|", PAGE, re.MULTILINE))


def metadata() -> dict[str, object]:
    """Returns the metadata of a request in which every entry has every field."""
    ledger = Ledger("request")
    router = ledger.open_router_call("router model", Price(input=Decimal(1), output=Decimal(1)), 10)
    router.close("error", "no answer")
    target = ledger.open_target_call("target", "call_target", None, 10)
    target.suspect, target.dropped = True, ("seed",)
    target.close("error", "no answer")
    ledger.chosen("pinned", target, "target")
    ledger.close()
    return ledger.metadata("full")


def test_exactly_the_error_codes_of_the_api_are_documented() -> None:
    codes = set(raised_codes())
    assert len(codes) > 15
    assert documented_codes() == codes


def test_every_field_of_the_metadata_is_documented() -> None:
    body = metadata()
    (target,), (router,) = body["call_history"], body["router_calls"]  # type: ignore[misc]
    documented = {
        name for row in re.findall(r"^\| (`[^|]*`) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert {"estimated", "unpriced", "dropped_params"} <= {*target}
    assert not {*body, *target, *router} - documented


@pytest.mark.parametrize("option", [field.name for field in fields(Options)])
def test_every_field_of_the_router_object_is_documented(option: str) -> None:
    assert f"| `{option}` |" in PAGE


def test_the_readme_and_the_reference_list_the_same_endpoints() -> None:
    def endpoints(text: str) -> set[str]:
        rows = re.findall(r"^\| (`(?:GET|POST) .*?) \|", text, re.MULTILINE)
        return {path for row in rows for path in re.findall(r"(/[\w/{}]*)", row)}

    assert endpoints(PAGE) == endpoints(README)
