"""The safety rules of vaults and their keys."""

from __future__ import annotations

from tools.mutants.rule import Rule

_KEYS = "shared/adapters/keys.py"
_SEARCH_OBJECTS = "shared/adapters/search_objects.py"
_VAULTS = "shared/adapters/vaults.py"
CLOSED_VAULTS = "tests/usecases/test_closed_vaults.py"
SERVICE_SEARCH = "tests/usecases/test_service_search.py"
VAULTS = "tests/adapters/test_vaults.py"
VAULT_KEYS = "tests/adapters/test_vault_keys.py"

RULES = (
    Rule(
        "a vault must be known",
        _VAULTS,
        "return None if vault_id is None else await self._confirm(host, vault_id)",
        "return VaultSite(host, vault_id or '')",
        "tests/usecases/test_rotation_rules.py",
    ),
    Rule(
        "a rotation looks and makes under one lock",
        _KEYS,
        "if known.latest != if_latest_is:",
        "if False:",
        "tests/usecases/test_other_hands.py",
    ),
    Rule(
        "a key made anew is not the one that was read",
        _KEYS,
        "return replace(shown, unasked=None) if same else shown",
        "return replace(shown, unasked=None)",
        CLOSED_VAULTS,
    ),
    Rule("a lack of rights is no firewall", _KEYS, "if not _is_closed(said):", "if False:", CLOSED_VAULTS),
    Rule(
        "a version of another key is none of this one's",
        _KEYS,
        "if parse_key_url(str(found.id)).key != key:",
        "if False:",
        VAULT_KEYS,
    ),
    Rule(
        "nor is one that Resource Manager tells of",
        "shared/adapters/keys_arm.py",
        "if ref.key != key or ref.version is None:",
        "if ref.version is None:",
        VAULT_KEYS,
    ),
    Rule(
        "what a version may be used for is read anew when it was changed",
        _KEYS,
        "if known is not None and known.updated != found.updated_on:",
        "if False:",
        VAULT_KEYS,
    ),
    Rule(
        "a certificate's key gets no version, whoever asks",
        _KEYS,
        "if known.backs_certificate:",
        "if False:",
        VAULT_KEYS,
    ),
    Rule(
        "the index alone makes no vault known",
        _VAULTS,
        "return _host(vault.properties.vault_uri) == host",
        "return True",
        VAULTS,
    ),
    Rule(
        "a vault of another host lends its settings to none",
        _VAULTS,
        "return found if found is not None and found.host == host else None",
        "return found",
        VAULTS,
    ),
    Rule(
        "no setting makes a host outside the cloud a vault",
        _VAULTS,
        "if not host.endswith(self._connection.cloud.vault_suffix):",
        "if False:",
        VAULTS,
    ),
    Rule(
        "a search service is where Resource Manager shows it",
        _SEARCH_OBJECTS,
        "checked(await self._arm.read(service.url, _SERVICE_API), service)",
        "pass",
        SERVICE_SEARCH,
    ),
    Rule(
        "nothing else passes for a search service",
        _SEARCH_OBJECTS,
        "if service.type.lower() != _SERVICE:",
        "if False:",
        SERVICE_SEARCH,
    ),
    Rule(
        "a vault's host is plain", "shared/domain/keys.py", "253 and text.isascii()", "253", "tests/domain/test_keys.py"
    ),
)
