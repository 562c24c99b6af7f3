"""Sends requests for `test_host.py` and `test_serve.py`, and checks the format of the answers.

Most requests use the openai package. The checks test the format of an answer, not the quality of the answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import openai

Messages = list[dict[str, str]]

MAX_TOKENS = 96
WIDTH = 110
MINIMUM_TOKENS_PER_CHARACTER = 1 / 12
"""The minimum number of prompt tokens per character of a request.

If a server counts fewer prompt tokens, the server has probably lost parts of the request, because English text has
about a quarter of a token per character.
"""
STRATEGIES = (
    "select_response", "direct_response", "committed", "max_turns_reached", "last_response", "fallback", "timeout",
    "pinned",
)  # fmt: skip


class CheckError(Exception):
    """Raised if a check fails. The message of the error says in one line why the check failed."""


@dataclass(frozen=True)
class Answer:
    """A whole or streamed completion that a server sent. Each cost in `metadata` is a Decimal or an int."""

    model: str
    text: str
    finish_reason: str | None
    usage: dict[str, Any] | None
    metadata: dict[str, Any] | None
    seconds: float

    @property
    def advice(self) -> str:
        """Returns the system prompt that the router model wrote for the selected call, or an empty text."""
        calls = (self.metadata or {}).get("call_history", [])
        chosen = next((call for call in calls if call.get("selected")), {})
        return str((chosen.get("arguments") or {}).get("optimized_system_prompt") or "")


def parser(description: str, url: str) -> argparse.ArgumentParser:
    """Returns a parser with the flags that test_host.py and test_serve.py share."""
    flags = argparse.ArgumentParser(description=description, allow_abbrev=False)
    flags.add_argument("--url", default=url, help="base URL of the OpenAI-compatible server (default: %(default)s)")
    flags.add_argument(
        "--api-key", default="dummy", help="API key, for a server that requires API keys (default: %(default)s)"
    )
    flags.add_argument(
        "--timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="maximum time without data from the server, in seconds (default: %(default)g)",
    )
    flags.add_argument("--info", action="store_true", help="only print what the server reports about itself")
    flags.add_argument("--models", action="store_true", help="only print the names of the server's models")
    return flags


def connect(arguments: argparse.Namespace) -> openai.OpenAI:
    """Returns a client of the openai package. The client's requests to this machine bypass proxies."""
    proxied = [os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")), "localhost,127.0.0.1,::1"]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, proxied))
    return openai.OpenAI(
        base_url=arguments.url, api_key=arguments.api_key, timeout=arguments.timeout, max_retries=0
    )  # fmt: skip


def ask(client: openai.OpenAI, model: str, messages: Messages, **options: Any) -> Answer:
    """Requests an answer, checks the format of the answer, and returns the answer.

    Raises CheckError if the format of the answer is wrong.
    """
    started = time.monotonic()
    reply = client.chat.completions.with_raw_response.create(
        model=model, messages=messages, **_limits(options)
    )  # fmt: skip
    body = _object(reply.text)
    require(
        body.get("object") == "chat.completion",
        f"the answer's `object` is {body.get('object')!r}, not 'chat.completion'",
    )
    choices = body.get("choices") or [{}]
    message = choices[0].get("message") or {}
    role = message.get("role")
    require(role == "assistant", f"the role of choices[0].message in the answer is {role!r}, not 'assistant'")
    answer = Answer(
        str(body.get("model")), message.get("content") or "", choices[0].get("finish_reason"), body.get("usage"),
        body.get("router_metadata"), time.monotonic() - started,
    )  # fmt: skip
    _check_answer(answer, model)
    _check_usage(answer.usage, messages)
    return answer


def ask_streamed(client: openai.OpenAI, model: str, messages: Messages, **options: Any) -> Answer:
    """Requests a streamed answer, checks the chunks of the stream, and returns the answer.

    The attribute `metadata` of the returned answer is None if the stream has no router metadata. Raises CheckError if
    the format of the stream is wrong.
    """
    started = time.monotonic()
    chunks = list(client.chat.completions.create(model=model, messages=messages, stream=True, **_limits(options)))
    require(bool(chunks), "the server ended the streamed answer without sending a chunk. Read the log of the server")
    choices = [choice for chunk in chunks for choice in chunk.choices]
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    answer = Answer(
        chunks[-1].model, "".join(choice.delta.content or "" for choice in choices), reasons[-1] if reasons else None,
        None, _streamed_metadata(chunks), time.monotonic() - started,
    )  # fmt: skip
    _check_answer(answer, model)
    return answer


def _limits(options: dict[str, Any]) -> dict[str, Any]:
    return {"max_tokens": MAX_TOKENS, "temperature": 0, **options}


def _streamed_metadata(chunks: list[Any]) -> dict[str, Any] | None:
    carriers = [n for n, chunk in enumerate(chunks) if (chunk.model_extra or {}).get("router_metadata")]
    if not carriers:
        return None
    require(len(carriers) == 1, f"{len(carriers)} chunks of the stream contain router_metadata instead of one")
    # json.dumps writes a float of up to 15 digits exactly as the server sent it.
    return _object(json.dumps(chunks[carriers[0]].model_extra["router_metadata"]))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_float=Decimal)
    except ValueError:
        raise CheckError(f"the answer is not JSON: {text[:200]!r}. Set --url to an OpenAI-compatible server") from None
    require(isinstance(value, dict), f"the answer is JSON, but not an object: {text[:200]}. Check --url")
    return dict(value)


