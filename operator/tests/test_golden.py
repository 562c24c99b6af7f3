"""Every child of every sample, exactly as a person reviewed it.

`RL_ROUTER_REWRITE_GOLDEN=1 python -m pytest operator/tests/test_golden.py` writes them anew; review the difference.
"""

import os
from pathlib import Path

import pytest
import yaml
from rl_router_api.config import Configuration
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults, Images

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*.yaml"))
GOLDEN = ROOT / "operator/tests/golden"
REWRITE = "RL_ROUTER_REWRITE_GOLDEN"
DEFAULTS = Defaults(
    images=Images(api="rl-router/api:VERSION", llamacpp="rl-router/model:VERSION"),
    operator_namespace="rl-router-system",
    monitoring_namespace="monitoring",
)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_becomes_what_was_reviewed(sample):
    made = [dict(child) for child in desired(read(_as_stored(sample)), DEFAULTS)]
    golden = GOLDEN / sample.name
    if os.environ.get(REWRITE):
        golden.write_text(yaml.dump_all(made, Dumper=_Dumper, sort_keys=False, width=120))
    assert list(yaml.safe_load_all(golden.read_text())) == made


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_the_api_reads_the_configuration_of_a_sample(sample):
    (text,) = [
        child["data"]["router.yaml"] for child in desired(read(_as_stored(sample)), DEFAULTS) if _is_of_the_api(child)
    ]
    configuration = Configuration.model_validate(yaml.safe_load(text))
    targets = yaml.safe_load(sample.read_text())["spec"].get("targets", [])
    assert [target.name for target in configuration.targets or ()] == [target["name"] for target in targets]


def test_every_golden_file_is_of_a_sample():
    assert {path.name for path in GOLDEN.iterdir()} == {path.name for path in SAMPLES}


def _is_of_the_api(child):
    return child["kind"] == "ConfigMap" and child["metadata"]["name"].endswith("-api")


def _as_stored(sample):
    body = yaml.safe_load(sample.read_text())
    body["metadata"] |= {"namespace": "default", "uid": "00000000-0000-0000-0000-000000000000", "generation": 1}
    return body


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as a person writes them, and nothing by reference."""

    def ignore_aliases(self, data):
        return True


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
