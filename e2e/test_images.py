"""The images run as an unprivileged user and contain no build tools or caches."""

from __future__ import annotations

import shutil

import pytest
from cluster import run
from images import API, MODEL, OPERATOR

pytestmark = pytest.mark.skipif(not shutil.which("docker"), reason="docker is not installed")
IMAGES = [API, MODEL, OPERATOR]
MEGABYTE = 1_000_000
CACHES = "/ -xdev -type f ( -path */.cache/* -o -path /var/lib/apt/lists/* -o -path /var/cache/apt/* -o -path /tmp/* )"
COMPILERS = "cc gcc g++ clang ld make"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_an_unprivileged_user(image: str) -> None:
    assert _inspect(image, "{{.Config.User}}") == "65532:65532"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_no_compiler_and_no_cache(image: str) -> None:
    root_shell = ("docker", "run", "--rm", "--network", "none", "--user", "0", "--entrypoint")
    assert run(*root_shell, "find", image, *CACHES.split()) == ""
    assert run(*root_shell, "sh", image, "-c", f"for name in {COMPILERS}; do command -v $name || true; done") == ""


def test_the_image_of_the_api_is_smaller_than_300_mb() -> None:
    # The libraries of the learned policy are 73 MB of this size, of which numpy is 59 MB.
    assert int(_inspect(API, "{{.Size}}")) < 300 * MEGABYTE


def _inspect(image: str, template: str) -> str:
    return run("docker", "image", "inspect", "--format", template, image).strip()
