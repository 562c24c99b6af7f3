"""Defines the CEL rules that relate the fields of `spec.model` to each other."""

from __future__ import annotations

from .base import KEY_LIKE, validations

EXTRA_ARGS = validations(
    (
        "!self.exists(flag, flag.matches('^--api[-_]k'))",
        "--api-key would be visible in the pod. Remove it, because model.networkPolicy already admits only API pods",
    ),
    (
        "!self.exists(flag, flag.matches('^--hf[-_]token'))",
        "--hf-token would be visible in the pod. Use model.hfTokenSecretRef",
    ),
    (
        f"!self.exists(flag, flag.matches('{KEY_LIKE}'))",
        "an API key in a flag would be visible in the pod. Set it in model.env with valueFrom.secretKeyRef",
    ),
    (
        "!self.exists(flag, flag.matches('^--(host|port|uds|root[-_]path|ssl[-_][a-z_-]+|config)(=|$)'))",
        "the operator sets the server flags of the engine. Remove --host, --port, --uds, --root-path, --ssl-… and"
        " --config",
    ),
    (
        "!self.exists(flag, flag.matches('^(--(model|revision|served[-_]model[-_]name|max[-_]model[-_]len"
        "|gpu[-_]memory[-_]utilization|tensor[-_]parallel[-_]size|tool[-_]call[-_]parser|chat[-_]template"
        "|shutdown[-_]timeout)|-tp)(=|$)'))",
        "extraArgs has a flag for which spec.model has a field. Use that field: source (with the revision after `@`),"
        " servedName, maxModelLen, gpuMemoryUtilization, tensorParallelSize, toolCallParser or chatTemplate",
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
"""The fields without a default that only a hosted model uses."""

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
_HAS_PODS = " || ".join(
    [
        "self.replicas != 1",
        "self.toolCallParser != 'hermes'",
        "self.startupTimeout != 1800",
        "self.serviceAccount.create",
        "has(self.serviceAccount.name)",
        *(f"has(self.podTemplate.{field})" for field in _POD_TEMPLATE),
    ]
)
"""A CEL expression that is true if a field that only a hosted model uses differs from its default."""

_GGUF = "(!has(self.source) || self.source.endsWith('.gguf') || !self.source.startsWith('hf://'))"

HOSTED_MODEL = validations(
    (
        "!has(self.external) || !(" + " || ".join(f"has(self.{field})" for field in _HOSTED) + ")",
        "external cannot be combined with the fields of a hosted model. Remove external, or remove "
        + ", ".join(_HOSTED),
        ".external",
    ),
    (
        f"!has(self.external) || !({_HAS_PODS})",
        "external cannot be combined with settings of model pods. Remove external, or remove replicas, toolCallParser,"
        " startupTimeout, serviceAccount, podTemplate",
        ".external",
    ),
    (
        "!has(self.accelerator) || has(self.source)",
        "the bundled model runs only on a CPU. Set source to other weights, or remove accelerator",
        ".accelerator",
    ),
    (
        "!has(self.accelerator) || self.accelerator.resource == 'nvidia.com/gpu' || has(self.image)",
        "the default image supports only nvidia.com/gpu. Set model.image to an image for this resource",
        ".accelerator.resource",
    ),
    (
        "!has(self.accelerator) || !has(self.engine) || self.engine != 'llamacpp'",
        "the engine llamacpp runs only on a CPU. Remove accelerator, or set engine to vllm",
        ".engine",
    ),
    (
        f"!has(self.engine) || self.engine != 'llamacpp' || {_GGUF}",
        "the engine llamacpp requires a GGUF file. Set source to a file such as hf://org/name/file.gguf, or set engine"
        " to vllm",
        ".source",
    ),
    (
        "!has(self.source) || !self.source.endsWith('.gguf') || has(self.image)"
        " || (!has(self.accelerator) && (!has(self.engine) || self.engine == 'llamacpp'))",
        "vLLM's default image cannot read GGUF files. Set image to an image with vLLM's GGUF plugin, set source to"
        " other weights, or remove accelerator and engine",
        ".source",
    ),
    (
        "!has(self.engine) || self.engine != 'vllm' || has(self.source)",
        "the engine vllm cannot serve the bundled model. Set source to other weights, or remove engine",
        ".engine",
    ),
    (
        "!has(self.tensorParallelSize) || self.tensorParallelSize"
        " <= (has(self.accelerator) ? self.accelerator.count : 1)",
        "must be at most accelerator.count, or 1 on a CPU. Lower tensorParallelSize, or raise accelerator.count",
        ".tensorParallelSize",
    ),
    (
        "!has(self.gpuMemoryUtilization) || has(self.accelerator)",
        "gpuMemoryUtilization requires an accelerator. Set accelerator, or remove gpuMemoryUtilization",
        ".gpuMemoryUtilization",
    ),
    (
        "!has(self.storage) || (has(self.source) && self.source.startsWith('hf://'))",
        "storage keeps only weights from an hf:// source. Set source to hf://org/name, or remove storage",
        ".storage",
    ),
    (
        "!has(self.hfTokenSecretRef) || (has(self.source) && self.source.startsWith('hf://'))",
        "the token is used only for an hf:// source. Set source to hf://org/name, or remove hfTokenSecretRef",
        ".hfTokenSecretRef",
    ),
    (
        "!has(self.source) || self.source.split('/').all(part, part != '..')",
        "must not contain the path segment `..`. Use a path without it",
        ".source",
    ),
)
