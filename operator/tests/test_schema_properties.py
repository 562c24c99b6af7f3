"""Whatever is admitted can be used: nothing that passes makes the operator or the router API fail."""

import yaml
from admission import router
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rl_router_api.config import Configuration, check_names
from rl_router_operator.objects.routerdeployment import read, read_spec
from rl_router_operator.resources import desired
from rl_router_operator.resources.defaults import Defaults
from specs import specs, urls

MANY = settings(deadline=None, max_examples=100, suppress_health_check=[*HealthCheck])


@MANY
@given(specs())
def test_whatever_meets_the_schema_is_read(spec):
    read_spec(spec)


@given(urls())
def test_every_url_that_is_taken_is_one_to_the_router_api(url):
    read_spec({"targets": [{"name": "a", "baseUrl": url}], "model": {"external": {"baseUrl": url}}})


@MANY
@given(spec=specs())
def test_whatever_the_api_server_takes_becomes_children_and_a_configuration_that_the_api_reads(admission, spec):
    taken = admission.create(router(spec))
    if taken["kind"] == "Status":
        assert taken["reason"] == "Invalid", taken
        return
    taken["metadata"] |= {"uid": "00000000-0000-0000-0000-000000000000"}
    texts = [child["data"]["router.yaml"] for child in desired(read(taken), Defaults()) if _configures(child)]
    for text in texts:
        Configuration.model_validate(yaml.safe_load(text) or {})
    assert len(texts) == 1


NAMES = st.from_regex(r"[ab][-._:/@+]?[ab]?", fullmatch=True) | st.sampled_from(["router-a", "a" * 59, "a" * 60])


@MANY
@given(
    names=st.lists(NAMES, min_size=1, max_size=4),
    fallback=st.lists(NAMES, max_size=2),
    aliases=st.lists(NAMES, max_size=2),
)
def test_names_are_refused_exactly_where_the_router_api_would_refuse_them(admission, names, fallback, aliases):
    targets = [{"name": name, "baseUrl": "https://example.com/v1"} for name in names]
    spec = {"targets": targets, "routing": {"fallback": fallback, "aliases": aliases}}
    taken = admission.create(router(spec))["kind"] == "RouterDeployment"
    assert taken == _names_agree(read_spec(spec))


def _names_agree(spec):
    try:
        check_names(spec.targets, spec.routing)
    except ValueError:
        return False
    return True


def _configures(child):
    return child["kind"] == "ConfigMap" and "router.yaml" in child["data"]
