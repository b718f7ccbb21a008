"""The key that a rule names: a key identifier with places that each resource fills in."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from shared.domain.keys import BadKeyUrl, KeyId, parse_key_url
from shared.domain.new_vault import fits
from shared.domain.policy import Site
from shared.domain.reasons import Blocked, Reason
from shared.domain.vault import plain_location

_PLACE = re.compile(r"\{([^{}]*)\}")
_PLAIN = re.compile(r"[A-Za-z0-9-]+")  # nothing that a resource says may lead to another host or path
_NAMES = ("location", "subscription", "service")
_TAG = "tag:"


def problem_of(template: str) -> str:
    """Return what is wrong with a template, "" when nothing is."""
    for name in _PLACE.findall(template):
        if name not in _NAMES and not (name.startswith(_TAG) and name.removeprefix(_TAG).strip()):
            return f"{{{name}}} is none of {{location}}, {{subscription}}, {{service}} and {{tag:NAME}}"
    try:
        found = parse_key_url(_PLACE.sub("x", template))
    except BadKeyUrl:
        return "must be a key identifier such as https://VAULT.vault.azure.net/keys/NAME"
    return "must name no version: resources begin with the newest" if found.version else ""


def vault_problem_of(template: str) -> str:
    """Return why no vault could be called as a template says, whatever is filled in; "" when one could."""
    name = template.partition("://")[2].partition(".")[0]
    fixed = _PLACE.sub("x", name)
    return "" if fits(fixed) or (_PLACE.search(name) and fits(f"{fixed}xx")) else f"no vault can be called {name!r}"


def key_of(template: str, site: Site) -> KeyId | Blocked:
    """Return the key that a template names for a resource."""
    wrong: list[str] = []

    def filled(place: re.Match[str]) -> str:
        value = _value(place[1], site)
        if not _PLAIN.fullmatch(value):
            wrong.append(f"{place[0]} is {value[:60]!r}")
        return value

    url = _PLACE.sub(filled, template)
    try:
        return Blocked(Reason.KEY_TEMPLATE, detail="; ".join(wrong)) if wrong else parse_key_url(url).key
    except BadKeyUrl as error:
        return Blocked(Reason.KEY_TEMPLATE, detail=str(error))


def could_name(template: str, key: KeyId) -> bool:
    """Return whether a template names the key for any resource."""
    return fnmatchcase(key.url, _PLACE.sub("*", template).rstrip("/").lower())  # beside places it is a plain identifier


def _value(name: str, site: Site) -> str:
    if name.startswith(_TAG):
        wanted = name.removeprefix(_TAG).strip().lower()
        return next((value.strip() for tag, value in site.tags.items() if tag.lower() == wanted), "")
    service = site.type.partition("/")[0].rpartition(".")[2].lower()
    return {"location": plain_location(site.location), "subscription": site.subscription, "service": service}[name]
