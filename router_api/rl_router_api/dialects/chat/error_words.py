"""Reads the words of an upstream's error message about a quota and about the size of a request."""

from __future__ import annotations

import json
import re

from ...conversation import lenient

_LIMIT = (
    r"(?:(?:spend(?:ing)?|usage|billing|budget|credit) (?:hard )?(?:limit|cap)s?|"
    r"(?:usage|token|trial|messages) quota|(?:daily|weekly|monthly) (?:quota|budget)|allowance)"
    r"(?! (?:per|of the|for this) (?:second|minute))"
)
_QUOTA_WORDS = re.compile(
    r"balance (?:is )?(?:too low|insufficient|exhausted|empty|-\$?\d|\$?-\d|\$?0(?:\.0+)?(?!\.?\d))|"
    r"insufficient (?:account )?(?:balance|credits?|funds|quota)|exceeded your current (?:token )?quota|"
    r"(?:does not|doesn't) have (?:any|enough) credits|requires (?:more|at least [\d.]+) credits|"
    r"not enough (?:balance|credits?|funds|quota)|quota (?:is )?not enough|requires paid balance|"
    r"(?:quota|credits?|free tier[\w ]{0,20}|resource pack) (?:(?:has|have) been |is |are )?"
    r"(?:exhausted|depleted|used up)|"
    r"used up (?:all |your |the )[\w ]{0,30}(?:allocation|quota|credits)|credits? (?:have |has )?expired|"
    r"(?:run|ran) out of (?:balance|credits?|funds|quota)|(?:add|enter) a (?:valid )?payment method|"
    r"out of (?:call volume|bandwidth) quota|limited to [\d,]+ [\w ]{1,20}(?:/|per) ?month|"
    r"daily call limit [\w ]{0,20}reached|"
    r"budget has been exceeded! current cost|key limit exceeded \((?:total|daily|weekly|monthly) limit\)|"
    r"余额不足|额度不足|欠费|(?:额度|余额|余量|资源包)已?(?:经)?(?:用尽|用完|耗尽)|使用上限|"
    r"account is (?:in arrears|overdue|suspended)|payment required|"
    rf"(?:reach|exceed|exhaust|hit)(?:ed|ing|s)?(?: [\w'-]+){{0,5}} ({_LIMIT})|"
    rf"({_LIMIT}) (?:has |have )?(?:been |is |are |was )?(?:reached|exceeded|exhausted|hit)",
    re.I,
)
"""The pattern of the words in messages that report an exhausted quota. If the provider's own words stand beside the
name of a limit, the name is a group, because the message may quote this name from the request body."""
_SIZES = (
    r"\b(?:limit|maximum|max)\b\D{0,20}(?P<limit>\d[\d,]{0,20}).{0,40}?\brequested\b\D{0,20}(?P<size>\d[\d,]{0,20})",
    r"\brequested\b\D{0,20}(?P<size>\d[\d,]{0,20})\D{0,40}\b(?:limit|maximum|max|afford)\b\D{0,20}?(?P<limit>-?\d[\d,]{0,20})",
    r"\b(?:prompt|input|context)\b(?:(?!\bper\b)\D){0,60}(?P<size>\d[\d,]{0,20}) ?> ?(?P<limit>\d[\d,]{0,20})",
)
_SIZE_WORDS = [re.compile(pattern, re.I) for pattern in _SIZES]
"""The patterns of the words in messages that compare the number of tokens of a request with a limit. Examples are
`Limit 30000, Requested 41000`, `requested up to 65536 tokens, but can only afford 5312` and `Prompt tokens limit
exceeded: 230799 > 91442`."""


def mentions_quota(message: str, request: bytes) -> bool:
    """Returns whether a message has words about an exhausted quota that are not in the request body."""
    return own_words(_QUOTA_WORDS, message, request) is not None


def is_too_large(message: str) -> bool:
    """Returns whether a message says that a request has more tokens than a limit above 0.

    Waiting does not help such a request, but the upstream accepts smaller requests.
    """
    if "token" not in message.lower():
        return False
    matches = [match for pattern in _SIZE_WORDS if (match := pattern.search(message))]
    return any(0 < _number(match["limit"]) < _number(match["size"]) for match in matches)


def _number(digits: str) -> float:
    return float(digits.replace(",", ""))


def own_words(pattern: re.Pattern[str], message: str, request: bytes) -> str | None:
    """Returns the first words in a message that match the pattern, or None if no words match.

    The result is also None if the request body contains these words or, if the match has a group, only the group's
    words.
    """
    match = pattern.search(message)
    return match[0] if match and not _contains(request, match[match.lastindex or 0]) else None


def _contains(request: bytes, words: str) -> bool:
    """Returns whether a request body contains the words.

    Upper and lower case, JSON escapes, and characters other than letters and digits make no difference.
    """
    try:
        text = json.dumps(lenient.parse(request), ensure_ascii=False) if request else ""
    except (ValueError, RecursionError):
        text = request.decode(errors="replace")
    pattern = r"[\W_]+".join(re.findall(r"[^\W_]+", words.lower()))
    return re.search(pattern, text.lower()) is not None
