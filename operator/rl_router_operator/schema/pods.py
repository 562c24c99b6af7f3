"""Defines the fields of the pods, which `spec.model` and `spec.api` share."""

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
"""The default user id of the containers, and the default group id of their volumes."""

Identity = Annotated[int, Field(ge=1, le=2**31 - 1, json_schema_extra={"nullable": True})]


class EnvVar(Schema):
    """An environment variable of the container."""

    model_config = rules(
        ("!has(self.value) || !has(self.valueFrom)", "value and valueFrom are both set. Remove one of them"),
        (
            "!has(self.value) || !self.name.matches('(TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|SECRET|PASSWORD)$')",
            "a secret in value would be visible to everybody who can read this object. Use valueFrom.secretKeyRef",
            ".value",
        ),
        (
            f"!has(self.value) || !{begins_like_a_key('self.value')}",
            "a value that begins with Bearer, Basic, hf_ or sk- looks like an API key, which would be visible to"
            " everybody who can read this object. Use valueFrom.secretKeyRef",
            ".value",
        ),
        (
            "!has(self.value) || !self.value.matches('://[^/]*@')",
            "a password in a URL would be visible to everybody who can read this object. Use valueFrom.secretKeyRef",
            ".value",
        ),
        (
            "!self.name.startsWith('RL_ROUTER_')",
            "variables that begin with RL_ROUTER_ are not supported. Use spec.routing, spec.targets or spec.api.server",
            ".name",
        ),
        (
            "!(self.name in ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'])",
            "do not set the Hugging Face token here. Use spec.model.hfTokenSecretRef",
            ".name",
        ),
        (
            "self.name != 'VLLM_API_KEY'",
            "the hosted router model must accept requests without a key. Remove VLLM_API_KEY",
            ".name",
        ),
        ("self.name != 'HOME'", "the operator already sets HOME to a writable folder. Remove HOME", ".name"),
    )

    name: str = Field(
        min_length=1, max_length=256, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$", description="name of the variable"
    )
    value: str | None = Field(None, max_length=32_768, description="value of the variable. Use `valueFrom` for secrets")
    value_from: Open | None = Field(None, description="source of the value, such as `secretKeyRef`")


class Resources(Schema):
    """A container's requests and limits, as in a Pod."""

    requests: dict[LabelKey, Quantity] = Field(
        default_factory=dict,
        max_length=16,
        description="quantities to reserve on a node, such as `cpu: 0.5`",
    )
    limits: dict[LabelKey, Quantity] = Field(
        default_factory=dict,
        max_length=16,
        description="maximum quantities that the container may use, such as `memory: 4Gi`",
    )


class ServiceAccount(Schema):
    """The service account of the pods. Its token is never mounted."""

    model_config = rules(
        (
            "self.create || !has(self.annotations)",
            "the operator does not change an existing service account. Set create: true, or remove annotations",
            ".annotations",
        )
    )

    create: bool = Field(False, description="whether to create a service account for these pods")
    name: ObjectName | None = Field(
        None,
        description="name of the service account to create or to use; default: with `create`, a name derived from the"
        " RouterDeployment's name, else the namespace's default account",
    )
    annotations: Annotations = Field(default_factory=dict, description="annotations of the created service account")


class NetworkPolicy(Schema):
    """The NetworkPolicy that restricts who may connect to the pods. It has only ingress rules."""

    enabled: bool | None = Field(None, description="whether to create a NetworkPolicy; default: true")
    sources: Annotated[list[Open], Field(max_length=32)] = Field(
        default_factory=list,
        alias="from",
        description="peers that may connect to the pods, as in a NetworkPolicy. The model's pods always accept the"
        " API's pods too. The API's pods accept these peers on port 8800, or all peers if the list is empty",
    )


class PodSecurity(Schema):
    """The user of the containers and the group of their volumes."""

    run_as_user: Identity | None = Field(
        NUMERIC_USER, description="user id of the containers. If it is null, the platform chooses the user"
    )
    fs_group: Identity | None = Field(
        NUMERIC_USER, description="group id of the volumes. If it is null, the platform chooses the group"
    )


