"""Resources on the platform's key, as an index shows them, and what their rules say of that."""

from __future__ import annotations

from shared.domain.plan import Facts, forbidden, lacks_key, through_another
from shared.domain.policy import Mode
from shared.domain.resource import Address, Json, KeyUse
from shared.domain.service import Service
from shared.usecases.context import Context
from shared.usecases.placing import rule_for


async def wanted_for(
    context: Context, service: Service, address: Address, row: Json, uses: tuple[KeyUse, ...] | None
) -> Mode:
    """Return what the rule for a resource says of its beginning to use a key; ignore where nothing could be done.

    What belongs to the app or to other resources is left out: its plan would say no more than that. So is what uses
    another one's key. What lies below another resource counts only where a rule says fix: its rule may cost a read of
    that one. What can only use another one's key is reported where a rule says fix: a look at each disk would tell
    nothing that the index does not. Raises AppError.
    """
    if uses is None or not lacks_key(service, uses) or through_another(service, row):
        return Mode.IGNORE
    said = {rule.encryption for rule in (await context.ports.policies.current()).rules}
    if said == {Mode.IGNORE} or (address.parent and Mode.FIX not in said):
        return Mode.IGNORE
    rule = await rule_for(context, address, row)
    if rule is None or rule.encryption is Mode.IGNORE:
        return Mode.IGNORE
    if service.only_counted:
        row = {**row, "managedBy": None}  # of a disk: the machine that it is attached to, which is no owner of its key
    managed = await context.ports.finder.managed_groups()
    now = context.ports.clock.now()
    facts = Facts(service, address, row, uses, {}, now, rule, own=context.own, managed_groups=managed)
    if forbidden(facts):
        return Mode.IGNORE
    return Mode.REPORT if service.only_counted else rule.encryption
