"""The children of every sample are exactly the golden manifests, which were reviewed.

`RL_ROUTER_REWRITE_GOLDEN=1 python -m pytest operator/tests/test_golden.py` writes them again. Review the difference.
"""

import os

import pytest
import yaml
from rl_router_api.config import Configuration
from rl_router_operator.objects.routerdeployment import read
from rl_router_operator.resources import desired

from fakes.cluster.samples import DEFAULTS, GOLDEN, SAMPLES

REWRITE = "RL_ROUTER_REWRITE_GOLDEN"
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)


@each_sample
def test_the_children_of_a_sample_are_its_golden_manifests(sample):
    children = [dict(child) for child in desired(read(_as_stored(sample)), DEFAULTS)]
    golden = GOLDEN / sample.name
    if os.environ.get(REWRITE):
        golden.write_text(yaml.dump_all(children, Dumper=_Dumper, sort_keys=False, width=120))
    assert list(yaml.safe_load_all(golden.read_text())) == children


@each_sample
def test_the_api_accepts_the_configuration_of_a_sample(sample):
    (text,) = [
        child["data"]["router.yaml"] for child in desired(read(_as_stored(sample)), DEFAULTS) if _is_api_config(child)
    ]
    configuration = Configuration.model_validate(yaml.safe_load(text))
    targets = yaml.safe_load(sample.read_text())["spec"].get("targets", [])
    assert [target.name for target in configuration.targets or ()] == [target["name"] for target in targets]


def test_every_golden_file_belongs_to_a_sample():
    assert {path.name for path in GOLDEN.iterdir()} == {path.name for path in SAMPLES}


def _is_api_config(child):
    return child["kind"] == "ConfigMap" and child["metadata"]["name"].endswith("-api")


def _as_stored(sample):
    body = yaml.safe_load(sample.read_text())
    body["metadata"] |= {"namespace": "default", "uid": "00000000-0000-0000-0000-000000000000", "generation": 1}
    return body


class _Dumper(yaml.SafeDumper):
    """Writes strings of several lines as blocks, and no aliases."""

    def ignore_aliases(self, data):
        return True


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
