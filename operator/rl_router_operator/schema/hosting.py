"""Defines the CEL rules for `spec.model.extraArgs`, and for values and combinations of the fields of `spec.model`."""

from __future__ import annotations

from .base import KEY_LIKE, validations
from .pods import NUMERIC_USER

EXTRA_ARGS = validations(
    (
        "!self.exists(flag, flag.matches('^--api[-_]k'))",
        "the API key in the flag --api-key would be visible to everybody who can read the pod. Remove --api-key from"
        " spec.model.extraArgs, and use the NetworkPolicy in spec.model.networkPolicy to restrict who may"
        " connect to the model pods",
    ),
    (
        "!self.exists(flag, flag.matches('^--hf[-_]token'))",
        "the token in the flag --hf-token would be visible to everybody who can read the pod. Put the token into a"
        " Secret, and name the Secret in spec.model.hfTokenSecretRef",
    ),
    (
        f"!self.exists(flag, flag.matches('{KEY_LIKE}'))",
        "a command-line flag contains a word that begins with hf_ or sk- and looks like an API key, which would be"
        " visible to everybody who can read the pod. Remove the API key from spec.model.extraArgs. Set a Hugging Face"
        " token in spec.model.hfTokenSecretRef, and another API key in spec.model.env with valueFrom.secretKeyRef",
    ),
    (
        "!self.exists(flag, flag.matches('^--(host|port|uds|root[-_]path|ssl[-_][a-z_-]+|config)(=|$)'))",
        "the router API calls the inference engine over HTTP at an address that only the operator may set. Remove the"
        " flags --host, --port, --uds, --root-path, --ssl-… and --config from spec.model.extraArgs",
    ),
    (
        "!self.exists(flag, flag.matches('^(--(model|revision|served[-_]model[-_]name|max[-_]model[-_]len"
        "|gpu[-_]memory[-_]utilization|tensor[-_]parallel[-_]size|tool[-_]call[-_]parser|chat[-_]template"
        "|shutdown[-_]timeout)|-tp)(=|$)'))",
        "spec.model.extraArgs contains a flag that only the operator may set. Remove the flag, and use the matching"
        " field of spec.model, if any: source (with the revision after `@`), servedName, maxModelLen,"
        " gpuMemoryUtilization, tensorParallelSize, toolCallParser or chatTemplate",
    ),
)

_HOSTED = (
    "source",
    "engine",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "env",
    "resources",
    "networkPolicy",
    "servedName",
    "accelerator",
    "maxModelLen",
    "gpuMemoryUtilization",
    "tensorParallelSize",
    "chatTemplate",
    "extraArgs",
    "hfTokenSecretRef",
    "storage",
)
"""The fields of `spec.model` that have no default in the CRD and that only a hosted router model uses."""

_POD_TEMPLATE = (
    "labels",
    "annotations",
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "runtimeClassName",
    "volumes",
    "volumeMounts",
)
_IDENTITIES = ("self.podTemplate.securityContext.runAsUser", "self.podTemplate.securityContext.fsGroup")
_HAS_PODS = " || ".join(
    [
        "self.replicas != 1",
        "self.toolCallParser != 'hermes'",
        "self.startupTimeout != 1800",
        "self.serviceAccount.create",
        "has(self.serviceAccount.name)",
        *(f"has(self.podTemplate.{field})" for field in _POD_TEMPLATE),
        *(f"!has({field}) || {field} != {NUMERIC_USER}" for field in _IDENTITIES),
    ]
)
"""A CEL expression that is true if one of its fields differs from the default or, without a default, is set."""

_GGUF = "(!has(self.source) || self.source.endsWith('.gguf') || !self.source.startsWith('hf://'))"

HOSTED_MODEL = validations(
    (
        "!has(self.external) || !(" + " || ".join(f"has(self.{field})" for field in _HOSTED) + ")",
        "spec.model.external cannot be combined with fields that only a hosted router model uses. Remove"
        " spec.model.external, or remove these fields of spec.model: " + ", ".join(_HOSTED),
        ".external",
    ),
    (
        f"!has(self.external) || !({_HAS_PODS})",
        "spec.model.external cannot be combined with settings of model pods, because an external router model has no"
        " pods. Remove spec.model.external, or remove these fields of spec.model: replicas, toolCallParser,"
        " startupTimeout, serviceAccount, podTemplate",
        ".external",
    ),
    (
        "!has(self.accelerator) || has(self.source)",
        "the bundled model runs only on a CPU. Set spec.model.source to other weights, or remove"
        " spec.model.accelerator",
        ".accelerator",
    ),
    (
        "!has(self.accelerator) || self.accelerator.resource == 'nvidia.com/gpu' || has(self.image)",
        "the default image of vLLM supports only accelerators with the resource name nvidia.com/gpu. Set"
        " spec.model.image to an image that supports the accelerator in spec.model.accelerator.resource",
        ".accelerator.resource",
    ),
    (
        "!has(self.accelerator) || !has(self.engine) || self.engine != 'llamacpp'",
        "the engine llamacpp runs only on a CPU. Remove spec.model.accelerator, or set spec.model.engine to vllm",
        ".engine",
    ),
    (
        f"!has(self.engine) || self.engine != 'llamacpp' || {_GGUF}",
        "the engine llamacpp requires a GGUF file. Set spec.model.source to a file such as"
        " hf://org/name/file.gguf, or set spec.model.engine to vllm",
        ".source",
    ),
    (
        "!has(self.source) || !self.source.endsWith('.gguf') || has(self.image)"
        " || (!has(self.accelerator) && (!has(self.engine) || self.engine == 'llamacpp'))",
        "vLLM's default image cannot read GGUF files. Set spec.model.image to an image with vLLM's GGUF"
        " plugin, set spec.model.source to other weights, or remove spec.model.accelerator and"
        " spec.model.engine",
        ".source",
    ),
    (
        "!has(self.engine) || self.engine != 'vllm' || has(self.source)",
        "the engine vllm cannot serve the bundled model. Set spec.model.source to other weights, or remove"
        " spec.model.engine",
        ".engine",
    ),
    (
        "!has(self.tensorParallelSize) || self.tensorParallelSize"
        " <= (has(self.accelerator) ? self.accelerator.count : 1)",
        "spec.model.tensorParallelSize must be at most spec.model.accelerator.count, and must be 1 without"
        " an accelerator. Lower spec.model.tensorParallelSize, or raise spec.model.accelerator.count",
        ".tensorParallelSize",
    ),
    (
        "!has(self.gpuMemoryUtilization) || has(self.accelerator)",
        "spec.model.gpuMemoryUtilization requires an accelerator. Set spec.model.accelerator, or remove"
        " spec.model.gpuMemoryUtilization",
        ".gpuMemoryUtilization",
    ),
    (
        "!has(self.storage) || (has(self.source) && self.source.startsWith('hf://'))",
        "spec.model.storage keeps only weights that are downloaded from an hf:// source. Set"
        " spec.model.source to hf://org/name, or remove spec.model.storage",
        ".storage",
    ),
    (
        "!has(self.hfTokenSecretRef) || (has(self.source) && self.source.startsWith('hf://'))",
        "the Hugging Face token is used only for an hf:// source. Set spec.model.source to hf://org/name, or"
        " remove spec.model.hfTokenSecretRef",
        ".hfTokenSecretRef",
    ),
    (
        "!has(self.source) || self.source.split('/').all(part, part != '..')",
        "spec.model.source must not contain the path segment `..`. Use a path without `..` as a segment",
        ".source",
    ),
)
