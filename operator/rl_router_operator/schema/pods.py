"""Defines the settings of pods: the fields that `spec.model` and `spec.api` have in common."""

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
"""The default user id of the containers, and the default group id of the containers' volumes."""

Identity = Annotated[int, Field(ge=1, le=2**31 - 1, json_schema_extra={"nullable": True})]


class EnvVar(Schema):
    """An environment variable of the pods' container."""

    model_config = rules(
        (
            "!has(self.value) || !has(self.valueFrom)",
            "an environment variable has both a value and a valueFrom. Remove the field value or the field valueFrom",
        ),
        (
            "!has(self.value) || !self.name.matches('(TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|SECRET|PASSWORD)$')",
            "the value of an environment variable with a name such as API_KEY, TOKEN or PASSWORD would be"
            " visible to everybody who can read the RouterDeployment. Use the field valueFrom.secretKeyRef"
            " instead of the field value",
            ".value",
        ),
        (
            f"!has(self.value) || !{begins_like_a_key('self.value')}",
            "an environment variable's value that begins with Bearer, Basic, hf_ or sk- looks like an"
            " API key, which would be visible to everybody who can read the RouterDeployment. Use"
            " the field valueFrom.secretKeyRef"
            " instead of the field value",
            ".value",
        ),
        (
            "!has(self.value) || !self.value.matches('://[^/]*@')",
            "an environment variable contains a URL with a user name or password, which would be visible to everybody"
            " who can read the RouterDeployment. Use the field valueFrom.secretKeyRef"
            " instead of the field value",
            ".value",
        ),
        (
            "!self.name.startsWith('RL_ROUTER_')",
            "environment variables whose names begin with RL_ROUTER_ are not supported. Use the fields of"
            " spec.routing, spec.targets or spec.api.server",
            ".name",
        ),
        (
            "!(self.name in ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'])",
            "the Hugging Face token must not be in the list of environment variables. Put the token into a"
            " Secret, and name the Secret in spec.model.hfTokenSecretRef",
            ".name",
        ),
        (
            "self.name != 'VLLM_API_KEY'",
            "the hosted router model must accept requests without an API key. Remove the environment variable"
            " VLLM_API_KEY",
            ".name",
        ),
        (
            "self.name != 'HOME'",
            "the operator already sets the environment variable HOME to a writable folder. Remove the variable HOME"
            " from the field env",
            ".name",
        ),
    )

    name: str = Field(
        min_length=1,
        max_length=256,
        pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$",
        description="name of the environment variable",
    )
    value: str | None = Field(
        None, max_length=32_768, description="value of the environment variable. Use `valueFrom` for secrets"
    )
    value_from: Open | None = Field(
        None,
        description="source of the environment variable's value, such as `secretKeyRef`, in the format of `valueFrom`"
        " in a Pod",
    )


class Resources(Schema):
    """The resource requests and limits of a container, in the format of a Pod."""

    requests: dict[LabelKey, Quantity] = Field(
        default_factory=dict,
        max_length=16,
        description="quantities of CPU, memory and other resources to reserve on a node for the container, such as"
        " `cpu: 0.5`",
    )
    limits: dict[LabelKey, Quantity] = Field(
        default_factory=dict,
        max_length=16,
        description="maximum quantities of CPU, memory and other resources that the container may use, such as"
        " `memory: 4Gi`",
    )


class ServiceAccount(Schema):
    """The service account of the pods. The pods do not automatically get the token of the service account."""

    model_config = rules(
        (
            "self.create || !has(self.annotations)",
            "the operator does not add annotations to an existing service account. Set serviceAccount.create"
            " to true, or remove serviceAccount.annotations",
            ".annotations",
        )
    )

    create: bool = Field(False, description="whether to create a service account for the pods")
    name: ObjectName | None = Field(
        None,
        description="name of the service account to create or to use; default: a name derived from the"
        " RouterDeployment's name if `create` is true, and otherwise `default`, the service account that every"
        " namespace has",
    )
    annotations: Annotations = Field(
        default_factory=dict, description="annotations of the service account that the operator creates"
    )


class NetworkPolicy(Schema):
    """The NetworkPolicy that restricts who may connect to the pods. The NetworkPolicy has only ingress rules."""

    enabled: bool | None = Field(
        None,
        description="whether to create a NetworkPolicy; default: true, except for API pods if the operator runs outside"
        " the cluster and `from` is empty",
    )
    sources: Annotated[list[Open], Field(max_length=32)] = Field(
        default_factory=list,
        alias="from",
        description="peers that may connect to port 8000 of the model pods or to port 8800 of the API pods, in the"
        " format of `from` in a NetworkPolicy. The API pods may always connect to the model pods. If `from` is empty,"
        " every client may connect to port 8800 of the API pods",
    )


class PodSecurity(Schema):
    """The user id of the containers and the group id of the volumes."""

    run_as_user: Identity | None = Field(
        NUMERIC_USER,
        description="numeric id of the user and of the primary group of the containers. If `runAsUser` is null, the"
        " image or a platform such as OpenShift determines both ids",
    )
    fs_group: Identity | None = Field(
        NUMERIC_USER,
        description="numeric id of the group that owns the files in the volumes. If `fsGroup` is null, a platform"
        " such as OpenShift may choose the group id",
    )