class Volume(Schema):
    """An additional volume of the pods."""

    model_config = rules(
        (
            "[has(self.configMap), has(self.secret), has(self.persistentVolumeClaim), has(self.emptyDir),"
            " has(self.projected)].filter(present, present).size() == 1",
            "must have exactly one source: configMap, secret, persistentVolumeClaim, emptyDir or projected",
        ),
        (
            "!self.name.matches('^(config|state|model|weights|chat-template|ca-bundle|keys-.*)$')",
            "the operator uses this name for one of its volumes. Choose another name",
            ".name",
        ),
    )

    name: VolumeName = Field(description="name of the volume")
    config_map: Open | None = Field(None, description="ConfigMap to mount, as in a Pod")
    secret: Open | None = Field(None, description="Secret to mount, as in a Pod")
    persistent_volume_claim: Open | None = Field(None, description="PersistentVolumeClaim to mount, as in a Pod")
    empty_dir: Open | None = Field(None, description="empty folder to mount, as in a Pod")
    projected: Open | None = Field(None, description="several sources to mount into one folder, as in a Pod")


class VolumeMount(Schema):
    """A mount of an additional volume in the container."""

    model_config = rules(
        (
            "self.mountPath.split('/').all(part, part != '.' && part != '..')",
            "must not contain the path segments `.` and `..`. Remove them",
            ".mountPath",
        ),
        (
            "!self.mountPath.matches('^/(etc|var/run|var/lib)/rl-router')",
            "the operator mounts its own files into this folder. Choose another folder",
            ".mountPath",
        ),
        (
            "!has(self.subPath) || (!self.subPath.startsWith('/') && !('..' in self.subPath.split('/')))",
            "must be a relative path within the volume. Remove a `/` at the beginning and every `..`",
            ".subPath",
        ),
    )

    name: VolumeName = Field(description="name of the volume to mount")
    mount_path: str = Field(
        min_length=2,
        max_length=1024,
        pattern=r"^(/[^/:]+)+$",
        description="absolute path in the container at which the volume is mounted",
        json_schema_extra={
            REMEDY: "must be an absolute path such as /srv/data, without `:` and without `/` at its end"
        },
    )
    sub_path: str | None = Field(
        None, max_length=1024, description="path within the volume that is mounted instead of the volume's root"
    )
    read_only: bool = Field(False, description="whether the mount is read-only")


class PodTemplate(Schema):
    """The labels, scheduling rules, volumes and security settings that the operator adds to the pods."""

    model_config = rules(
        (
            "!has(self.volumeMounts) || self.volumeMounts.all(mount,"
            " has(self.volumes) && self.volumes.exists(volume, volume.name == mount.name))",
            "a mount names an unknown volume. Add the volume to podTemplate.volumes, or fix the name",
            ".volumeMounts",
        )
    )

    labels: Labels = Field(default_factory=dict, description="additional labels of the pods")
    annotations: Annotations = Field(default_factory=dict, description="additional annotations of the pods")
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, max_length=32, description="labels that a node must have to run the pods"
    )
    tolerations: list[Open] = Field(
        default_factory=list, max_length=32, description="taints that the pods tolerate, as in a Pod"
    )
    affinity: Open | None = Field(None, description="affinity of the pods to nodes and other pods, as in a Pod")
    topology_spread_constraints: list[Open] | None = Field(
        None,
        max_length=16,
        description="rules for spreading the pods, as in a Pod. By default, the API pods are spread over the nodes",
    )
    priority_class_name: ObjectName | None = Field(None, description="name of the pods' PriorityClass")
    runtime_class_name: ObjectName | None = Field(None, description="name of the pods' RuntimeClass")
    volumes: list[Volume] = Field(
        default_factory=list,
        max_length=32,
        description="additional volumes of the pods",
        json_schema_extra=MAP_BY_NAME,
    )
    volume_mounts: list[VolumeMount] = Field(
        default_factory=list,
        max_length=32,
        description="mounts of the additional volumes in the container",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["mountPath"]},
    )
    security_context: PodSecurity = Field(
        PodSecurity(), description="user of the containers, and group of their volumes"
    )


class Pods(Schema):
    """The fields that `spec.model` and `spec.api` share."""

    image: Image | None = Field(
        None, description="image of the container; default: the image that belongs to the operator's version"
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None, description="policy for pulling the image, as in a Pod"
    )
    image_pull_secrets: list[ObjectRef] = Field(
        default_factory=list,
        max_length=16,
        description="Secrets for pulling images",
        json_schema_extra=MAP_BY_NAME,
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=128,
        description="environment variables of the container",
        json_schema_extra=MAP_BY_NAME,
    )
    resources: Resources = Field(Resources(), description="requests and limits of the container")
    service_account: ServiceAccount = Field(ServiceAccount(), description="service account of the pods")
    network_policy: NetworkPolicy = Field(NetworkPolicy(), description="NetworkPolicy of the pods")
    pod_template: PodTemplate = Field(
        PodTemplate(), description="additional labels, scheduling rules and volumes of the pods"
    )
