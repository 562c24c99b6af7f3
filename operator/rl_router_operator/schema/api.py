"""`spec.api`: replicas, who may use the API, and how it is exposed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from rl_router_api.config import RequestHandlingConfig, Schema

from .base import Annotations, HostName, KeyRef, ObjectName, ObjectRef, Open, rules
from .pods import Pods


class Autoscaling(Schema):
    """A HorizontalPodAutoscaler for the API, by CPU."""

    model_config = rules(
        ("self.maxReplicas >= self.minReplicas", "maxReplicas must be at least minReplicas", ".maxReplicas")
    )

    min_replicas: int = Field(1, ge=1, le=1000, description="pods at least")
    max_replicas: int = Field(ge=1, le=1000, description="pods at most")
    target_cpu: int = Field(
        70, ge=1, le=1000, alias="targetCPU", description="percent of the CPU request at which it scales"
    )


class Auth(Schema):
    """Who may ask."""

    secret_ref: ObjectRef | None = Field(
        None, description="a Secret whose key `keys` is a YAML list of {name, sha256, requests_per_day, usd_per_day}"
    )
    anonymous: bool = Field(False, description="let anybody ask who reaches it, though it is exposed")


class Service(Schema):
    """The Service on port 8800."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field("ClusterIP", description="how it is reached")
    annotations: Annotations = Field(default_factory=dict, description="annotations of the Service")


class Ingress(Schema):
    """An Ingress to the API."""

    class_name: ObjectName | None = Field(None, description="the IngressClass; default: the cluster's")
    host: HostName = Field(description="the host name")
    tls_secret_name: ObjectName | None = Field(None, description="the Secret with the host's certificate")
    annotations: Annotations = Field(default_factory=dict, description="annotations of the Ingress")


class HttpRoute(Schema):
    """An HTTPRoute of the Gateway API to the API."""

    parent_refs: list[Open] = Field(min_length=1, max_length=16, description="the Gateways, as in an HTTPRoute")
    hostnames: list[HostName] = Field(default_factory=list, max_length=16, description="host names")
    annotations: Annotations = Field(default_factory=dict, description="annotations of the HTTPRoute")


class DisruptionBudget(Schema):
    """How many API pods may be away at once by intention."""

    enabled: bool = Field(True, description="make one where there is more than one replica")
    max_unavailable: int = Field(1, ge=1, le=1000, description="pods that may be away at once")


class CaBundle(Schema):
    """Certificate authorities that upstreams' certificates may be signed by, beside the image's own."""

    model_config = rules(
        ("has(self.configMapKeyRef) != has(self.secretKeyRef)", "give either configMapKeyRef or secretKeyRef, not both")
    )

    config_map_key_ref: KeyRef | None = Field(None, description="the ConfigMap's key that holds the PEM file")
    secret_key_ref: KeyRef | None = Field(None, description="the Secret's key that holds the PEM file")


class Api(Pods):
    """The router API."""

    model_config = rules(
        (
            "!has(self.autoscaling) || !has(self.resources)"
            " || (!has(self.resources.requests) && !has(self.resources.limits))"
            " || [has(self.resources.requests) ? self.resources.requests : {},"
            " has(self.resources.limits) ? self.resources.limits : {}]"
            ".exists(amounts, 'cpu' in amounts)",
            "autoscaling goes by the CPU request: add api.resources.requests.cpu",
            ".resources",
        ),
        (
            "(self.service.type == 'ClusterIP' && !has(self.ingress) && !has(self.httpRoute))"
            " || has(self.auth.secretRef) || self.auth.anonymous",
            "an API that is reached from outside asks for keys: set api.auth.secretRef, or api.auth.anonymous: true"
            " where anybody may ask",
            ".auth",
        ),
        (
            "!has(self.networkPolicy) || !has(self.networkPolicy.from)"
            " || (has(self.networkPolicy.enabled) && self.networkPolicy.enabled)",
            "the API's policy is made with enabled: true alone: set it, or leave `from` out",
            ".networkPolicy",
        ),
        (
            "!has(self.caBundle) || !has(self.env) || !self.env.exists(each, each.name == 'SSL_CERT_FILE')",
            "caBundle sets SSL_CERT_FILE: leave one of them out",
            ".env",
        ),
    )

    replicas: int = Field(1, ge=0, le=1000, description="pods; without meaning where `autoscaling` is set")
    autoscaling: Autoscaling | None = Field(None, description="scale by CPU between two numbers of pods")
    auth: Auth = Field(Auth(), description="who may ask")
    service: Service = Field(Service(), description="the Service on port 8800")
    ingress: Ingress | None = Field(None, description="an Ingress to the API")
    http_route: HttpRoute | None = Field(None, description="an HTTPRoute of the Gateway API to the API")
    disruption_budget: DisruptionBudget = Field(DisruptionBudget(), description="pods that may be away at once")
    server: RequestHandlingConfig = Field(RequestHandlingConfig(), description="how requests are received")
    ca_bundle: CaBundle | None = Field(None, description="certificate authorities of the upstreams")