def _check_answer(answer: Answer, model: str) -> None:
    require(answer.model == model, f"the request names the model {model!r}, but the answer names {answer.model!r}")
    require(bool(answer.finish_reason), "the answer has no `finish_reason`")
    has_text = bool(answer.text) or answer.finish_reason in ("length", "tool_calls")
    require(has_text, f"the answer has no text, although its finish_reason is {answer.finish_reason!r}")


def _check_usage(usage: dict[str, Any] | None, messages: Messages) -> None:
    if usage is None:
        raise CheckError("the answer has no `usage`")
    prompt, completion, total = (usage.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    require(
        all(isinstance(count, int) for count in (prompt, completion, total)),
        f"usage: a token count is not a whole number: {prompt!r}, {completion!r}, {total!r}",
    )
    require(
        total >= prompt + completion,
        f"usage: total_tokens {total} is less than prompt_tokens + completion_tokens ({prompt} + {completion})",
    )
    sent = sum(len(message["content"]) for message in messages)
    require(
        prompt >= sent * MINIMUM_TOKENS_PER_CHARACTER,
        f"usage: {prompt} prompt_tokens are too few for the {sent} characters sent: parts of the request may be lost",
    )


def check_metadata(metadata: dict[str, Any] | None) -> None:
    """Raises CheckError if the metadata is missing, incomplete or invalid, or if its values contradict each other."""
    if metadata is None:
        raise CheckError("the answer has no `router_metadata`. Set --url to RL Router, not to a target")
    for name in ("model_used", "routing_strategy", "turns_used", "total_cost", "total_time", "call_history"):
        require(name in metadata, f"router_metadata lacks `{name}`")
    strategy = metadata["routing_strategy"]
    require(strategy in STRATEGIES, f"routing_strategy is {strategy!r}, not one of {', '.join(STRATEGIES)}")
    _check_sums(metadata)
    _check_selection(metadata)


def _check_sums(metadata: dict[str, Any]) -> None:
    total, router, targets = (
        exact(metadata.get(name), name) for name in ("total_cost", "router_cost", "target_models_cost")
    )
    require(
        total == router + targets,
        f"total_cost is {total:f}, but router_cost + target_models_cost is {router + targets:f}",
    )
    called = sum((exact(call.get("cost"), "call_history cost") for call in metadata["call_history"]), Decimal(0))
    require(called == targets, f"target_models_cost is {targets:f}, but call_history adds up to {called:f}")


def _check_selection(metadata: dict[str, Any]) -> None:
    selected = [call for call in metadata["call_history"] if call.get("selected")]
    if metadata["routing_strategy"] == "direct_response":
        require(not selected, "the strategy is direct_response, but call_history has a selected call")
        return
    require(len(selected) == 1, f"{len(selected)} entries of call_history are selected instead of one")
    chosen, used = selected[0].get("model_id"), metadata["model_used"]
    require(chosen == used, f"model_used is {used!r}, but the model of the selected call is {chosen!r}")


def exact(value: Any, name: str) -> Decimal:
    """Returns a cost as an exact Decimal. Raises CheckError if the cost is not an int or a Decimal."""
    require(isinstance(value, (int, Decimal)) and not isinstance(value, bool), f"{name} is {value!r}, not a number")
    return Decimal(value)


def require(condition: bool, message: str) -> None:
    """Raises CheckError with the message if the condition is false."""
    if not condition:
        raise CheckError(message)


def fetch(arguments: argparse.Namespace, path: str) -> str:
    """Returns the body that the server sends for a path outside `/v1`, such as `/health`.

    Raises CheckError if the server answers with an error status.
    """
    parts = urlsplit(arguments.url)
    url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}{path}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {arguments.api_key}"})
    try:
        with urllib.request.urlopen(request, timeout=arguments.timeout) as reply:
            return str(reply.read().decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        raise CheckError(f"GET {url} was answered with the status {error.code}. Check --url and --api-key") from None


def run(checks: dict[str, Callable[[], None]]) -> int:
    """Runs every check and prints the names of the failed checks.

    Returns the exit status, which is 1 if a check failed, otherwise 0. If the server cannot be reached or does not
    answer in time, the function raises the error and runs no further check.
    """
    failed = []
    for name, check in checks.items():
        print(f"\n{bold(name)}")
        try:
            check()
        except CheckError as error:
            failed.append(name)
            print(f"  {red('✗ ' + str(error))}")
        except openai.APIStatusError as error:
            failed.append(name)
            print(f"  {red(f'✗ status {error.status_code}: {error.message}')}")
        except openai.APIError as error:
            # If the server is not reachable, the run ends, because all checks would fail. An error in a stream fails
            # only this check.
            if isinstance(error, openai.APIConnectionError):
                raise
            failed.append(name)
            print(f"  {red(f'✗ {error.message}')}")
        else:
            print(f"  {green('✓ ok')}")
    print(f"\n{_verdict(len(checks), failed)}")
    return 1 if failed else 0


def _verdict(count: int, failed: list[str]) -> str:
    if failed:
        remedy = "Read the logs of the servers, and check that --url names the server that you want to test"
        return red(f"{len(failed)} of {count} checks failed: {', '.join(failed)}. {remedy}")
    return green("1 check passed" if count == 1 else f"all {count} checks passed")


def guarded(main: Callable[[], int], remedy: str, arguments: argparse.Namespace) -> int:
    """Runs the function `main` and returns the exit status that `main` returns.

    If `main` raises CheckError, or an error because the server does not answer or returns an error, the function prints
    one line and returns 1. If the reader of the output has closed the pipe, the function only returns 1. After Ctrl-C,
    the function returns 130.
    """
    try:
        return main()
    except BrokenPipeError:
        # The reader of the output closed the pipe. Without the new output, Python would report the broken pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (openai.APITimeoutError, TimeoutError):
        return _fail(
            f"no data from {arguments.url} for {arguments.timeout:g} s. "
            "Wait until the server is ready, or raise --timeout"
        )
    except (openai.APIConnectionError, urllib.error.URLError, ConnectionError) as error:
        cause = getattr(error, "reason", None) or error.__cause__ or error
        problem = f"no server answers at {arguments.url} ({cause})"
        return _fail(f"{problem}. Start the server with `{remedy}`, or correct --url")
    except openai.APIStatusError as error:
        problem = f"{arguments.url} answered with the status {error.status_code}: {error.message}"
        return _fail(f"{problem}. Check --url and --api-key, and read the server's log")
    except CheckError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 1


def show(answer: Answer) -> None:
    """Prints the answer, and how the answer was routed.

    Without router metadata, prints the model, the time and, if known, the number of completion tokens.
    """
    for line in answer.text.strip().splitlines() or ["(no text)"]:
        print(textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="  ", replace_whitespace=False))
    if answer.metadata:
        print(f"  {dim('→ ' + routing_line(answer.metadata))}")
    else:
        tokens = f" · {answer.usage['completion_tokens']} tokens" if answer.usage else ""
        print(f"  {dim(f'→ {answer.model} · {answer.seconds:.2f} s{tokens}')}")


