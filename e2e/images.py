"""The names of the container images that the tests use."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_VERSION_FILE = ROOT / "router_api" / "rl_router_api" / "version.py"
VERSION = re.findall(r'__version__ = "(.*)"', _VERSION_FILE.read_text("utf-8"))[0]
API, MODEL, OPERATOR, CLIENT = (f"rl-router/{name}:{VERSION}" for name in ("api", "model", "operator", "e2e-client"))
ALL = (API, MODEL, OPERATOR, CLIENT)
VLLM = "vllm/vllm-openai-cpu:v0.32.0"
NO_IMAGE = "127.0.0.1:5000/none:1"
"""The name of an image that does not exist. Its registry is a local address, so that no real registry is contacted."""
