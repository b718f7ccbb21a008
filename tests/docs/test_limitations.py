"""docs/limitations.md: every reason it names is one that the app really gives, and every template is read as a key."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from shared.domain.reasons import Reason
from shared.domain.service import Traits, Verb
from shared.services.registry import service_for, services
from tools.docs.ground import traits_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "limitations.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not re.match(r"\| (---|the article)", line)]
PROSE = (
    "the app moves it",
    "what the app is for",
    "each is a resource of its own",
    "as above",
    "evidence",
    "told nowhere",
    "event starts the move",
)
TEMPLATES = dict(re.findall(r"^### (\S+)$.*?^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
DECIDED = (
    "shared/domain/plan",
    "shared/usecases",
    "shared/adapters",
    "shared/domain/keys.py",
    "shared/domain/key_template.py",
)


def by_traits() -> set[Reason]:
    """Return the reasons that a service's traits alone lead to."""
    every: list[Traits] = [own for service in services().values() for own in traits_of(service)]
    said = {one for own in every for one in (*own.can.values(), own.elsewhere) if isinstance(one, Reason)}
    return said | ({Reason.SAME_REGION_ONLY} if any(own.same_region for own in every) else set())


def by_code() -> set[Reason]:
    """Return the reasons that planning and asking Azure give, apart from those that only traits name."""
    files = [
        file
        for place in DECIDED
        for file in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    ]
    found: set[Reason] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason":
                found |= {Reason[node.attr]} if node.attr in Reason.__members__ else set()
    return found


def named(text: str) -> set[str]:
    return set(re.findall(r"\(reasons\.md#(\w+)\)", text))


@pytest.mark.parametrize("row", ROWS)
def test_every_limit_has_a_reason_that_the_app_gives_or_says_in_words_what_it_does(row: str) -> None:
    _, limit, app, *_ = row.split("|")
    codes = named(app)
    assert codes or any(words in app for words in PROSE), limit
    reachable = {one.value for one in by_traits() | by_code()}
    assert codes <= reachable, codes - reachable


def test_each_reason_of_a_service_that_cannot_is_explained_here_or_among_the_services() -> None:
    """What traits say no with has a link in services.md, and those that the articles tell of stand here too."""
    page = (ROOT / "docs" / "services.md").read_text("utf-8")
    assert {one.value for one in by_traits()} <= named(page) | named(PAGE)
    assert len(named(PAGE)) > 20


@pytest.mark.parametrize("type_", sorted(TEMPLATES))
def test_a_template_of_what_to_create_is_read_as_a_resource_on_the_key(type_: str) -> None:
    service = service_for(type_)
    assert service is not None
    (use,) = service.read(json.loads(TEMPLATES[type_]))
    assert use.configured.key.url == "https://keyvault.vault.azure.net/keys/key"


def test_every_type_whose_key_is_chosen_at_creation_has_a_template() -> None:
    never = {Reason.CHOSEN_AT_CREATION, Reason.RECREATE_ONLY}
    wanted = {one.type for one in services().values() if one.traits.ability(Verb.ENABLE) in never}
    searched = {one for one in wanted if one.startswith("Microsoft.Search/") and not one.endswith("/indexes")}
    assert wanted - searched == set(TEMPLATES)
    assert len(searched) == 4