def routing_line(metadata: dict[str, Any]) -> str:
    """Returns one line with the model, cost, time, calls and strategy of an answer."""
    calls = metadata["call_history"]
    called = ", ".join(f"{call['model_id']} ({call.get('status', '?')})" for call in calls) or "none"
    return " · ".join([
        str(metadata["model_used"]),
        f"${Decimal(str(metadata['total_cost'])):f}",
        f"{float(metadata['total_time']):.2f} s",
        f"{plural(len(calls), 'call')}: {called}",
        f"{metadata['routing_strategy']} after {plural(metadata['turns_used'], 'turn')}",
    ])  # fmt: skip


def show_values(values: Iterable[tuple[str, Any]]) -> None:
    """Prints each name with its value on a line, and objects and lists as indented JSON."""
    for name, value in values:
        if isinstance(value, (dict, list)):
            text = json.dumps(value, indent=2, default=str, ensure_ascii=False).replace("\n", "\n  ")
        else:
            text = str(value)
        print(f"  {bold(name)}  {text}")


def plural(count: int, noun: str) -> str:
    """Returns a count with its noun, such as `1 call` or `2 calls`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _paint(code: str, text: str) -> str:
    """Returns the text in the ANSI style `code`, or unchanged if stdout is not a terminal or NO_COLOR is set."""
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def bold(text: str) -> str:
    """Returns the text in bold, or the unchanged text if colors are disabled."""
    return _paint("1", text)


def dim(text: str) -> str:
    """Returns the text in a dim color, or the unchanged text if colors are disabled."""
    return _paint("2", text)


def red(text: str) -> str:
    """Returns the text in red, or the unchanged text if colors are disabled."""
    return _paint("31", text)


def green(text: str) -> str:
    """Returns the text in green, or the unchanged text if colors are disabled."""
    return _paint("32", text)
