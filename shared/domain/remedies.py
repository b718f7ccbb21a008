"""What a person can do about each reason, in plain words."""

from __future__ import annotations

from shared.domain.reasons import Reason

REMEDIES = {
    Reason.NO_USABLE_VERSION: "Enable a version of the key that is valid now, or make a new version.",
    Reason.KEY_TYPE_NOT_ACCEPTED: (
        "Make a version of a type and size that the service accepts (docs/services.md), with wrapKey and unwrapKey."
    ),
    Reason.ONLY_OLDER_USABLE: (
        "The version in use cannot be used any more and only older ones can. Enable it, or make a new "
        "version; the app never goes back by itself."
    ),
    Reason.VERSION_NOT_IN_VAULT: (
        "The resource names a key version that its vault does not hold. Restore the key from backup, or re-"
        "create the resource's encryption by hand."
    ),
    Reason.LATEST_UNUSABLE: (
        "The resource follows what the vault calls latest, and that version is disabled, expired, not yet "
        "valid or of a wrong type. Enable it or make a new version."
    ),
    Reason.KEY_NOT_FOUND: (
        "The vault holds no such key. Recover it if it was deleted, or correct the resource's key identifier."
    ),
    Reason.KEY_BACKS_CERTIFICATE: (
        "The key belongs to a certificate and is renewed with it. Use a key of its own for encryption at rest."
    ),
    Reason.KEY_ROTATED_RECENTLY: (
        "The newest version is younger than a day, so no other one was made. Rotate in Key Vault if you need "
        "one at once."
    ),
    Reason.KEY_MOVED_ON: (
        "The key got another version since you asked. Look at its versions and ask again if you still need one."
    ),
    Reason.KEY_UNREADABLE: (
        "The resource names its key in a form the app cannot read. Look at it by hand and report the form."
    ),
    Reason.VAULT_NOT_KNOWN: (
        "The app talks only to vaults that it finds in its subscriptions or that CMK_VAULTS names. Give it "
        "Reader on the vault, or add the vault's host name."
    ),
    Reason.MANAGED_HSM: "The key lives in a Managed HSM, which the app does not handle yet. Move the resource by hand.",
    Reason.VAULT_FORBIDDEN: (
        "Give the app's identity get and list on keys (Key Vault Reader, or an access policy) and let it "
        "through the vault's firewall."
    ),
    Reason.VAULT_UNREACHABLE: (
        "The vault does not answer. Check that it exists, its name resolves and its firewall lets the app through."
    ),
    Reason.VAULT_NOT_PROTECTED: (
        "Turn on soft delete and purge protection on the vault; the service refuses its keys until then. "
        "Purge protection cannot be turned off again."
    ),
    Reason.VAULT_CLOSED: (
        "The vault's firewall lets no trusted services through, so none can use its keys. Allow them on the vault."
    ),
    Reason.VAULT_NOT_RBAC: (
        "Access policies decide who may use the vault's keys, and the policy expects roles. Assign the roles first and "
        "then set enableRbacAuthorization: what only access policies grant ends at that moment."
    ),
    Reason.VAULT_NOT_AUDITED: (
        "Nobody keeps who used the vault's keys. Add a diagnostic setting with the category AuditEvent, or with the "
        "group audit or allLogs."
    ),
    Reason.VAULT_OPEN: (
        "The vault answers to networks that the policy does not expect. Close its firewall, and let trusted services "
        "through, or the services lose its keys."
    ),
    Reason.KEY_TOO_SMALL: "Make a version with more bits, or a new key; NIST advises 3,072 and more from 2031 on.",
    Reason.KEY_TYPE_UNEXPECTED: "Make a key of an expected type and let its users move to it (POST use-key).",
    Reason.KEY_NEVER_EXPIRES: "Set an expiry on the key, and a rotation policy that comes before it.",
    Reason.KEY_NOT_ROTATED: "Give the key a rotation policy with a Rotate action. Until then POST rotate rotates it.",
    Reason.NEAR_EXPIRY: (
        "The key's newest version ends soon, and its users with it. Make a new version, or say `nearExpiry: rotate` in "
        "the rules of all that use the key."
    ),
    Reason.EXPIRED: (
        "The key's newest version has ended: who uses it cannot wrap with it any more. Make a new version now, and its "
        "users move there."
    ),
    Reason.ACCESS_LOST: (
        "The resource's identity may no longer use its key, so its data is soon out of reach. Grant it Key Vault "
        "Crypto Service Encryption User again (or get, wrapKey, unwrapKey), or say `accessLost: restore` with `may: "
        "[grant]`; if that was meant, nothing is to be done. Where the detail names an identity that is not there any "
        "more, give the resource another one and name that for the key: the grants of a deleted one stay, for nobody."
    ),
    Reason.KEY_IS_IMPORTED: (
        "A rule says that this key's material comes from elsewhere (`origin: imported`). Import the new version; the "
        "app moves its users there."
    ),
    Reason.NOT_ENCRYPTED: (
        "The resource stands on the platform's key. Say `encryption: fix` in its rule, or name a key with POST use-key."
    ),
    Reason.KEY_TEMPLATE: (
        "The rule's `key` cannot be filled in for this resource. Give it the tag that the rule asks for, of letters, "
        "digits and hyphens, or name its key in a rule of its own."
    ),
    Reason.OWNED_BY_CODE: (
        "Its tags say that infrastructure code owns it, which would set the change back. Let the code name the key "
        "without a version or the new one, or say `ownedByCode: fix` in the rule."
    ),
    Reason.CHANGE_REFERENCE_MISSING: (
        "The rule asks for a change reference. POST converge with the key or the resource and `change`."
    ),
    Reason.TUG_OF_WAR: (
        "Somebody sets back what the app sets, again and again. Find who (the resource's activity log, most often "
        "infrastructure code) and agree on one; POST converge with the resource sets it once more."
    ),
    Reason.OTHER_REGION: (
        "The rule asks for keys of the resource's own region. Name a vault there, for example with `{location}`."
    ),
    Reason.PRINCIPAL_NOT_FOUND: "The resource's identity is not known everywhere yet; the work goes on by itself.",
    Reason.IDENTITY_NOT_FOUND: (
        "The identity that the rule names is not there, or the app may not read it. Make it, or correct the rule."
    ),
    Reason.IDENTITY_NOT_TAKEN: (
        "This type of resource cannot reach its key by the identity that the rule or the caller names; the detail "
        "says why. Name another one, in a rule for this type, or give the resource the identity by hand."
    ),
    Reason.FIRST_PARTY_UNKNOWN: (
        "An application of Azure's own reaches the key here, and its object id differs from tenant to tenant. Look it "
        "up (az ad sp show --id APPLICATION --query id) and name it in CMK_FIRST_PARTY."
    ),
    Reason.VAULT_WITHOUT_POLICIES: (
        "The service takes keys only of vaults with access policies, and in this one roles decide. Name another vault "
        "in a rule for this type."
    ),
    Reason.VAULT_DELETED: (
        "The vault was deleted: data on its keys is out of reach soon, and no other vault can have its name. Recover "
        "it before its retention is over: `az keyvault recover --name VAULT`. Where a rule begins with its key, "
        "`may: [recover]` does it."
    ),
    Reason.VAULT_NAME: (
        "No vault can have this name: it is none of 3 to 24 letters, digits and hyphens, or somebody anywhere in Azure "
        "has it. Change the rule's `key`."
    ),
    Reason.GROUP_NOT_FOUND: (
        "A vault would be made in a resource group that is not there. Make the group (az group create), or name "
        "another one in the rule's `createVault`; nothing was begun."
    ),
    Reason.LOCATION_NOT_OFFERED: (
        "The vault's subscription can have no vaults in the resource's region. Name a `subscription` in `createVault` "
        "that can, or a vault that is there in `key`; nothing was begun."
    ),
    Reason.KEY_DELETED: (
        "The key was deleted and can be recovered until its retention is over; no other can have its name. Recover it, "
        "or say `may: [recover]` in the rule."
    ),
    Reason.PROVIDER_NOT_REGISTERED: (
        "A subscription does not know a resource provider that this takes. Register it: az provider register "
        "--namespace NAMESPACE --subscription SUBSCRIPTION. The app does that only where a rule says "
        "`may: [register-provider]`."
    ),
    Reason.PROVIDER_REGISTERING: (
        "A subscription is being made to know a resource provider. The work waits; az provider show --namespace "
        "NAMESPACE tells how it stands."
    ),
    Reason.GRANT_EXISTS: "The identity holds this role already.",
    Reason.OWN_RESOURCE: "This belongs to the app itself, which never changes what it stands on. Change it by hand.",
    Reason.MANAGED_BY_AZURE: "Another Azure resource owns this one. Change the key at the owner.",
    Reason.CROSS_TENANT: "The key lives in another tenant. Change it by hand; the app only lists it.",
    Reason.WRITES_OFF: (
        "Writing is switched off (CMK_WRITES, or `writes` in the policy). The work waits until it is on again."
    ),
    Reason.OTHERS_AFFECTED: (
        "Other resources reach their keys by the same identity and would lose them too. Look at the dry run and say in "
        "alsoAffects how many, or give the resource an identity of its own first."
    ),
    Reason.GRANTED_ELSEWHERE: (
        "The key may be used by a grant that is not the identity's own at the vault: one above the vault, a group's, "
        "or that of an application of Azure's own. The app takes none of those away; do it where the detail says."
    ),
    Reason.KEY_ACCESS_DENIED: (
        "The resource's identity may not wrap with the key, or its grant has not spread yet. Grant it Key "
        "Vault Crypto Service Encryption User (or get, wrapKey, unwrapKey)."
    ),
    Reason.OUTSIDE_POLICY: "No rule of the policy is meant for this resource. Add one, or let the last rule take all.",
    Reason.REPORT_ONLY: "The rule for this resource says report. Say `rotation: fix` there, or change it by hand.",
    Reason.NOT_ALLOWED_BY_RULE: (
        "The change takes something that the resource's rule does not allow. Add the word to the rule's `may`."
    ),
    Reason.POLICY_UNREADABLE: (
        "The policy cannot be read, so nothing is written. GET health and `cmkctl policy check` name the line."
    ),
    Reason.CONTRADICTS_RULE: "A rule says otherwise, and the next sweep would undo it. Change the rule first.",
    Reason.SUBSCRIPTION_UNREADABLE: (
        "The policy expects this subscription and the app cannot read it. Give the app's identity Reader there."
    ),
    Reason.CANNOT: "The service offers no way to do this; docs/services.md says what is known.",
    Reason.CHOSEN_AT_CREATION: (
        "This is chosen when the resource is made and never changes. Make a new one and move; docs/limitations.md has "
        "what goes into its template."
    ),
    Reason.NO_WAY_BACK: "The service does not go back to Microsoft's key once a key of yours is in use.",
    Reason.SAME_VAULT_ONLY: "The service only takes another key of the same vault. Make the key there.",
    Reason.SAME_REGION_ONLY: "The service only takes keys of its own region. Use a vault there.",
    Reason.RECREATE_ONLY: (
        "The service knows no change of its key. Delete the resource and make it anew with the new version, at a time "
        "that suits; the app does not do that by itself."
    ),
    Reason.NEVER_FOLLOWS: "The service takes up no new versions by itself; leave it pinned and let the app move it.",
    Reason.ALWAYS_FOLLOWS: "The service always takes up the newest version by itself and cannot be held at one.",
    Reason.VERSION_NOT_TAKEN: (
        "The service takes keys without a version only, and this resource names one, so nobody knows that it follows. "
        "A rule with `version: follow`, or POST use-key with `version: follow`, takes the version away."
    ),
    Reason.HOP_ONLY: (
        "The service takes up a new version only by moving to another key and back, 15 to 30 minutes apart. POST "
        "use-key with `through`, a temporary key, does it where the rule says `may: [hop]`. Keep the old version "
        "enabled throughout."
    ),
    Reason.CHANGES_MODE: (
        "This would change how the service encrypts, and not only which key it uses. Do it by hand; docs/services.md "
        "says more."
    ),
    Reason.REQUEST_FORM: (
        "Azure enables customer-managed keys for this kind only on request (aka.ms/cogsvc-cmk). Ask for it first."
    ),
    Reason.NOT_CAPABLE: (
        "As it is, this resource takes no key of yours, and nothing was begun. Change what the detail names, such as "
        "its tier, where the service lets you; else make a new one and move, or leave it to the platform's key by a "
        "rule."
    ),
    Reason.KEY_IS_AT_STORAGE: "This kind keeps its data in a storage account of yours. Change the key there.",
    Reason.KEY_IS_AT_ENCRYPTION_SET: (
        "A disk encryption set holds the key. Change it there; all its disks follow. A disk on the platform's key is "
        "given a set while it is unattached or its machine is deallocated."
    ),
    Reason.KEY_IS_BELOW: (
        "What lies below the resource names the key: a SQL server's encryption protector "
        "(`.../encryptionProtector/current`), each object of a search service. Name that one instead."
    ),
    Reason.PARTNER_FIRST: (
        "A server that this one replicates to does not hold the key yet. It gets it first; the app comes back."
    ),
    Reason.SECRET_WITHHELD: (
        "Sending the whole object back needs a secret that the service does not give out. Change the key by hand."
    ),
    Reason.SECRETS_NOT_REWRITTEN: (
        "The cluster was moved and its Secrets may still need the older key; a further move could leave it stuck. "
        "Rewrite every Secret, then remove the tag that the detail names."
    ),
    Reason.NO_RIGHTS: "Give the app's identity the role that docs/services.md names for this type of resource.",
    Reason.SCOPE_LOCKED: "A lock forbids the change. Remove the lock for the time of the change.",
    Reason.DENIED_BY_POLICY: "An Azure Policy assignment denies the change. Exempt the resource or correct the policy.",
    Reason.DENY_ASSIGNMENT: (
        "A deny assignment forbids the change. Its owner (a managed application or blueprint) must make it."
    ),
    Reason.LINKED_AUTHORIZATION: (
        "The app lacks rights on something the resource refers to, such as its identity. Grant Managed "
        "Identity Operator there."
    ),
    Reason.QUOTA: "A quota or limit is used up. Raise it or free some of it.",
    Reason.REFUSED: "Azure refused what was asked of it, a look or a change; its code and message are in the report.",
    Reason.PROVISIONING_FAILED: "The resource is in a failed state, or stopped. Repair or start it first.",
    Reason.FOREIGN_HOST: "The address is not one of Azure's in this cloud; nothing was sent there.",
    Reason.THROTTLED: "Azure asks to wait; the work goes on by itself.",
    Reason.CONFLICT: "Another operation is going on; the work goes on by itself.",
    Reason.SERVICE_UNAVAILABLE: "Azure does not answer properly; the work goes on by itself.",
    Reason.PROVISIONING: "The resource is being changed; the work goes on by itself.",
    Reason.OPERATION_GOING_ON: "Azure is carrying the change out; the app looks again.",
    Reason.SWEEP_GOING_ON: "A sweep is going on already; this one was not begun.",
    Reason.NOT_YET_IN_EFFECT: "The version is set and not reported as in effect yet; the app looks again.",
    Reason.HOPPING: "The resource is on the temporary key; the app moves it back after the pause.",
    Reason.FOLLOWS_BY_ITSELF: (
        "The service takes up the new version by itself; the app looks again when it should have."
    ),
    Reason.FOLLOW_OVERDUE: (
        "The service should have taken up the newest version by now. Look at its access to the key, or set "
        "the version by hand."
    ),
    Reason.FOLLOW_FAILED: (
        "The service tried to take up the new version and could not; the detail has its own words. Most often its "
        "identity may not use the key. It goes on when that is put right."
    ),
    Reason.EFFECT_NOT_TOLD: (
        "Nothing is wrong, but which version is in effect cannot be known: the resource names none and its service "
        "does not say. Where it must be known, have the version named, by a rule with `version: pin` or by POST "
        "use-key with `version: pin`; the app then moves it at every rotation."
    ),
    Reason.OTHERS_MOVE_IT: "Somebody else changes the resource or the key at the same time; the app looks again.",
    Reason.WAVE_NOT_OPEN: "The resource's wave has not begun; the work goes on then. POST converge with it goes ahead.",
    Reason.WAVE_HELD: (
        "Too many in the waves before are not at the version. Mend those that the detail names; the work goes on by "
        "itself. `urgent: true` goes ahead all the same."
    ),
    Reason.OUTSIDE_WINDOW: "The rule's next window is yet to open; the work goes on then.",
    Reason.FROZEN: "The rule freezes changes until then; the work goes on after that.",
    Reason.MISCONFIGURED: "A setting is missing or wrong; GET health names it.",
    Reason.UNSUPPORTED_TYPE: "The app does not know this type of resource; docs/services.md lists those that it does.",
    Reason.BAD_REQUEST: "Correct the request as the detail says.",
    Reason.POISONED: (
        "The work failed again and again. Look at the log under its correlation id; the next sweep takes it up again."
    ),
    Reason.BUG: "This should not happen. Report it with the correlation id.",
}
