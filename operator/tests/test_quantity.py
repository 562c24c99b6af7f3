"""Quantities in the format of Kubernetes, and their forms in the spec of a RouterDeployment."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rl_router_operator.objects.routerdeployment import InvalidSpecError, read, read_spec
from rl_router_operator.schema.quantity import amount

from fakes.cluster.children import container
from fakes.cluster.routers import router

FORMS = [
    (2, "2"),
    (0.5, "0.5"),
    (1e21, "1000000000000000000000"),
    ("500m", "0.5"),
    ("0.5", "0.5"),
    (".5", "0.5"),
    ("2.", "2"),
    ("+2", "2"),
    (" 500m ", "0.5"),
    ("40Gi", str(40 * 1024**3)),
    ("1.5Gi", str(1024**3 * 3 // 2)),
    ("1G", "1000000000"),
    ("1e3", "1000"),
    ("1E3", "1000"),
    ("1e-3", "0.001"),
    ("2E", "2000000000000000000"),
    ("1Ei", str(1024**6)),
]
"""Quantities as a user writes them in YAML, and their amounts."""
INVALID = ["", "much", "1Gib", "1 Gi", "1K", "1e", "1e1.5", "1..5", "٣", True, {"value": 1}, [1]]
EACH_FIELD = pytest.mark.parametrize(
    ("tier", "part"), [("model", "requests"), ("model", "limits"), ("api", "requests"), ("api", "limits")]
)


@pytest.mark.parametrize(("quantity", "number"), FORMS, ids=repr)
def test_a_quantity_is_converted_to_a_number(quantity, number):
    assert amount(quantity) == Decimal(number)


@pytest.mark.parametrize("text", INVALID, ids=repr)
def test_an_invalid_quantity_is_rejected(text):
    with pytest.raises(ValueError, match="invalid quantity"):
        amount(text)


@pytest.mark.parametrize("quantity", ["100u", "0.0001", "1n", "1e-999"])
def test_an_amount_is_rounded_up_to_a_thousandth_as_the_api_server_does(quantity):
    assert amount(quantity) == Decimal("0.001")


@given(st.text("0123456789.+-eEinumkKMGTP ", max_size=64))
def test_every_text_is_either_a_number_or_an_invalid_quantity(text):
    try:
        assert amount(text).is_finite()
    except ValueError as error:
        assert "invalid quantity" in str(error)


@EACH_FIELD
@pytest.mark.parametrize("quantity", [form for form, _ in FORMS], ids=repr)
def test_requests_and_limits_have_every_form_that_a_pod_accepts(admission, tier, part, quantity):
    stored = admission.create(router(**{tier: {"resources": {part: {"cpu": quantity}}}}))
    assert stored["kind"] == "RouterDeployment", stored
    assert admission.accepts_in_a_pod(quantity)
    amounts = container(tier, **{tier: stored["spec"][tier]})["resources"][part]
    assert amount(amounts["cpu"]) == amount(quantity)


@EACH_FIELD
@pytest.mark.parametrize("quantity", [*INVALID, "-1", -1], ids=repr)
def test_a_quantity_that_a_pod_rejects_is_reported_with_the_path_of_its_field(admission, tier, part, quantity):
    stored = admission.create(router(**{tier: {"resources": {part: {"cpu": quantity}}}}))
    assert not admission.accepts_in_a_pod(quantity)
    stored["metadata"]["uid"] = "uid"
    with pytest.raises(InvalidSpecError, match=rf"^spec\.{tier}\.resources\.{part}\.cpu: .*quantity .*\. Use "):
        read(stored)


def test_a_quantity_of_more_than_64_characters_is_rejected_at_admission(admission):
    rejection = admission.create(router(api={"resources": {"limits": {"memory": "1" * 65}}}))
    assert rejection["details"]["causes"][0]["field"] == "spec.api.resources.limits.memory"


@pytest.mark.parametrize("accelerator", [None, {"resource": "nvidia.com/gpu"}, {"resource": "amd.com/gpu"}], ids=str)
@pytest.mark.parametrize("part", ["requests", "limits"])
def test_an_accelerator_among_the_resources_is_reported(accelerator, part):
    resource = (accelerator or {}).get("resource", "nvidia.com/gpu")
    model = {"source": "hf://a/b", "image": "an-image", "resources": {part: {resource: 1}}}
    with pytest.raises(InvalidSpecError, match=rf"^spec\.model: .*{resource}\. Move the accelerator from "):
        read_spec({"model": model | ({"accelerator": accelerator} if accelerator else {})})
