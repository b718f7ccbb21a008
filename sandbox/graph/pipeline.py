"""KQL's pipelines: a table and the operators behind it, each a function from rows to rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cmp_to_key, lru_cache, partial
from itertools import islice, pairwise
from typing import Final

from sandbox.graph.expressions import Reader, expression
from sandbox.graph.tokens import Token, invalid, tokens, unknown
from sandbox.graph.values import Row, Value, compared, text, truth

Step = Callable[[Iterable[Row]], Iterable[Row]]
Column = tuple[str, Value]

TABLES: Final = ("resources", "resourcecontainers")


@dataclass(frozen=True)
class Query:
    """A query, ready to run. `types` are the types in lower case that it can only find, () when it may find any."""

    table: str
    types: tuple[str, ...]
    steps: tuple[Step, ...]
    limited: bool  # it has take or limit: no paging then

    def run(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that come out."""
        for step in self.steps:
            rows = step(rows)
        return list(rows)


@lru_cache(maxsize=512)
def compiled(query: str) -> Query:
    """Make a query ready; raises Refused 400 for what is no KQL and 501 for KQL that the sandbox does not do."""
    found = tokens(query)
    reader = Reader(found)
    table = TABLES[0]
    if reader.at(*TABLES):
        table = reader.take().text.lower()
    elif reader.next.kind == "word" and reader.next.text.lower() not in _OPERATORS:
        raise unknown(f"table {reader.next.text}")
    elif reader.next.kind == "end":
        raise invalid("the query is empty")
    else:
        return _compiled(reader, table, [_step(reader)], found)
    return _compiled(reader, table, [], found)


def _compiled(reader: Reader, table: str, steps: list[Step], found: list[Token]) -> Query:
    while reader.skip("|"):
        steps.append(_step(reader))
    if reader.next.kind != "end":
        raise invalid(f"unexpected '{reader.next.text}' at position {reader.next.at}")
    operators = [after.text.lower() for before, after in pairwise(found) if before.text == "|"]
    return Query(table, _types(found), tuple(steps), not {"take", "limit"}.isdisjoint(operators))


def _types(found: list[Token]) -> tuple[str, ...]:
    """Return the type named by a first `| where type =~ '...'` (or ==) that nothing is joined to with `or`."""
    match [token.text.lower() for token in found]:
        case [_, "|", "where", "type", "=~" | "==", type_, *rest]:
            clause = rest[: rest.index("|")] if "|" in rest else rest
            return () if "or" in clause else (type_,)
        case _:
            return ()


def _step(reader: Reader) -> Step:
    token = reader.take()
    operator = _OPERATORS.get(token.text.lower())
    if operator is None:
        raise unknown(f"operator {token.text}")
    return operator(reader)


def _where(reader: Reader) -> Step:
    test = expression(reader)
    return lambda rows: (row for row in rows if truth(test(row)))


def _extend(reader: Reader) -> Step:
    columns: list[Column] = reader.listed(lambda: _column(reader))

    def step(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            longer = dict(row)
            for name, value in columns:
                longer[name] = value(longer)
            yield longer

    return step


def _project(reader: Reader) -> Step:
    columns: list[Column] = reader.listed(lambda: _column(reader))
    return lambda rows: ({name: value(row) for name, value in columns} for row in rows)


def _project_away(reader: Reader) -> Step:
    names = set(reader.listed(reader.name))
    return lambda rows: ({name: value for name, value in row.items() if name not in names} for row in rows)


def _distinct(reader: Reader) -> Step:
    columns: list[Column] = reader.listed(lambda: _column(reader))

    def step(rows: Iterable[Row]) -> Iterable[Row]:
        short = [{name: value(row) for name, value in columns} for row in rows]
        return {tuple(map(text, row.values())): row for row in short}.values()

    return step


def _order(reader: Reader) -> Step:
    if not reader.skip("by"):
        raise invalid(f"expected 'by' at position {reader.next.at}")

    def key() -> tuple[Value, bool]:
        value = expression(reader)
        ascending = reader.at("asc")  # KQL sorts downwards unless told otherwise
        reader.skip("asc", "desc")
        if reader.at("nulls"):
            raise unknown("nulls first, nulls last")
        return value, ascending

    keys: list[tuple[Value, bool]] = reader.listed(key)

    def step(rows: Iterable[Row]) -> Iterable[Row]:
        ordered = list(rows)
        for value, ascending in reversed(keys):
            ordered.sort(key=partial(_rank, value), reverse=not ascending)
        return ordered

    return step


_RANK = cmp_to_key(lambda left, right: compared(left, right) or 0)


def _rank(value: Value, row: Row) -> tuple[bool, object]:
    # Nulls come first upwards and last downwards.
    found = value(row)
    return (found is not None, _RANK("" if found is None else found))


def _take(reader: Reader) -> Step:
    token = reader.take()
    if token.kind != "number":
        raise invalid(f"expected a number at position {token.at}")
    return lambda rows: islice(rows, int(token.text))


def _count(_reader: Reader) -> Step:
    return lambda rows: [{"Count": sum(1 for _ in rows)}]


def _summarize(reader: Reader) -> Step:
    name = "count_"
    if reader.peek_assignment():
        name = reader.name()
        reader.expect("=")
    function = reader.take().text
    if function.lower() != "count":
        raise unknown(f"summarize {function}()")
    reader.expect("(")
    reader.expect(")")
    if reader.at(","):
        raise unknown("summarize with more than one aggregate")
    columns: list[Column] = reader.listed(lambda: _column(reader)) if reader.skip("by") else []

    def step(rows: Iterable[Row]) -> Iterable[Row]:
        groups: dict[tuple[str, ...], Row] = {} if columns else {(): {name: 0}}
        for row in rows:
            values = {column: value(row) for column, value in columns}
            group = groups.setdefault(tuple(map(text, values.values())), {**values, name: 0})
            group[name] += 1
        return groups.values()

    return step


def _column(reader: Reader) -> Column:
    """Read `name = expression`, or an expression that names its column itself."""
    if reader.peek_assignment():
        name = reader.name()
        reader.expect("=")
        return name, expression(reader)
    begin = reader.next
    return _name_of(reader, begin), expression(reader)


def _name_of(reader: Reader, begin: Token) -> str:
    # A path a.b.c is named a_b_c, a call by its argument's path; anything else would be Column1.
    probe = Reader(reader.rest())
    if begin.kind == "word" and probe.peek_call():
        probe.take()
        probe.expect("(")
    names = [probe.name()] if probe.next.kind == "word" else []
    while names and probe.at(".", "["):
        probe.skip(".")
        names.append(probe.name())
    return "_".join(names) or "Column1"


_OPERATORS: Final[dict[str, Callable[[Reader], Step]]] = {
    "where": _where,
    "filter": _where,
    "extend": _extend,
    "project": _project,
    "project-away": _project_away,
    "distinct": _distinct,
    "order": _order,
    "sort": _order,
    "take": _take,
    "limit": _take,
    "count": _count,
    "summarize": _summarize,
}
