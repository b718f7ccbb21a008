"""The webhook's settings. Its URL is a secret: whoever has it can write there; so nothing here ever repeats it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from shared.domain.notice import Form

WEBHOOK, FORM = "CMK_WEBHOOK", "CMK_WEBHOOK_FORM"


class Webhook(Struct, frozen=True):
    """Where messages for people go, and in which form. It shows its host and nothing more."""

    url: str
    form: Form
    host: str

    def __repr__(self) -> str:
        return f"Webhook({self.host!r}, {self.form.value!r})"


def webhook(environ: Mapping[str, str]) -> Webhook | None:
    """Return the webhook, or None where none is set. Raises ValueError with what is wrong, never with the value."""
    written = environ.get(WEBHOOK, "").strip()
    form = environ.get(FORM, "").strip().lower() or Form.GENERIC.value
    if form not in {one.value for one in Form}:
        raise ValueError(f"{FORM} is none of {', '.join(one.value for one in Form)}")
    if not written:
        return None
    if written.startswith("@Microsoft.KeyVault("):
        raise ValueError("the Key Vault reference was not resolved; the app's identity needs get on secrets there")
    try:
        parts = urlsplit(written)
        plain = parts.scheme == "https" and parts.port in {None, 443} and not parts.username and parts.hostname
    except ValueError:
        plain = False
    if not plain:
        raise ValueError("must be an https URL on port 443")  # not echoed: it is a secret
    return Webhook(written, Form(form), (parts.hostname or "").lower())
