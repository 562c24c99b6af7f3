"""The chat template that is used."""

from importlib import resources
from pathlib import Path

from rl_router_model.problem import ExitCode, StartError


def read(given: str | None, bundled_model: bool) -> str:
    """The template of `--chat-template`, a file or, as with vLLM, the template itself. Without, ours for the bundled
    model, whose own ignores tools, and none ("") for another, which brings its own. Raises StartError."""
    if given is None:
        return hermes() if bundled_model else ""
    if any(sign in given for sign in "{}\n"):
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except OSError as error:
        raise StartError(ExitCode.COMMAND_LINE, f"the chat template {given} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartError(ExitCode.COMMAND_LINE, f"the chat template {given} is not UTF-8 text") from None


def hermes() -> str:
    """ChatML with Hermes' conventions for tools."""
    return resources.files("rl_router_model").joinpath("hermes.jinja").read_text(encoding="utf-8")
