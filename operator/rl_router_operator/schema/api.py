"""Defines the fields of `spec.api`, such as the replicas, the authentication and the exposure of the router API."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from rl_router_api.config import RequestHandlingConfig, Schema

from .base import Annotations, HostName, KeyRef, ObjectName, ObjectRef, Open, rules
from .pods import Pods


class Autoscaling(Schema):
    """The HorizontalPodAutoscaler that scales the API pods by their CPU usage."""

    model_config = rules(
        (
            "self.maxReplicas >= self.minReplicas",
            "autoscaling.maxReplicas must be at least autoscaling.minReplicas. Raise autoscaling.maxReplicas,"
            " or lower autoscaling.minReplicas",
            ".maxReplicas",
        )
    )

    min_replicas: int = Field(1, ge=1, le=1000, description="minimum number of API pods")
    max_replicas: int = Field(ge=1, le=1000, description="maximum number of API pods")
    target_cpu: int = Field(
        70,
        ge=1,
        le=1000,
        alias="targetCPU",
        description="average CPU usage that the autoscaler aims for, in percent of the CPU request",
    )


class Auth(Schema):
    """The authentication of the API's clients."""

    secret_ref: ObjectRef | None = Field(
        None,
        description="Secret with the hashed API keys of clients. The Secret's entry `keys` is a YAML list of mappings"
        " with the fields `name` and `sha256`, and optionally the daily limits `requests_per_day` and `usd_per_day`",
    )
    anonymous: bool = Field(
        False, description="whether the API may be exposed outside the cluster without API keys for clients"
    )


class Service(Schema):
    """The API's Service on port 8800."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field("ClusterIP", description="type of the API's Service")
    annotations: Annotations = Field(default_factory=dict, description="annotations of the API's Service")


class Ingress(Schema):
    """An Ingress that exposes the router API outside the cluster."""

    class_name: ObjectName | None = Field(
        None, description="name of the IngressClass of the Ingress; default: the cluster's default IngressClass"
    )
    host: HostName = Field(description="host name under which clients reach the API")
    tls_secret_name: ObjectName | None = Field(
        None, description="name of the Secret with the TLS certificate of the host"
    )
    annotations: Annotations = Field(default_factory=dict, description="annotations of the Ingress")


class HttpRoute(Schema):
    """An HTTPRoute (Gateway API) that exposes the router API outside the cluster."""

    parent_refs: list[Open] = Field(
        min_length=1, max_length=16, description="parent Gateways, in the format of `parentRefs` in an HTTPRoute"
    )
    hostnames: list[HostName] = Field(
        default_factory=list, max_length=16, description="host names under which clients reach the API"
    )
    annotations: Annotations = Field(default_factory=dict, description="annotations of the HTTPRoute")


class DisruptionBudget(Schema):
    """The PodDisruptionBudget that limits voluntary disruptions of the API pods, such as node drains."""

    enabled: bool = Field(
        True,
        description="whether to create a PodDisruptionBudget if `api.replicas` or, with autoscaling,"
        " `api.autoscaling.minReplicas` is at least 2",
    )
    max_unavailable: int = Field(
        1,
        ge=1,
        le=1000,
        description="maximum number of API pods that may be unavailable after the eviction of an API pod",
    )


class CaBundle(Schema):
    """Certificate authorities that the API trusts, in addition to the certificate authorities of the API's image."""

    model_config = rules(
        (
            "has(self.configMapKeyRef) != has(self.secretKeyRef)",
            "spec.api.caBundle must have exactly one source. Set either caBundle.configMapKeyRef or"
            " caBundle.secretKeyRef",
        ),
    )

    config_map_key_ref: KeyRef | None = Field(
        None, description="entry of a ConfigMap that contains the certificates in PEM format"
    )
    secret_key_ref: KeyRef | None = Field(
        None, description="entry of a Secret that contains the certificates in PEM format"
    )


class Api(Pods):
    """The router API."""

    model_config = rules(
        (
            "(self.service.type == 'ClusterIP' && !has(self.ingress) && !has(self.httpRoute))"
            " || has(self.auth.secretRef) || self.auth.anonymous",
            "an API that is exposed outside the cluster requires API keys for clients, unless anonymous access is"
            " allowed. Set spec.api.auth.secretRef, or set spec.api.auth.anonymous to true for public access",
            ".auth",
        ),
        (
            "!has(self.networkPolicy) || !has(self.networkPolicy.from)"
            " || !has(self.networkPolicy.enabled) || self.networkPolicy.enabled",
            "spec.api.networkPolicy.from has no effect if spec.api.networkPolicy.enabled is false. Set"
            " spec.api.networkPolicy.enabled to true, or remove spec.api.networkPolicy.from",
            ".networkPolicy",
        ),
        (
            "!has(self.caBundle) || !has(self.env) || !self.env.exists(variable, variable.name == 'SSL_CERT_FILE')",
            "spec.api.caBundle already sets the environment variable SSL_CERT_FILE. Remove spec.api.caBundle,"
            " or remove the variable SSL_CERT_FILE from spec.api.env",
            ".env",
        ),
    )

    replicas: int = Field(
        1, ge=0, le=1000, description="number of API pods. The operator ignores `replicas` if `autoscaling` is set"
    )
    autoscaling: Autoscaling | None = Field(
        None, description="automatic scaling of the API by CPU usage, between a minimum and a maximum number of pods"
    )
    auth: Auth = Field(Auth(), description="authentication of clients")
    service: Service = Field(Service(), description="settings of the API's Service on port 8800")
    ingress: Ingress | None = Field(None, description="Ingress that exposes the API outside the cluster")
    http_route: HttpRoute | None = Field(
        None, description="HTTPRoute (Gateway API) that exposes the API outside the cluster"
    )
    disruption_budget: DisruptionBudget = Field(DisruptionBudget(), description="PodDisruptionBudget of the API pods")
    server: RequestHandlingConfig = Field(RequestHandlingConfig(), description="settings of the API's HTTP server")
    ca_bundle: CaBundle | None = Field(
        None,
        description="certificate authorities that the API trusts, in addition to the certificate authorities of the"
        " API's image",
    )
