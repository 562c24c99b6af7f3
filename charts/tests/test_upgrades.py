"""What users of earlier releases have goes on working: their values, the names of objects, what cannot be changed."""

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
def test_an_earlier_releases_values_lead_to_the_same_objects(release: str) -> None:
    values = yaml.safe_load((FROZEN / f"{release}-values.yaml").read_text("utf-8"))
    assert identities(render(values)) == json.loads((FROZEN / f"{release}-objects.json").read_text("utf-8"))


def identities(objects: list[dict[str, Any]]) -> list[str]:
    """Kind, name and, where there is one, the selector, which an upgrade cannot change."""
    return sorted(" ".join(filter(None, (each["kind"], each["metadata"]["name"], _selector(each)))) for each in objects)


def _selector(manifest: dict[str, Any]) -> str:
    if manifest["kind"] not in ("Deployment", "Service"):
        return ""
    selector = manifest["spec"]["selector"]
    return ",".join(f"{name}={value}" for name, value in sorted(selector.get("matchLabels", selector).items()))
