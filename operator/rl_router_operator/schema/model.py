"""Defines `spec.model`: the source of the weights, the engine and the hardware."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from rl_router_api.config import BaseUrl, Price, Schema, Word

from .base import KEY_LIKE, REMEDY, KeyRef, ObjectName, Size, rules, url_rule
from .hosting import EXTRA_ARGS, HOSTED_MODEL
from .pods import Pods

AccessMode = Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]
SOURCE = (
    r"^(hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9._/-]+?)?(/[A-Za-z0-9._/-]+\.gguf)?"
    r"|pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9._~/@+=,-]*)?|file:///[A-Za-z0-9._~/@+=,-]+)$"
)


class Accelerator(Schema):
    """The accelerators of a pod. Without them, the model runs on a CPU."""

    resource: str = Field(
        "nvidia.com/gpu",
        min_length=1,
        max_length=317,
        pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$",
        description="name of the Kubernetes extended resource that represents the accelerators",
    )
    count: int = Field(1, ge=1, le=64, description="number of accelerators per pod")


class Storage(Schema):
    """The volume of each model pod for downloaded weights."""

    model_config = rules(
        (
            "has(self.className) == has(oldSelf.className)"
            " && (!has(self.className) || self.className == oldSelf.className)",
            "the class of a volume cannot change. Restore className, or create a RouterDeployment with another name",
            ".className",
        ),
        (
            "isQuantity(string(self.size)) && quantity(string(self.size)).isGreaterThan(quantity('0'))",
            "must be a quantity of more than 0 bytes, such as 40Gi",
            ".size",
        ),
    )

    size: Size = Field(
        description="size of the volume. It can be raised later if the StorageClass allows expansion. A volume never"
        " shrinks. The condition Degraded names a volume that is larger than `size`"
    )
    class_name: ObjectName | None = Field(
        None, description="name of the StorageClass; default: the cluster's default StorageClass"
    )
    access_modes: tuple[AccessMode, ...] = Field(
        ("ReadWriteOnce",), min_length=1, max_length=3, description="access modes of the volume"
    )
    retain: bool = Field(True, description="whether to keep the volume when the RouterDeployment is deleted")


class ChatTemplate(Schema):
    """The chat template of the router model, either as text or in a ConfigMap."""

    model_config = rules(
        (
            "has(self.text) != has(self.configMapKeyRef)",
            "chatTemplate must have exactly one source. Set either text or configMapKeyRef",
        ),
        (
            f"!has(self.text) || !self.text.matches('{KEY_LIKE}')",
            "an API key in the text would be visible in a ConfigMap. Remove the key",
            ".text",
        ),
    )

    text: str | None = Field(None, min_length=1, max_length=65_536, description="text of the chat template")
    config_map_key_ref: KeyRef | None = Field(None, description="key of a ConfigMap that contains the chat template")


class ExternalModel(Schema):
    """A router model that this operator does not host."""

    model_config = rules(url_rule("baseUrl"))

    base_url: BaseUrl = Field(description="OpenAI-compatible endpoint, including `/v1`")
    model: Word | None = Field(
        None, description="name of the model at its endpoint; default: the first name that the endpoint lists"
    )
    price: Price | None = Field(None, description="price of the external router model's decisions")
    api_key_secret_ref: KeyRef | None = Field(
        None, description="key of a Secret that contains the API key for the endpoint"
    )


class Model(Pods):
    """The router model, hosted by the operator or external."""

    model_config = ConfigDict(json_schema_extra=HOSTED_MODEL)

    source: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        pattern=SOURCE,
        json_schema_extra={
            REMEDY: "must be hf://org/name[@revision][/file.gguf], pvc://claim/path or file:///path/in/the/image"
        },
        description="location of the weights: `hf://org/name[@revision][/file.gguf]`, `pvc://claim/path` or"
        " `file:///path/in/the/image`; default: the bundled model, on a CPU",
    )
    external: ExternalModel | None = Field(
        None, description="existing router model to use. If it is set, the operator hosts no router model"
    )
    engine: Literal["vllm", "llamacpp"] | None = Field(
        None,
        description="inference engine; default: llamacpp for the bundled model and for GGUF files without an"
        " accelerator, else vllm",
    )
    served_name: Word | None = Field(
        None, description="name under which the engine serves the model; default: derived from `source`"
    )
    replicas: int = Field(1, ge=0, le=64, description="number of model pods")
    accelerator: Accelerator | None = Field(
        None, description="accelerators of each pod. Without accelerators, the model runs on a CPU"
    )
    max_model_len: int | None = Field(
        None, ge=512, le=16_777_216, description="context length in tokens; default: the model's own context length"
    )
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="fraction of the accelerator's memory to use; default: the engine's default"
    )
    tensor_parallel_size: int | None = Field(
        None, ge=1, le=64, description="number of accelerators that share the model; default: `accelerator.count`"
    )
    tool_call_parser: str = Field(
        "hermes",
        min_length=1,
        max_length=64,
        pattern=r"^[a-z0-9_-]+$",
        description="name of vLLM's parser for tool calls",
    )
    chat_template: ChatTemplate | None = Field(
        None, description="chat template of the router model; default: the model's own chat template"
    )
    extra_args: list[Annotated[str, Field(min_length=1, max_length=4096)]] = Field(
        default_factory=list,
        max_length=64,
        description="additional command-line flags of the engine",
        json_schema_extra=EXTRA_ARGS,
    )
    hf_token_secret_ref: KeyRef | None = Field(
        None, description="key of a Secret that contains the Hugging Face token for downloading the weights"
    )
    startup_timeout: int = Field(1800, ge=10, le=86_400, description="maximum seconds for loading the model")
    storage: Storage | None = Field(
        None,
        description="volume for downloaded weights. Without a volume, every pod downloads the weights when it starts",
    )

    @model_validator(mode="after")
    def _require_accelerators_in_their_own_field(self) -> Self:
        """Checks a rule that is not in the CRD, because rules cannot read the untyped values of `resources`."""
        accelerators = {"nvidia.com/gpu", *([self.accelerator.resource] if self.accelerator else [])}
        if found := accelerators & {*self.resources.requests, *self.resources.limits}:
            raise ValueError(
                f"spec.model.resources contains the accelerator {min(found)}. Request it in spec.model.accelerator, and"
                " remove it from spec.model.resources"
            )
        return self
