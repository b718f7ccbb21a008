"""Which rule of the policy is meant for a resource."""

from __future__ import annotations

from shared.domain.jsonpath import lookup
from shared.domain.plan import Top
from shared.domain.policy import Policy, Rule, Site, decide
from shared.domain.resource import Address, Json
from shared.usecases.above import read_top
from shared.usecases.context import Context


async def rule_for(context: Context, address: Address, body: Json) -> Rule | None:
    """Return the rule that is meant for a resource that was just read; None: no rule is. Raises AppError."""
    policy = await context.ports.policies.current()
    return decide(policy.rules, await _site(context, policy, address, body))


def site_of(address: Address, top: Json) -> Site:
    """Return what a resource and the one at its top say of it."""
    return _site_of(address, top, ())


async def site_with_groups(context: Context, policy: Policy, address: Address, body: Json) -> Site:
    """Return what a policy may ask of a top-level resource, its management groups if the policy asks for any."""
    groups: tuple[str, ...] = ()
    if policy.asks_for_groups:
        groups = (await context.ports.finder.group_chains()).get(address.arm.subscription.lower(), ())
    return _site_of(address, body, groups)


async def _site(context: Context, policy: Policy, address: Address, body: Json) -> Site:
    arm = address.arm
    top = body
    if address.parent and policy.asks_about_parent(arm.type):
        _, top = await read_top(context, address)
    return await site_with_groups(context, policy, address, top)


def _site_of(address: Address, top: Json, groups: tuple[str, ...]) -> Site:
    arm = address.arm
    return Site(
        type=arm.type,
        name=arm.name,
        subscription=arm.subscription,
        resource_group=arm.group,
        kind=str(lookup(top, "kind") or ""),
        location=str(lookup(top, "location") or ""),
        tags=tags_in(top),
        management_groups=groups,
    )


def top_in(body: Json) -> Top:
    """Return what a body says as the resource at the top."""
    return Top(tags_in(body), str(lookup(body, "managedBy") or ""))


def tags_in(body: Json) -> dict[str, str]:
    """Return the tags that a body has."""
    written = lookup(body, "tags")
    if not isinstance(written, dict):
        return {}
    return {str(name): str(value) for name, value in written.items()}
