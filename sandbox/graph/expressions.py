"""KQL's expressions: from words to functions of a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sandbox.graph.tokens import Token, invalid, unknown
from sandbox.graph.values import FUNCTIONS, LISTS, TESTS, Row, Value, member, same_folded, text, truth

_CONSTANTS: Final = {"true": True, "false": False, "null": None}


class Reader:
    """Reads words one after the other. What KQL forbids raises Refused 400, what the sandbox lacks Refused 501."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0

    @property
    def next(self) -> Token:
        """The word that comes next."""
        return self._tokens[self._at]

    def take(self) -> Token:
        """Read one word."""
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def at(self, *texts: str) -> bool:
        """Return whether one of these signs or words comes next (words in lower case)."""
        return self.next.kind in {"sign", "word"} and self.next.text.lower() in texts

    def skip(self, *texts: str) -> bool:
        """Read one of these signs or words when it comes next."""
        found = self.at(*texts)
        if found:
            self.take()
        return found

    def expect(self, sign: str) -> None:
        """Read this sign; anything else raises Refused 400."""
        if not self.skip(sign):
            raise invalid(f"expected '{sign}' at position {self.next.at}, found '{self.next.text}'")

    def name(self) -> str:
        """Read a name, plain or as ['...']."""
        if self.skip("["):
            token = self.take()
            self.expect("]")
        else:
            token = self.take()
        if token.kind not in {"word", "string"}:
            raise invalid(f"expected a name at position {token.at}, found '{token.text}'")
        return token.text

    def peek_assignment(self) -> bool:
        """Return whether `name =` comes next."""
        return self.next.kind == "word" and self._tokens[min(self._at + 1, len(self._tokens) - 1)].text == "="

    def peek_call(self) -> bool:
        """Return whether `name(` comes next."""
        return self.next.kind == "word" and self._tokens[min(self._at + 1, len(self._tokens) - 1)].text == "("

    def rest(self) -> list[Token]:
        """Return the words that are still to come."""
        return self._tokens[self._at :]

    def listed(self, read: Callable[[], Any]) -> list[Any]:
        """Read what `read` reads, separated by commas."""
        found = [read()]
        while self.skip(","):
            found.append(read())
        return found


def expression(reader: Reader) -> Value:
    """Read a whole expression: or, then and, then comparisons."""
    parts = [_conjunction(reader)]
    while reader.skip("or"):
        parts.append(_conjunction(reader))
    return parts[0] if len(parts) == 1 else lambda row: any(truth(part(row)) for part in parts)


def _conjunction(reader: Reader) -> Value:
    parts = [_comparison(reader)]
    while reader.skip("and"):
        parts.append(_comparison(reader))
    return parts[0] if len(parts) == 1 else lambda row: all(truth(part(row)) for part in parts)


def _comparison(reader: Reader) -> Value:
    left = path(reader)
    if reader.at(*TESTS):
        sign = reader.take().text.lower()
        right = path(reader)
        found = _constant(right)
        if sign == "=~" and isinstance(found, str):  # by far the most frequent one
            folded = found.lower()
            return lambda row: text(left(row)).lower() == folded
        test = TESTS[sign]
        return lambda row: test(left(row), right(row))
    if reader.at(*LISTS):
        test, negated = LISTS[reader.take().text.lower()]
        reader.expect("(")
        entries: list[Value] = reader.listed(lambda: expression(reader))
        reader.expect(")")
        return _membership(left, entries, folded=test is same_folded, negated=negated)
    if reader.next.kind == "word" and not reader.at("and", "or", "by", "asc", "desc", "nulls"):
        raise unknown(f"operator {reader.next.text}")
    if reader.at("+", "-", "*", "/", "%"):
        raise unknown(f"operator {reader.next.text}")
    return left


def _membership(left: Value, entries: list[Value], *, folded: bool, negated: bool) -> Value:
    constants = [_constant(entry) for entry in entries]
    if all(isinstance(one, str) for one in constants):
        wanted = {one.lower() if folded else one for one in constants}
        if folded:
            return lambda row: (text(left(row)).lower() in wanted) is not negated
        return lambda row: (text(left(row)) in wanted) is not negated
    test = LISTS["in~" if folded else "in"][0]
    return lambda row: any(test(left(row), entry(row)) for entry in entries) is not negated


def path(reader: Reader) -> Value:
    """Read a value and the members it is asked for: name, name.member, name['member'], name[0]."""
    value = _primary(reader)
    while reader.at(".", "["):
        if reader.skip("."):
            value = _member(value, reader.name())
            continue
        reader.expect("[")
        negative = reader.skip("-")
        token = reader.take()
        reader.expect("]")
        if token.kind == "number":
            value = _member(value, -int(token.text) if negative else int(token.text))
        elif token.kind == "string":
            value = _member(value, token.text)
        else:
            raise unknown(f"index {token.text}")
    return value


def _member(value: Value, name: str | int) -> Value:
    return lambda row: member(value(row), name)


class _Constant:
    """A literal."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, _row: Row) -> Any:
        return self.value


def _constant(value: Value) -> Any:
    """Return a literal's value; None for what is no literal."""
    return value.value if isinstance(value, _Constant) else None


def _primary(reader: Reader) -> Value:
    token = reader.take()
    if token.kind == "string":
        return _Constant(token.text)
    if token.kind == "number":
        return _Constant(float(token.text) if "." in token.text else int(token.text))
    if token.text == "(":
        value = expression(reader)
        reader.expect(")")
        return value
    if token.kind != "word":
        raise invalid(f"unexpected '{token.text or 'end of query'}' at position {token.at}")
    if token.text in _CONSTANTS:
        return _Constant(_CONSTANTS[token.text])
    if reader.at("("):
        return _call(reader, token.text)
    name = token.text
    return lambda row: row.get(name)


def _call(reader: Reader, name: str) -> Value:
    if name not in FUNCTIONS:
        raise unknown(f"function {name}()")
    least, most, function = FUNCTIONS[name]
    reader.expect("(")
    args: list[Value] = [] if reader.at(")") else reader.listed(lambda: expression(reader))
    reader.expect(")")
    if not least <= len(args) <= most:
        raise invalid(f"{name}() takes {least} to {most} arguments, not {len(args)}")
    if len(args) == 1:
        only = args[0]
        return lambda row: function([only(row)])
    return lambda row: function([arg(row) for arg in args])
