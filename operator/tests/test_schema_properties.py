"""Every spec that the API server accepts works in the operator and in the router API."""

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rl_router_api.config import Configuration, check_names
from rl_router_operator.objects.routerdeployment import read, read_spec
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults

from fakes.cluster.generated_specs import specs, urls
from fakes.cluster.routers import router

MANY = settings(deadline=None, max_examples=100, suppress_health_check=[*HealthCheck])


@MANY
@given(specs())
def test_the_operator_reads_every_spec_that_matches_the_schema(spec):
    read_spec(spec)


@given(urls())
def test_the_router_api_accepts_every_url_that_matches_the_schema(url):
    read_spec({"targets": [{"name": "a", "baseUrl": url}], "model": {"external": {"baseUrl": url}}})


@MANY
@given(spec=specs())
def test_every_accepted_spec_becomes_children_and_a_configuration_that_the_api_accepts(admission, spec):
    stored = admission.create(router(**spec))
    if stored["kind"] == "Status":
        assert stored["reason"] == "Invalid", stored
        return
    stored["metadata"] |= {"uid": "00000000-0000-0000-0000-000000000000"}
    texts = [child["data"]["router.yaml"] for child in desired(read(stored), Defaults()) if _is_configuration(child)]
    for text in texts:
        Configuration.model_validate(yaml.safe_load(text) or {})
    assert len(texts) == 1


@MANY
@given(spec=specs())
def test_the_api_server_changes_no_list_and_no_map_of_an_accepted_spec(admission, spec):
    """A GitOps tool compares a list as a whole, so any addition would be a difference that never ends."""
    stored = admission.create(router(**spec))
    if stored["kind"] != "Status":
        assert [*_changes(spec, stored["spec"], "spec")] == []


def _changes(wanted, live, path):
    """Yields the paths of values that differ. A field that only `live` has is a difference within a list only."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        for name, value in wanted.items():
            yield from _changes(value, live.get(name), f"{path}.{name}")
    elif _as_stored(wanted) != _as_stored(live):
        yield path


def _as_stored(value):
    """Returns a value with floats instead of integers of more than 64 bits, which the API server cannot store."""
    if isinstance(value, dict):
        return {name: _as_stored(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_as_stored(entry) for entry in value]
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value


NAMES = st.from_regex(r"[ab][-._:/@+]?[ab]?", fullmatch=True) | st.sampled_from(["router-a", "a" * 59, "a" * 60])


@MANY
@given(
    names=st.lists(NAMES, min_size=1, max_size=4),
    fallback=st.lists(NAMES, max_size=2),
    aliases=st.lists(NAMES, max_size=2),
)
def test_the_api_server_rejects_the_same_names_as_the_router_api(admission, names, fallback, aliases):
    targets = [{"name": name, "baseUrl": "https://example.com/v1"} for name in names]
    spec = {"targets": targets, "routing": {"fallback": fallback, "aliases": aliases}}
    is_accepted = admission.create(router(**spec))["kind"] == "RouterDeployment"
    assert is_accepted == _has_valid_names(read_spec(spec))


def _has_valid_names(spec):
    try:
        check_names(spec.targets, spec.routing)
    except ValueError:
        return False
    return True


def _is_configuration(child):
    return child["kind"] == "ConfigMap" and "router.yaml" in child["data"]
