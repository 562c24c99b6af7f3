"""Values of earlier releases still work: names and immutable fields of the objects are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendered import needs_helm, render

pytestmark = needs_helm
FROZEN = Path(__file__).parent / "frozen"
RELEASES = [path.name.removesuffix("-values.yaml") for path in sorted(FROZEN.glob("*-values.yaml"))]


@pytest.mark.parametrize("release", RELEASES)
def test_the_values_of_an_earlier_release_give_the_same_objects(release: str) -> None:
    values = yaml.safe_load((FROZEN / f"{release}-values.yaml").read_text("utf-8"))
    assert identities(render(values)) == json.loads((FROZEN / f"{release}-objects.json").read_text("utf-8"))


def identities(objects: list[dict[str, Any]]) -> list[str]:
    """Returns kind, name and, if it has one, the immutable selector of each object."""
    parts = ((manifest["kind"], manifest["metadata"]["name"], _selector(manifest)) for manifest in objects)
    return sorted(" ".join(filter(None, identity)) for identity in parts)


def _selector(manifest: dict[str, Any]) -> str:
    if manifest["kind"] not in ("Deployment", "Service"):
        return ""
    selector = manifest["spec"]["selector"]
    return ",".join(f"{name}={value}" for name, value in sorted(selector.get("matchLabels", selector).items()))
