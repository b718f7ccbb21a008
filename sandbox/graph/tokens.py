"""KQL's words: what a query's text consists of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sandbox.wire import Refused

_TOKENS: Final = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*)
    | (?P<string>@'[^']*'|@"[^"]*"|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<word>[!]?[A-Za-z_$][A-Za-z0-9_]*~?(?:-(?=away\b|rename\b|keep\b|reorder\b|expand\b|where\b)[a-z]+)?)
    | (?P<sign>==|=~|!=|!~|<=|>=|<>|[|(),.\[\]=<>+*/%-])
    """,
    re.VERBOSE,
)
_ESCAPES: Final = re.compile(r"\\(.)")
_NAMED: Final = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True)
class Token:
    """A word, string (without its quotes), number or sign, and where it begins."""

    kind: str  # word | string | number | sign | end
    text: str
    at: int


def tokens(query: str) -> list[Token]:
    """Return the words of a query, an "end" behind the last; raises Refused 400 for what is no word of KQL."""
    found: list[Token] = []
    at = 0
    while at < len(query):
        match = _TOKENS.match(query, at)
        if match is None or match.lastgroup is None:
            raise invalid(f"unexpected character '{query[at]}' at position {at}")
        if match.lastgroup != "space":
            text = _string(match[0]) if match.lastgroup == "string" else match[0]
            found.append(Token(match.lastgroup, text, at))
        at = match.end()
    found.append(Token("end", "", at))
    return found


def invalid(message: str) -> Refused:
    """Return Resource Graph's refusal of a query that is no KQL."""
    return Refused(400, "BadRequest", f"InvalidQuery: Query is invalid. Please refer to the documentation: {message}.")


def unknown(what: str) -> Refused:
    """Return the sandbox's refusal of KQL that Azure knows and the sandbox does not."""
    return Refused(501, "NotInSandbox", f"The sandbox's Resource Graph does not do this part of KQL: {what}")


def _string(text: str) -> str:
    if text[0] == "@":
        return text[2:-1]
    return _ESCAPES.sub(lambda match: _NAMED.get(match[1], match[1]), text[1:-1])
