"""Why something is not done, or not done yet: one enum, and what carries a reason."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from msgspec import Struct


class Reason(Enum):
    """A code that callers, logs and alerts may rely on. `docs/reasons.md` is generated from this list."""

    # The key and its versions
    NO_USABLE_VERSION = "no_usable_version"
    KEY_TYPE_NOT_ACCEPTED = "key_type_not_accepted"
    ONLY_OLDER_USABLE = "only_older_usable"
    VERSION_NOT_IN_VAULT = "version_not_in_vault"
    LATEST_UNUSABLE = "latest_unusable"
    KEY_NOT_FOUND = "key_not_found"
    KEY_BACKS_CERTIFICATE = "key_backs_certificate"
    KEY_ROTATED_RECENTLY = "key_rotated_recently"
    KEY_MOVED_ON = "key_moved_on"
    KEY_UNREADABLE = "key_unreadable"
    KEY_IS_IMPORTED = "key_is_imported"
    NEAR_EXPIRY = "near_expiry"
    EXPIRED = "expired"
    # The vault
    VAULT_NOT_KNOWN = "vault_not_known"
    MANAGED_HSM = "managed_hsm"
    VAULT_FORBIDDEN = "vault_forbidden"
    VAULT_UNREACHABLE = "vault_unreachable"
    VAULT_NOT_PROTECTED = "vault_not_protected"
    VAULT_CLOSED = "vault_closed"
    VAULT_WITHOUT_POLICIES = "vault_without_policies"
    VAULT_DELETED = "vault_deleted"
    VAULT_NAME = "vault_name"
    GROUP_NOT_FOUND = "group_not_found"
    LOCATION_NOT_OFFERED = "location_not_offered"
    KEY_DELETED = "key_deleted"
    PROVIDER_NOT_REGISTERED = "provider_not_registered"
    # What an audit of vaults finds
    VAULT_NOT_RBAC = "vault_not_rbac"
    VAULT_NOT_AUDITED = "vault_not_audited"
    VAULT_OPEN = "vault_open"
    KEY_TOO_SMALL = "key_too_small"
    KEY_TYPE_UNEXPECTED = "key_type_unexpected"
    KEY_NEVER_EXPIRES = "key_never_expires"
    KEY_NOT_ROTATED = "key_not_rotated"
    ACCESS_LOST = "access_lost"
    # Hard rules
    OWN_RESOURCE = "own_resource"
    MANAGED_BY_AZURE = "managed_by_azure"
    CROSS_TENANT = "cross_tenant"
    WRITES_OFF = "writes_off"
    OTHERS_AFFECTED = "others_affected"
    GRANTED_ELSEWHERE = "granted_elsewhere"
    # The policy
    OUTSIDE_POLICY = "outside_policy"
    REPORT_ONLY = "report_only"
    NOT_ALLOWED_BY_RULE = "not_allowed_by_rule"
    POLICY_UNREADABLE = "policy_unreadable"
    CONTRADICTS_RULE = "contradicts_rule"
    NOT_ENCRYPTED = "not_encrypted"
    KEY_TEMPLATE = "key_template"
    OWNED_BY_CODE = "owned_by_code"
    CHANGE_REFERENCE_MISSING = "change_reference_missing"
    TUG_OF_WAR = "tug_of_war"
    OTHER_REGION = "other_region"
    SUBSCRIPTION_UNREADABLE = "subscription_unreadable"
    # What a service cannot do
    CANNOT = "cannot"
    CHOSEN_AT_CREATION = "chosen_at_creation"
    NO_WAY_BACK = "no_way_back"
    SAME_VAULT_ONLY = "same_vault_only"
    SAME_REGION_ONLY = "same_region_only"
    RECREATE_ONLY = "recreate_only"
    NEVER_FOLLOWS = "never_follows"
    ALWAYS_FOLLOWS = "always_follows"
    VERSION_NOT_TAKEN = "version_not_taken"
    HOP_ONLY = "hop_only"
    CHANGES_MODE = "changes_mode"
    REQUEST_FORM = "request_form"
    NOT_CAPABLE = "not_capable"
    KEY_IS_AT_STORAGE = "key_is_at_storage"
    KEY_IS_AT_ENCRYPTION_SET = "key_is_at_encryption_set"
    KEY_IS_BELOW = "key_is_below"
    PARTNER_FIRST = "partner_first"
    SECRET_WITHHELD = "secret_withheld"  # noqa: S105  a reason, no secret
    SECRETS_NOT_REWRITTEN = "secrets_not_rewritten"
    # Azure's refusals
    KEY_ACCESS_DENIED = "key_access_denied"
    PRINCIPAL_NOT_FOUND = "principal_not_found"
    IDENTITY_NOT_FOUND = "identity_not_found"
    IDENTITY_NOT_TAKEN = "identity_not_taken"
    FIRST_PARTY_UNKNOWN = "first_party_unknown"
    GRANT_EXISTS = "grant_exists"
    NO_RIGHTS = "no_rights"
    SCOPE_LOCKED = "scope_locked"
    DENIED_BY_POLICY = "denied_by_policy"
    DENY_ASSIGNMENT = "deny_assignment"
    LINKED_AUTHORIZATION = "linked_authorization"
    QUOTA = "quota"
    REFUSED = "refused"
    PROVISIONING_FAILED = "provisioning_failed"
    FOREIGN_HOST = "foreign_host"
    # Waiting
    THROTTLED = "throttled"
    CONFLICT = "conflict"
    SERVICE_UNAVAILABLE = "service_unavailable"
    PROVISIONING = "provisioning"
    PROVIDER_REGISTERING = "provider_registering"
    OPERATION_GOING_ON = "operation_going_on"
    SWEEP_GOING_ON = "sweep_going_on"
    NOT_YET_IN_EFFECT = "not_yet_in_effect"
    HOPPING = "hopping"
    FOLLOWS_BY_ITSELF = "follows_by_itself"
    FOLLOW_OVERDUE = "follow_overdue"
    FOLLOW_FAILED = "follow_failed"
    EFFECT_NOT_TOLD = "effect_not_told"
    OTHERS_MOVE_IT = "others_move_it"
    WAVE_NOT_OPEN = "wave_not_open"
    WAVE_HELD = "wave_held"
    OUTSIDE_WINDOW = "outside_window"
    FROZEN = "frozen"
    # Requests and work
    MISCONFIGURED = "misconfigured"
    UNSUPPORTED_TYPE = "unsupported_type"
    BAD_REQUEST = "bad_request"
    POISONED = "poisoned"
    BUG = "bug"


class Blocked(Struct, frozen=True, tag=True):
    """Not done, and waiting will not help. `slot` names the key use concerned ("" for the whole resource)."""

    reason: Reason
    slot: str = ""
    detail: str = ""


class Waited(Struct, frozen=True):
    """What a piece of work has been waiting for, and since when: it travels with the work."""

    reason: Reason
    since: datetime


class Wait(Struct, frozen=True, tag=True):
    """Not done yet: look again at `again_at`; past `deadline` it is Blocked with the same reason."""

    reason: Reason
    since: datetime
    again_at: datetime
    deadline: datetime
    slot: str = ""
    detail: str = ""
