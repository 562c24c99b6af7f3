"""`spec.model`: the source of the weights, the engine and the hardware."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from rl_router_api.config import BaseUrl, Price, Schema, Word

from .base import KEY_LIKE, REMEDY, KeyRef, ObjectName, Quantity, rules, url_rule
from .hosting import EXTRA_ARGS, HOSTED_MODEL
from .pods import Pods

AccessMode = Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]
SOURCE = (
    r"^(hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._/-]+?)?(/[A-Za-z0-9._/-]+\.gguf)?"
    r"|pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9._~/@+=,-]*)?|file:///[A-Za-z0-9._~/@+=,-]+)$"
)


class Accelerator(Schema):
    """What the model runs on; left out, it runs on the CPU."""

    resource: str = Field(
        "nvidia.com/gpu",
        min_length=1,
        max_length=317,
        pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$",
        description="the extended resource that the nodes offer",
    )
    count: int = Field(1, ge=1, le=64, description="how many of it a pod gets")


class Storage(Schema):
    """Where downloaded weights are kept, a volume for each pod."""

    model_config = rules(
        (
            "has(self.className) == has(oldSelf.className)"
            " && (!has(self.className) || self.className == oldSelf.className)",
            "a volume's class cannot be changed: leave it as it was, or make a RouterDeployment of another name",
            ".className",
        ),
        (
            "quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0",
            "a volume cannot shrink: keep the size or choose a larger one",
            ".size",
        ),
        (
            "quantity(string(self.size)).isGreaterThan(quantity('0'))",
            "must be more than nothing, such as 40Gi",
            ".size",
        ),
    )

    size: Quantity = Field(description="the volume's size; it may grow where the class allows that")
    class_name: ObjectName | None = Field(None, description="the StorageClass; default: the cluster's")
    access_modes: tuple[AccessMode, ...] = Field(
        ("ReadWriteOnce",), min_length=1, max_length=3, description="the volume's access modes"
    )
    retain: bool = Field(True, description="keep the volume when the RouterDeployment is deleted")


class ChatTemplate(Schema):
    """The chat template: a text, or a key of a ConfigMap."""

    model_config = rules(
        ("has(self.text) != has(self.configMapKeyRef)", "give either text or configMapKeyRef, not both"),
        (
            f"!has(self.text) || !self.text.matches('{KEY_LIKE}')",
            "a key is not written here, where it would lie in a ConfigMap: leave it out",
            ".text",
        ),
    )

    text: str | None = Field(None, min_length=1, max_length=65_536, description="the template itself")
    config_map_key_ref: KeyRef | None = Field(None, description="the ConfigMap's key that holds it")


class ExternalModel(Schema):
    """A router model that is hosted elsewhere."""

    model_config = rules(url_rule("baseUrl"))

    base_url: BaseUrl = Field(description="its OpenAI-compatible endpoint, `/v1` included")
    model: Word | None = Field(None, description="its name there; default: the first one listed")
    price: Price | None = Field(None, description="what its decisions cost")
    api_key_secret_ref: KeyRef | None = Field(None, description="the Secret's key that holds its API key")


class Model(Pods):
    """The router model that the operator hosts, or where it is hosted."""

    model_config = ConfigDict(json_schema_extra=HOSTED_MODEL)

    source: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        pattern=SOURCE,
        json_schema_extra={
            REMEDY: "must be hf://org/name[@revision][/file.gguf], pvc://claim/path or file:///path/in/the/image"
        },
        description="`hf://org/name[@revision][/file.gguf]`, `pvc://claim/path` or `file:///path/in/the/image`;"
        " default: the bundled model, on a CPU",
    )
    external: ExternalModel | None = Field(None, description="a router model hosted elsewhere; nothing is hosted then")
    engine: Literal["vllm", "llamacpp"] | None = Field(
        None,
        description="what serves it; default: llamacpp for the bundled model and for `.gguf` without an accelerator,"
        " else vllm",
    )
    served_name: Word | None = Field(None, description="the name it answers to; default: from its source")
    replicas: int = Field(1, ge=0, le=64, description="pods that serve it")
    accelerator: Accelerator | None = Field(None, description="what it runs on; left out: a CPU")
    max_model_len: int | None = Field(
        None, ge=512, le=16_777_216, description="tokens of context; default: the model's"
    )
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="the part of an accelerator's memory to use; default: the engine's"
    )
    tensor_parallel_size: int | None = Field(
        None, ge=1, le=64, description="accelerators that share the model; default: the accelerator's count"
    )
    tool_call_parser: str = Field(
        "hermes", min_length=1, max_length=64, pattern=r"^[a-z0-9_-]+$", description="how vLLM reads tool calls"
    )
    chat_template: ChatTemplate | None = Field(
        None, description="how a conversation is written for it; default: the model's own"
    )
    extra_args: list[Annotated[str, Field(min_length=1, max_length=4096)]] = Field(
        default_factory=list,
        max_length=64,
        description="further flags of the engine; no `--api-key`",
        json_schema_extra=EXTRA_ARGS,
    )
    hf_token_secret_ref: KeyRef | None = Field(None, description="the Secret's key that holds the hub's token")
    startup_timeout: int = Field(1800, ge=10, le=86_400, description="seconds that loading may take")
    storage: Storage | None = Field(
        None, description="where downloaded weights are kept; left out: in the pod, downloaded again at each start"
    )
