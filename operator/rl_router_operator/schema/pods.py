"""The fields that the pods of both tiers have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from rl_router_api.config import Schema

from .base import (
    MAP_BY_NAME,
    REMEDY,
    Annotations,
    Image,
    LabelKey,
    Labels,
    LabelValue,
    ObjectName,
    ObjectRef,
    Open,
    Quantity,
    VolumeName,
    begins_like_a_key,
    rules,
)

NUMERIC_USER = 65532
"""Who the containers run as, and whose files their volumes are, unless the spec says otherwise."""

Identity = Annotated[int, Field(ge=1, le=2**31 - 1, json_schema_extra={"nullable": True})]


class EnvVar(Schema):
    """An environment variable of the container."""

    model_config = rules(
        ("!has(self.value) || !has(self.valueFrom)", "give either value or valueFrom, not both"),
        (
            "!has(self.value) || !self.name.matches('(TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|SECRET|PASSWORD)$')",
            "a secret is not written here, where whoever may see this object reads it: use valueFrom.secretKeyRef",
            ".value",
        ),
        (
            f"!has(self.value) || !{begins_like_a_key('self.value')}",
            "a value that begins like a key (Bearer, Basic, hf_, sk-) is not written here, where whoever may see this"
            " object reads it: use valueFrom.secretKeyRef",
            ".value",
        ),
        (
            "!has(self.value) || !self.value.matches('://[^/]*@')",
            "a URL with a password is not written here, where whoever may see this object reads it:"
            " use valueFrom.secretKeyRef",
            ".value",
        ),
        (
            "!self.name.startsWith('RL_ROUTER_')",
            "the router API's settings have fields of their own: spec.routing, spec.targets and spec.api.server",
            ".name",
        ),
        (
            "!(self.name in ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'])",
            "the hub's token has a field of its own: spec.model.hfTokenSecretRef",
            ".name",
        ),
        ("self.name != 'VLLM_API_KEY'", "the operator's router model has no key: leave it out", ".name"),
        ("self.name != 'HOME'", "the operator sets HOME to a folder that can be written: leave it out", ".name"),
    )

    name: str = Field(min_length=1, max_length=256, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$", description="its name")
    value: str | None = Field(None, max_length=32_768, description="its value; for secrets use `valueFrom`")
    value_from: Open | None = Field(None, description="where its value comes from, as in a Pod: `secretKeyRef`, …")


class Resources(Schema):
    """A container's requests and limits, as in a Pod."""

    requests: dict[LabelKey, Quantity] = Field(
        default_factory=dict, max_length=16, description="what the scheduler reserves: `cpu`, `memory`, …"
    )
    limits: dict[LabelKey, Quantity] = Field(
        default_factory=dict, max_length=16, description="what the container may use at most"
    )


class ServiceAccount(Schema):
    """The service account of the pods; its token is never mounted."""

    model_config = rules(
        (
            "self.create || !has(self.annotations)",
            "an existing service account is left as it is: set create: true, or leave annotations out",
            ".annotations",
        )
    )

    create: bool = Field(False, description="make one for these pods alone")
    name: ObjectName | None = Field(None, description="an existing one, or the name of the one that is made")
    annotations: Annotations = Field(default_factory=dict, description="annotations of the one that is made")


class NetworkPolicy(Schema):
    """Who may reach the pods; ingress rules only."""

    enabled: bool | None = Field(None, description="make one; default: true for the model, false for the API")
    sources: Annotated[list[Open], Field(max_length=32)] = Field(
        default_factory=list, alias="from", description="further peers that may connect, as in a NetworkPolicy"
    )


class PodSecurity(Schema):
    """Who the containers run as; null leaves it to the platform."""

    run_as_user: Identity | None = Field(NUMERIC_USER, description="as in a Pod; null: chosen by the platform")
    fs_group: Identity | None = Field(NUMERIC_USER, description="as in a Pod; null: chosen by the platform")