class Volume(Schema):
    """A volume that the user adds to the pods."""

    model_config = rules(
        (
            "[has(self.configMap), has(self.secret), has(self.persistentVolumeClaim), has(self.emptyDir),"
            " has(self.projected)].filter(present, present).size() == 1",
            "a volume must have exactly one source. Set exactly one of configMap, secret,"
            " persistentVolumeClaim, emptyDir and projected",
        ),
        (
            "!self.name.matches('^(config|state|model|weights|chat-template|ca-bundle|keys-.*)$')",
            "the volume names config, state, model, weights, chat-template and ca-bundle, and all names that begin"
            " with keys-, are reserved for the operator. Choose another name for the volume",
            ".name",
        ),
    )

    name: VolumeName = Field(description="name of the volume")
    config_map: Open | None = Field(
        None, description="ConfigMap that is mounted as the volume, in the format of `configMap` in a Pod's volume"
    )
    secret: Open | None = Field(
        None, description="Secret that is mounted as the volume, in the format of `secret` in a Pod's volume"
    )
    persistent_volume_claim: Open | None = Field(
        None,
        description="PersistentVolumeClaim that is mounted as the volume, in the format of `persistentVolumeClaim` in"
        " a Pod's volume",
    )
    empty_dir: Open | None = Field(
        None, description="empty folder that is mounted as the volume, in the format of `emptyDir` in a Pod's volume"
    )
    projected: Open | None = Field(
        None,
        description="several sources, such as Secrets, that are mounted as one folder, in the format of `projected` in"
        " a Pod's volume",
    )


class VolumeMount(Schema):
    """The mount of an additional volume in the pods' container."""

    model_config = rules(
        (
            "self.mountPath.split('/').all(part, part != '.' && part != '..')",
            "mountPath must not contain the path segment `.` or `..`. Remove all segments `.` and `..` from mountPath",
            ".mountPath",
        ),
        (
            "!self.mountPath.matches('^/(etc|var/run|var/lib)/rl-router')",
            "mountPath must not begin with /etc/rl-router, /var/run/rl-router or /var/lib/rl-router, because"
            " the operator mounts its own files into these folders. Choose another folder for mountPath",
            ".mountPath",
        ),
        (
            "!has(self.subPath) || (!self.subPath.startsWith('/') && !('..' in self.subPath.split('/')))",
            "subPath must be a relative path within the volume. Remove each `/` at the beginning of subPath,"
            " and remove every segment `..`",
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
            REMEDY: "mountPath must be an absolute path such as /srv/data, without `:`, `//` or a trailing `/`"
        },
    )
    sub_path: str | None = Field(
        None,
        max_length=1024,
        description="path, relative to the volume, of the folder or file to mount; default: the whole volume",
    )
    read_only: bool = Field(False, description="whether to mount the volume read-only")


class PodTemplate(Schema):
    """The metadata, scheduling rules, volumes and security settings that the operator adds to the pods."""

    model_config = rules(
        (
            "!has(self.volumeMounts) || self.volumeMounts.all(mount,"
            " has(self.volumes) && self.volumes.exists(volume, volume.name == mount.name))",
            "a volume mount names an unknown volume. Add the volume to podTemplate.volumes, or correct the"
            " name in podTemplate.volumeMounts",
            ".volumeMounts",
        )
    )

    labels: Labels = Field(default_factory=dict, description="additional labels of the pods")
    annotations: Annotations = Field(default_factory=dict, description="additional annotations of the pods")
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, max_length=32, description="labels that a node must have to run the pods"
    )
    tolerations: list[Open] = Field(
        default_factory=list,
        max_length=32,
        description="taints that the pods tolerate, in the format of `tolerations` in a Pod",
    )
    affinity: Open | None = Field(
        None, description="affinity of the pods to nodes and other pods, in the format of `affinity` in a Pod"
    )
    topology_spread_constraints: list[Open] | None = Field(
        None,
        max_length=16,
        description="rules for spreading the pods, in the format of `topologySpreadConstraints` in a Pod. By default,"
        " the scheduler spreads the API pods over the nodes if possible",
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
        description="mounts of the additional volumes in the pods' container",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["mountPath"]},
    )
    security_context: PodSecurity = Field(
        PodSecurity(),
        description="security settings of the pods: the user id of the containers, and the group id of the volumes",
    )


class Pods(Schema):
    """The settings of pods: the fields that `spec.model` and `spec.api` have in common."""

    image: Image | None = Field(
        None,
        description="image of the pods' container; default: the image for the API or for the inference engine"
        " in the operator's settings",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None,
        description="rule that determines when a node pulls the image, with the values of `imagePullPolicy` in a Pod",
    )
    image_pull_secrets: list[ObjectRef] = Field(
        default_factory=list,
        max_length=16,
        description="Secrets with the credentials for pulling the image",
        json_schema_extra=MAP_BY_NAME,
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=128,
        description="environment variables of the pods' container",
        json_schema_extra=MAP_BY_NAME,
    )
    resources: Resources = Field(Resources(), description="resource requests and limits of the pods' container")
    service_account: ServiceAccount = Field(ServiceAccount(), description="service account of the pods")
    network_policy: NetworkPolicy = Field(
        NetworkPolicy(), description="NetworkPolicy that restricts who may connect to the pods"
    )
    pod_template: PodTemplate = Field(
        PodTemplate(),
        description="additional labels, annotations, scheduling rules and volumes of the pods, and the pods' security"
        " settings",
    )
