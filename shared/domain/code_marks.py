"""Resources that infrastructure code owns, as their tags tell: what is changed there by hand, the code sets back."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType

# Clear marks only. Teams write ManagedBy, managed-by or managed_by and the tool's name [freundcloud.com azure-tags:
# "ManagedBy | terraform, bicep"]; Crossplane, which sets back whatever differs, marks what it made by tags of its own
# [docs.crossplane.io getting-started; crossplane-runtime GetExternalTags].
TOOLS = ("*terraform*", "*opentofu*", "*bicep*", "*pulumi*", "*crossplane*")
DEFAULT_MARKS: Mapping[str, tuple[str, ...]] = MappingProxyType({"managed-by": TOOLS, "crossplane-name": ("*",)})


def mark_of(tags: Mapping[str, str], marks: Mapping[str, tuple[str, ...]]) -> str:
    """Return the tag by which code owns a resource, as "name=value"; "" if none says so.

    Names are the same whatever their case, hyphens and underscores.
    """
    wanted = {_plain(name): patterns for name, patterns in marks.items()}
    for name, value in sorted(tags.items()):
        patterns = wanted.get(_plain(name), ())
        if any(fnmatchcase(value.lower(), pattern.lower()) for pattern in patterns):
            return f"{name}={value}"
    return ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