class Volume(Schema):
    """A further volume of the pods."""

    model_config = rules(
        (
            "[has(self.configMap), has(self.secret), has(self.persistentVolumeClaim), has(self.emptyDir),"
            " has(self.projected)].filter(given, given).size() == 1",
            "name one source: configMap, secret, persistentVolumeClaim, emptyDir or projected",
        ),
        (
            "!self.name.matches('^(config|state|model|weights|chat-template|ca-bundle|keys-.*)$')",
            "the operator has a volume of this name, or may have: choose another",
            ".name",
        ),
    )

    name: VolumeName = Field(description="its name")
    config_map: Open | None = Field(None, description="as in a Pod")
    secret: Open | None = Field(None, description="as in a Pod")
    persistent_volume_claim: Open | None = Field(None, description="as in a Pod")
    empty_dir: Open | None = Field(None, description="as in a Pod")
    projected: Open | None = Field(None, description="as in a Pod")


class VolumeMount(Schema):
    """Where a further volume is mounted in the container."""

    model_config = rules(
        (
            "self.mountPath.split('/').all(part, part != '.' && part != '..')",
            "must be written without `.` and `..`",
            ".mountPath",
        ),
        (
            "!self.mountPath.matches('^/(etc|var/run|var/lib)/rl-router')",
            "the operator mounts what it needs there: choose another folder",
            ".mountPath",
        ),
        (
            "!has(self.subPath) || (!self.subPath.startsWith('/') && !('..' in self.subPath.split('/')))",
            "must be a path within the volume, without `..`",
            ".subPath",
        ),
    )

    name: VolumeName = Field(description="the volume's name")
    mount_path: str = Field(
        min_length=2,
        max_length=1024,
        pattern=r"^(/[^/:]+)+$",
        description="the folder or file in the container",
        json_schema_extra={REMEDY: "must be a whole path such as /srv/data, without `:` and `/` at its end"},
    )
    sub_path: str | None = Field(None, max_length=1024, description="the folder in the volume")
    read_only: bool = Field(False, description="nothing may be written")


class PodTemplate(Schema):
    """What is added to the pods."""

    model_config = rules(
        (
            "!has(self.volumeMounts) || self.volumeMounts.all(mount,"
            " has(self.volumes) && self.volumes.exists(volume, volume.name == mount.name))",
            "a mount names none of podTemplate.volumes: add the volume, or correct the name",
            ".volumeMounts",
        )
    )

    labels: Labels = Field(default_factory=dict, description="further labels")
    annotations: Annotations = Field(default_factory=dict, description="further annotations")
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, max_length=32, description="labels of the nodes on which they may run"
    )
    tolerations: list[Open] = Field(default_factory=list, max_length=32, description="as in a Pod")
    affinity: Open | None = Field(None, description="as in a Pod")
    topology_spread_constraints: list[Open] | None = Field(
        None, max_length=16, description="as in a Pod; left out, the API's are spread over nodes"
    )
    priority_class_name: ObjectName | None = Field(None, description="as in a Pod")
    runtime_class_name: ObjectName | None = Field(None, description="as in a Pod")
    volumes: list[Volume] = Field(
        default_factory=list,
        max_length=32,
        description="further volumes",
        json_schema_extra=MAP_BY_NAME,
    )
    volume_mounts: list[VolumeMount] = Field(
        default_factory=list,
        max_length=32,
        description="where they are mounted",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["mountPath"]},
    )
    security_context: PodSecurity = Field(PodSecurity(), description="who the containers run as")


class Pods(Schema):
    """The fields that both tiers have."""

    image: Image | None = Field(
        None, description="the container's image; default: the one of the operator's own version"
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(None, description="as in a Pod")
    image_pull_secrets: list[ObjectRef] = Field(
        default_factory=list,
        max_length=16,
        description="Secrets with which images are pulled",
        json_schema_extra=MAP_BY_NAME,
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=128,
        description="environment variables of the container",
        json_schema_extra=MAP_BY_NAME,
    )
    resources: Resources = Field(Resources(), description="the container's requests and limits")
    service_account: ServiceAccount = Field(ServiceAccount(), description="the pods' service account")
    network_policy: NetworkPolicy = Field(NetworkPolicy(), description="who may reach the pods")
    pod_template: PodTemplate = Field(PodTemplate(), description="what is added to the pods")
