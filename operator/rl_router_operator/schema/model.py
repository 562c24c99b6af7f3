"""Defines the fields of `spec.model`, such as the source of the router model's weights and the inference engine."""

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
    """The accelerators of a model pod. Without accelerators, the router model runs on a CPU."""

    resource: str = Field(
        "nvidia.com/gpu",
        min_length=1,
        max_length=317,
        pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$",
        description="name of the Kubernetes extended resource that represents the accelerators",
    )
    count: int = Field(1, ge=1, le=64, description="number of accelerators of each model pod")


class Storage(Schema):
    """The volume of each model pod for downloaded weights."""

    model_config = rules(
        (
            "has(self.className) == has(oldSelf.className)"
            " && (!has(self.className) || self.className == oldSelf.className)",
            "the StorageClass of a volume cannot change. Restore spec.model.storage.className, or create a"
            " RouterDeployment with another name",
            ".className",
        ),
        (
            "isQuantity(string(self.size)) && quantity(string(self.size)).isGreaterThan(quantity('0'))",
            "the size of a volume must be a quantity of more than 0 bytes, such as 40Gi",
            ".size",
        ),
    )

    size: Size = Field(
        description="size of each volume. You can raise `size` later if the StorageClass allows volume expansion. A"
        " volume never shrinks. If you lower `size`, the condition Degraded names each volume that stays larger"
    )
    class_name: ObjectName | None = Field(
        None, description="name of the StorageClass of the volume; default: the cluster's default StorageClass"
    )
    access_modes: tuple[AccessMode, ...] = Field(
        ("ReadWriteOnce",), min_length=1, max_length=3, description="access modes of the volume for weights"
    )
    retain: bool = Field(True, description="whether Kubernetes keeps the volume when the RouterDeployment is deleted")


class ChatTemplate(Schema):
    """The chat template of the router model, either as text or in a ConfigMap."""

    model_config = rules(
        (
            "has(self.text) != has(self.configMapKeyRef)",
            "spec.model.chatTemplate must have exactly one source. Set either chatTemplate.text or"
            " chatTemplate.configMapKeyRef",
        ),
        (
            f"!has(self.text) || !self.text.matches('{KEY_LIKE}')",
            "the text of the chat template contains a word that begins with hf_ or sk- and looks like an API key, which"
            " would be visible in a ConfigMap. Remove the API key from the text of the chat template",
            ".text",
        ),
    )

    text: str | None = Field(None, min_length=1, max_length=65_536, description="text of the chat template")
    config_map_key_ref: KeyRef | None = Field(None, description="entry of a ConfigMap that contains the chat template")


class ExternalModel(Schema):
    """A router model that the operator does not host."""

    model_config = rules(url_rule("baseUrl"))

    base_url: BaseUrl = Field(description="URL of the OpenAI-compatible endpoint of the router model, including `/v1`")
    model: Word | None = Field(
        None,
        description="name under which the endpoint serves the router model; default: the first name that the endpoint"
        " lists",
    )
    price: Price | None = Field(
        None, description="price of the external router model's decisions; default: a price of 0"
    )
    api_key_secret_ref: KeyRef | None = Field(
        None, description="entry of a Secret that contains the API key for the endpoint"
    )


class Model(Pods):
    """The router model, which is either hosted by the operator or external."""

    model_config = ConfigDict(json_schema_extra=HOSTED_MODEL)

    source: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        pattern=SOURCE,
        json_schema_extra={
            REMEDY: "spec.model.source must be hf://org/name[@revision][/file.gguf], pvc://claim[/path] or"
            " file:///path/in/the/image"
        },
        description="location of the router model's weights: `hf://org/name[@revision][/file.gguf]`,"
        " `pvc://claim[/path]` or `file:///path/in/the/image`; default: the bundled model, which runs on a CPU",
    )
    external: ExternalModel | None = Field(
        None,
        description="existing router model that the router API calls. If `external` is set, the operator hosts no"
        " router model",
    )
    engine: Literal["vllm", "llamacpp"] | None = Field(
        None,
        description="inference engine of the router model; default: `llamacpp` for the bundled model,"
        " `llamacpp` for a GGUF file if `accelerator` is not set, and otherwise `vllm`",
    )
    served_name: Word | None = Field(
        None,
        description="name under which the engine serves the router model; default: a name that is derived from"
        " `source`, or the name of the bundled model",
    )
    replicas: int = Field(1, ge=0, le=64, description="number of model pods")
    accelerator: Accelerator | None = Field(
        None, description="accelerators of each model pod. Without accelerators, the router model runs on a CPU"
    )
    max_model_len: int | None = Field(
        None,
        ge=512,
        le=16_777_216,
        description="context length of the router model in tokens; default: the model's own context length, but at"
        " most 4096 with the engine `llamacpp`",
    )
    gpu_memory_utilization: float | None = Field(
        None,
        gt=0,
        le=1,
        description="fraction of each accelerator's memory that the engine may use; default: the engine's own default",
    )
    tensor_parallel_size: int | None = Field(
        None,
        ge=1,
        le=64,
        description="number of accelerators across which the inference engine splits the router model in each model"
        " pod; default: the value of `accelerator.count`, or 1 without accelerators",
    )
    tool_call_parser: str = Field(
        "hermes",
        min_length=1,
        max_length=64,
        pattern=r"^[a-z0-9_-]+$",
        description="name of the parser with which vLLM reads the router model's tool calls",
    )
    chat_template: ChatTemplate | None = Field(
        None,
        description="chat template of the router model; default: for the bundled model, a template that supports tools,"
        " and otherwise the model's own chat template",
    )
    extra_args: list[Annotated[str, Field(min_length=1, max_length=4096)]] = Field(
        default_factory=list,
        max_length=64,
        description="additional command-line flags of the inference engine",
        json_schema_extra=EXTRA_ARGS,
    )
    hf_token_secret_ref: KeyRef | None = Field(
        None, description="entry of a Secret that contains the Hugging Face token for downloading the weights"
    )
    startup_timeout: int = Field(
        1800, ge=10, le=86_400, description="maximum time for downloading and loading the router model, in seconds"
    )
    storage: Storage | None = Field(
        None,
        description="volume of each model pod for downloaded weights. Without a volume, every new model pod downloads"
        " the weights of an `hf://` source again",
    )

    @model_validator(mode="after")
    def _require_accelerators_in_their_own_field(self) -> Self:
        """Checks that `resources` contains neither `nvidia.com/gpu` nor the resource of `accelerator`.

        The CRD has no rule for this check, because the API server rejects a rule that reads a map with untyped values.
        """
        accelerators = {"nvidia.com/gpu", *([self.accelerator.resource] if self.accelerator else [])}
        if found := accelerators & {*self.resources.requests, *self.resources.limits}:
            raise ValueError(
                f"spec.model.resources contains the accelerator {min(found)}. Move the accelerator"
                " from spec.model.resources to spec.model.accelerator"
            )
        return self
