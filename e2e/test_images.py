"""What is in the images, and what is not."""

from __future__ import annotations

import shutil

import pytest
from cluster import run
from images import API, MODEL, OPERATOR

pytestmark = pytest.mark.skipif(not shutil.which("docker"), reason="docker is not installed")
OURS = [API, MODEL, OPERATOR]
MEGABYTE = 1_000_000
LEFT_OVER = (
    "/ -xdev -type f ( -path */.cache/* -o -path /var/lib/apt/lists/* -o -path /var/cache/apt/* -o -path /tmp/* )"
)
COMPILERS = "cc gcc g++ clang ld make"


@pytest.mark.parametrize("image", OURS)
def test_an_image_runs_as_nobody(image: str) -> None:
    assert _inspect(image, "{{.Config.User}}") == "65532:65532"


@pytest.mark.parametrize("image", OURS)
def test_an_image_has_no_compiler_and_no_cache(image: str) -> None:
    everything = ("docker", "run", "--rm", "--network", "none", "--user", "0", "--entrypoint")
    assert run(*everything, "find", image, *LEFT_OVER.split()) == ""
    assert run(*everything, "sh", image, "-c", f"for each in {COMPILERS}; do command -v $each || true; done") == ""


def test_the_apis_image_is_small() -> None:
    assert int(_inspect(API, "{{.Size}}")) < 250 * MEGABYTE


def _inspect(image: str, what: str) -> str:
    return run("docker", "image", "inspect", "--format", what, image).strip()
