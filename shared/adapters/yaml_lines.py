"""YAML to plain JSON values, remembering at which line each part stands."""

from __future__ import annotations

from typing import Any

import yaml

from shared.domain.policy import Policy
from shared.domain.policy_text import LONGEST, BadPolicy, Path, PolicyProblem, read_policy

_MOST_PARTS = 50_000  # of a document with its aliases followed: a small text can name a great many


def parse_policy(text: str) -> Policy:
    """Return the policy of a YAML text. Raises BadPolicy, each problem with its line."""
    document, lines = load(text)
    return read_policy(document, lines)


def load(text: str) -> tuple[Any, dict[Path, int]]:
    """Return the document and the line of each part, counted from 1. Raises BadPolicy."""
    if len(text.encode()) > LONGEST:
        raise BadPolicy([PolicyProblem(0, "policy", f"longer than {LONGEST // 1024} KiB")])
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Path, int] = {}
        if node is not None:
            _walk(node, (), lines)
            _check_scalars(loader, node)
        return (loader.construct_document(node) if node is not None else None), lines
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadPolicy([_problem(error)]) from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int]) -> None:
    if len(lines) > _MOST_PARTS:
        raise ValueError("too many parts")
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} is there twice", key.start_mark)
            seen.add(name)
            _walk(value, (*path, name), lines)
            lines[*path, name] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for at, value in enumerate(node.value):
            _walk(value, (*path, at), lines)


def _check_scalars(loader: yaml.SafeLoader, node: yaml.Node) -> None:
    """Read each value by itself: YAML tells nothing of the line of a date that is none."""
    nodes = [node]
    while nodes:
        one = nodes.pop()
        if isinstance(one, yaml.ScalarNode):
            try:
                loader.construct_object(one)
            except ValueError as error:
                what = f"{one.value[:50]!r}: {error}"
                raise yaml.constructor.ConstructorError(None, None, what, one.start_mark) from error
        elif isinstance(one, yaml.SequenceNode):
            nodes += one.value
        elif isinstance(one, yaml.MappingNode):
            nodes += [part for pair in one.value for part in pair]


def _problem(error: Exception) -> PolicyProblem:
    mark = getattr(error, "problem_mark", None)
    text = str(getattr(error, "problem", None) or error).partition("\n")[0][:200]
    return PolicyProblem(mark.line + 1 if mark else 0, "policy", text)
