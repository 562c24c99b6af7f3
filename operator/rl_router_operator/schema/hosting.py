"""CEL rules between the fields of a hosted router model."""

from __future__ import annotations

from .base import KEY_LIKE, validations

EXTRA_ARGS = validations(
    (
        "!self.exists(flag, flag.matches('^--api[-_]k'))",
        "no --api-key: it would be seen in the pod, and the router model is reached by the API's pods alone"
        " (model.networkPolicy)",
    ),
    (
        "!self.exists(flag, flag.matches('^--hf[-_]token'))",
        "no --hf-token: it would be seen in the pod; the token goes into model.hfTokenSecretRef",
    ),
    (
        f"!self.exists(flag, flag.matches('{KEY_LIKE}'))",
        "a key is not written here, where it would be seen in the pod: give it in model.env by valueFrom.secretKeyRef",
    ),
    (
        "!self.exists(flag, flag.matches('^--(host|port|uds|root[-_]path|ssl[-_][a-z_-]+|config)(=|$)'))",
        "where and how the engine listens is the operator's: leave out --host, --port, --uds, --root-path, --ssl-… and"
        " --config",
    ),
    (
        "!self.exists(flag, flag.matches('^(--(model|revision|served[-_]model[-_]name|max[-_]model[-_]len"
        "|gpu[-_]memory[-_]utilization|tensor[-_]parallel[-_]size|tool[-_]call[-_]parser|chat[-_]template"
        "|shutdown[-_]timeout)|-tp)(=|$)'))",
        "what has a field is set there: source (with the revision after `@`), servedName, maxModelLen,"
        " gpuMemoryUtilization, tensorParallelSize, toolCallParser, chatTemplate",
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
"""The fields that mean nothing where the model is hosted elsewhere, and that are not there by default."""

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
"""Whether any of the fields that are there by default is set to something else."""

_GGUF = "(!has(self.source) || self.source.endsWith('.gguf') || !self.source.startsWith('hf://'))"

HOSTED_MODEL = validations(
    (
        "!has(self.external) || !(" + " || ".join(f"has(self.{field})" for field in _HOSTED) + ")",
        "a model that is hosted elsewhere has none of the fields of a hosted one: leave out external, or "
        + ", ".join(_HOSTED),
        ".external",
    ),
    (
        f"!has(self.external) || !({_HAS_PODS})",
        "a model that is hosted elsewhere has no pods here: leave out external, or replicas, toolCallParser,"
        " startupTimeout, serviceAccount, podTemplate",
        ".external",
    ),
    (
        "!has(self.accelerator) || has(self.source)",
        "the bundled model runs on a CPU: name the weights in source, or leave accelerator out",
        ".accelerator",
    ),
    (
        "!has(self.resources) || ![has(self.resources.limits) ? self.resources.limits : {},"
        " has(self.resources.requests) ? self.resources.requests : {}].exists(amounts, 'nvidia.com/gpu' in amounts"
        " || (has(self.accelerator) && self.accelerator.resource in amounts))",
        "an accelerator is asked for in model.accelerator, which sets the limit: leave it out here",
        ".resources",
    ),
    (
        "!has(self.accelerator) || self.accelerator.resource == 'nvidia.com/gpu' || has(self.image)",
        "the default image is for nvidia.com/gpu: name one for this resource in model.image",
        ".accelerator.resource",
    ),
    (
        "!has(self.accelerator) || !has(self.engine) || self.engine != 'llamacpp'",
        "the engine llamacpp runs on a CPU: leave accelerator out, or choose vllm",
        ".engine",
    ),
    (
        f"!has(self.engine) || self.engine != 'llamacpp' || {_GGUF}",
        "the engine llamacpp reads GGUF files: name one in source (hf://org/name/file.gguf), or choose vllm",
        ".source",
    ),
    (
        "!has(self.source) || !self.source.endsWith('.gguf') || has(self.image)"
        " || (!has(self.accelerator) && (!has(self.engine) || self.engine == 'llamacpp'))",
        "vLLM's own image reads no GGUF files: name one with vLLM's GGUF plugin in image, name other weights, or"
        " leave accelerator and engine out",
        ".source",
    ),
    (
        "!has(self.engine) || self.engine != 'vllm' || has(self.source)",
        "the engine vllm cannot serve the bundled model: name the weights in source, or leave engine out",
        ".engine",
    ),
    (
        "!has(self.tensorParallelSize) || self.tensorParallelSize"
        " <= (has(self.accelerator) ? self.accelerator.count : 1)",
        "must be at most accelerator.count (1 on a CPU): raise that, or lower this",
        ".tensorParallelSize",
    ),
    (
        "!has(self.gpuMemoryUtilization) || has(self.accelerator)",
        "there is no accelerator whose memory it would be a part of: add accelerator, or leave this out",
        ".gpuMemoryUtilization",
    ),
    (
        "!has(self.storage) || (has(self.source) && self.source.startsWith('hf://'))",
        "only weights from the hub are kept in storage: name them in source (hf://org/name), or leave storage out",
        ".storage",
    ),
    (
        "!has(self.hfTokenSecretRef) || (has(self.source) && self.source.startsWith('hf://'))",
        "only the hub is shown its token: name the weights in source (hf://org/name), or leave this out",
        ".hfTokenSecretRef",
    ),
    (
        "!has(self.source) || self.source.split('/').all(part, part != '..')",
        "must be written without `..`",
        ".source",
    ),
)
