"""Chooses the chat template with which llama.cpp formats the messages of a request."""

from importlib import resources
from pathlib import Path

from rl_router_model.problem import ExitCode, StartError


def read(option: str | None, bundled_model: bool) -> str:
    """Returns the text of the chat template.

    The argument `option` is the path of a template file, or the text of a template, or None. If `option` is None, the
    bundled model gets the result of the function `hermes()`, because the bundled model's own template ignores tools. If
    `option` is None, any other model gets an empty text, so that llama.cpp uses the model's own template. Raises
    StartError.
    """
    if option is None:
        return hermes() if bundled_model else ""
    if any(sign in option for sign in "{}\n"):
        return option
    try:
        return Path(option).read_text(encoding="utf-8")
    except OSError as error:
        raise StartError(
            ExitCode.COMMAND_LINE, f"the chat template {option} cannot be read: {error.strerror}. Fix --chat-template"
        ) from None
    except UnicodeDecodeError:
        raise StartError(
            ExitCode.COMMAND_LINE, f"the chat template {option} is not UTF-8 text: save it as UTF-8"
        ) from None


def hermes() -> str:
    """Returns the ChatML template with Hermes' conventions for tools."""
    return resources.files("rl_router_model").joinpath("hermes.jinja").read_text(encoding="utf-8")
