"""Kubernetes clusters and container groups on the sandbox: the whole goes back, or nothing does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Stopped, Waiting
from shared.domain.resource import Change
from shared.domain.vault import CRYPTO_USER
from shared.services.kubernetes import CLUSTERS, REWRITE
from tests.support.azure import MID, NEW, OLD, Azure, on_azure
from tests.support.keyed import KEY, at_rest, differences, example, in_effect, later, new_version, using, wish
from tests.support.policies import allowing

LEGACY = example("containerservice_managedclusters-legacy")
NEW_KMS = example("containerservice_managedclusters-newkms")
PLATFORM = example("containerservice_managedclusters-platform")
GROUP = example("containerinstance_containergroups-pinned")
KMS = "properties.securityProfile.azureKeyVaultKms"


def clusters(*bodies: dict[str, Any]) -> dict[str, Any]:
    return using(*bodies, role=CRYPTO_USER)


def test_a_cluster_moves_whole_and_the_report_says_that_the_secrets_are_left_to_do(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        before = at_rest(azure, LEGACY)
        (first,) = await azure.check(LEGACY)
        assert isinstance(first.outcome, Waiting)
        await azure.drain(until=timedelta(minutes=20))
        last = azure.reports[-1]
        assert isinstance(last.outcome, Converged)
        assert last.outcome.certainty is Certainty.CONFIGURED
        assert "Rewrite every Secret" in first.to_do
        assert last.to_do == first.to_do
        changed = differences(before, at_rest(azure, LEGACY))
        assert changed.pop("eTag")
        assert changed == {f"{KMS}.keyId": f"{KEY}/{MID}", f"tags.{REWRITE}": MID}
        assert in_effect(azure, LEGACY) == [MID]
        (again,) = await azure.check(LEGACY)
        assert again.to_do == ""
        assert len(azure.calls("write")) == 1

    on_azure(clusters(LEGACY), story, environ=allowing(tmp_path, "unproven", "put"))


@pytest.mark.parametrize(("may", "missing"), [((), "put, unproven"), (("unproven",), "put"), (("put",), "unproven")])
def test_a_cluster_is_not_put_without_a_rule_that_allows_it(may: tuple[str, ...], missing: str, tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(LEGACY)
        assert report.reasons == (Reason.NOT_ALLOWED_BY_RULE,)
        assert f"may: [{missing}]" in str(report.outcome)
        assert azure.calls("write") == []

    on_azure(clusters(LEGACY), story, environ=allowing(tmp_path, *may))


def test_a_cluster_that_somebody_changed_in_between_is_read_again_and_keeps_their_change(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        def meanwhile(call: Call) -> Answer | None:
            if call.method == "PUT" and "/managedClusters/" in call.path:
                azure.world.hooks = Hooks()
                stored = azure.body(LEGACY)
                scaled = [{**stored["properties"]["agentPoolProfiles"][0], "count": 5}]
                changed = {**stored["properties"], "agentPoolProfiles": scaled}
                azure.world.resources.put({**stored, "eTag": "two", "properties": changed})
            return None

        azure.world.hooks = Hooks(before=meanwhile)
        await azure.check(LEGACY)
        assert azure.reports[-1].reasons == (Reason.CONFLICT,)
        await azure.drain(until=timedelta(minutes=20))
        assert isinstance(azure.reports[-1].outcome, Converged)
        after = at_rest(azure, LEGACY)["properties"]
        assert after["agentPoolProfiles"][0]["count"] == 5
        assert after["securityProfile"]["azureKeyVaultKms"]["keyId"] == f"{KEY}/{MID}"

    on_azure(clusters(LEGACY), story, environ=allowing(tmp_path, "unproven", "put"))


def test_an_identity_that_may_only_wrap_is_told_of_and_the_cluster_keeps_its_key(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(LEGACY)
        await azure.drain(until=timedelta(minutes=5))
        assert Reason.KEY_ACCESS_DENIED in {reason for report in azure.reports for reason in report.reasons}
        assert in_effect(azure, LEGACY) == [OLD]

    on_azure(using(LEGACY), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_version_that_does_not_encrypt_and_decrypt_is_never_sent(tmp_path: Path) -> None:
    described = clusters(LEGACY)
    described["keys"]["kv-main"][0]["operations"] = ["wrapKey", "unwrapKey"]

    async def story(azure: Azure) -> None:
        (report,) = await azure.check(LEGACY)
        assert report.reasons == (Reason.KEY_TYPE_NOT_ACCEPTED,)
        assert azure.calls("write") == []

    on_azure(described, story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_rule_that_says_follow_never_takes_the_version_away(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(LEGACY)
        await azure.drain(until=timedelta(minutes=20))
        after = at_rest(azure, LEGACY)["properties"]["securityProfile"]["azureKeyVaultKms"]
        assert after["keyId"] == f"{KEY}/{MID}"

    on_azure(clusters(LEGACY), story, environ=allowing(tmp_path, "unproven", "put", version="follow"))


def test_new_kms_follows_by_itself_and_nobody_says_how_far_it_is(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        new_version(azure, NEW)
        await azure.check(NEW_KMS)
        await azure.drain(until=timedelta(hours=20))
        end = azure.reports[-1]
        assert isinstance(end.outcome, Converged)
        assert end.outcome.certainty is Certainty.UNKNOWN
        assert in_effect(azure, NEW_KMS) == [NEW]
        assert (end.to_do, azure.calls("write")) == ("", [])

    on_azure(clusters(NEW_KMS), story, environ=allowing(tmp_path, "unproven", "put", version="pin"))


def test_a_cluster_begins_to_use_a_key_and_stops_again(tmp_path: Path) -> None:
    managed = {**PLATFORM, "properties": {**PLATFORM["properties"], "servicePrincipalProfile": {"clientId": "msi"}}}

    async def story(azure: Azure) -> None:
        before = at_rest(azure, managed)
        await wish(azure, managed, key=KEY)
        await azure.drain(until=timedelta(minutes=20))
        kms = {"enabled": True, "keyId": f"{KEY}/{MID}"}
        changed = differences(before, at_rest(azure, managed))
        assert (changed.pop(KMS), sorted(changed)) == (kms, ["eTag", f"tags.{REWRITE}"])
        await tagged(azure, managed, None)
        reports = await wish(azure, managed, revert=True)
        assert "Rewrite every Secret" in reports[0].to_do
        await azure.drain(until=timedelta(minutes=20))
        assert in_effect(azure, managed) == []

    on_azure(clusters(managed), story, environ=allowing(tmp_path, "unproven", "put"))


async def tagged(azure: Azure, one: dict[str, Any], value: str | None) -> None:
    """Somebody sets the tag, or (None) removes it."""
    stored = azure.body(one)
    tags = {name: text for name, text in stored["tags"].items() if name != REWRITE}
    azure.world.resources.put({**stored, "tags": {**tags, REWRITE: value} if value else tags})


def test_a_cluster_is_not_moved_again_before_somebody_says_that_its_secrets_were_rewritten(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(LEGACY)
        await azure.drain(until=timedelta(minutes=20))
        new_version(azure, NEW)
        await later(azure, minutes=1)
        (report,) = await azure.check(LEGACY)
        assert report.reasons == (Reason.SECRETS_NOT_REWRITTEN,)
        assert REWRITE in str(report.outcome)
        for wanted in ({"key": f"{KEY[:-3]}other"}, {"revert": True}):
            assert (await wish(azure, LEGACY, **wanted))[-1].reasons == (Reason.SECRETS_NOT_REWRITTEN,)
        assert (in_effect(azure, LEGACY), len(azure.calls("write"))) == ([MID], 1)
        await tagged(azure, LEGACY, None)
        await azure.check(LEGACY)
        await azure.drain(until=timedelta(minutes=20))
        assert in_effect(azure, LEGACY) == [NEW]
        assert azure.body(LEGACY)["tags"] == {"owner": "ledger", REWRITE: NEW}

    on_azure(clusters(LEGACY), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_cluster_that_is_stopped_is_not_sent_back_which_might_start_it(tmp_path: Path) -> None:
    stopped = {**LEGACY, "properties": {**LEGACY["properties"], "powerState": {"code": "Stopped"}}}

    async def story(azure: Azure) -> None:
        (report,) = await azure.check(stopped)
        assert report.reasons == (Reason.PROVISIONING_FAILED,)
        assert azure.calls("write") == []

    on_azure(using(stopped, role=CRYPTO_USER), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_cluster_whose_tag_somebody_empties_is_moved_and_new_kms_is_not_held_up_by_one(tmp_path: Path) -> None:
    emptied, following = ({**one, "tags": {REWRITE: ""}} for one in (LEGACY, NEW_KMS))
    assert CLUSTERS.unfinished(emptied) == CLUSTERS.unfinished({**following, "tags": {REWRITE: OLD}}) == ""
    assert CLUSTERS.unfinished({**LEGACY, "tags": {REWRITE.upper(): OLD}})

    async def story(azure: Azure) -> None:
        await azure.check(emptied)
        await azure.drain(until=timedelta(minutes=20))
        assert in_effect(azure, emptied) == [MID]

    on_azure(clusters(emptied), story, environ=allowing(tmp_path, "unproven", "put"))


def test_nothing_that_only_azure_may_fill_in_is_sent_back_and_all_beside_it_is() -> None:
    own = {
        "addonProfiles": {"azurepolicy": {"enabled": True, "identity": {"clientId": "x"}}},
        "httpProxyConfig": {"noProxy": ["a"], "effectiveNoProxy": ["a", "b"]},
        "ingressProfile": {
            "applicationLoadBalancer": {"enabled": True, "identity": {}},
            "webAppRouting": {"enabled": True, "identity": {}, "defaultDomain": {"enabled": True, "domainName": "x"}},
        },
        "networkProfile": {
            "loadBalancerProfile": {"idleTimeoutInMinutes": 30, "effectiveOutboundIPs": [{"id": "/x"}]},
            "natGatewayProfile": {"idleTimeoutInMinutes": 4, "effectiveOutboundIPs": []},
        },
        "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://x"},
        "podIdentityProfile": {
            "userAssignedIdentities": [{"name": "n", "provisioningState": "Assigned", "provisioningInfo": {}}]
        },
        "privateLinkResources": [{"groupId": "management", "privateLinkServiceID": "/x"}],
        "agentPoolProfiles": [
            {
                "name": "p",
                "nodeImageVersion": "x",
                "eTag": "y",
                "localDNSProfile": {"mode": "Required", "state": "Enabled"},
            }
        ],
    }
    change = Change("kms", CLUSTERS.read(LEGACY)[0].configured.key.at(MID), follow=False)
    (request,) = CLUSTERS.write({**LEGACY, "properties": {**LEGACY["properties"], **own}}, (change,))
    assert request.body is not None
    sent = request.body["properties"]
    assert {name: sent[name] for name in own} == {
        "addonProfiles": {"azurepolicy": {"enabled": True}},
        "httpProxyConfig": {"noProxy": ["a"]},
        "ingressProfile": {
            "applicationLoadBalancer": {"enabled": True},
            "webAppRouting": {"enabled": True, "defaultDomain": {"enabled": True}},
        },
        "networkProfile": {
            "loadBalancerProfile": {"idleTimeoutInMinutes": 30},
            "natGatewayProfile": {"idleTimeoutInMinutes": 4},
        },
        "oidcIssuerProfile": {"enabled": True},
        "podIdentityProfile": {"userAssignedIdentities": [{"name": "n"}]},
        "privateLinkResources": [{"groupId": "management"}],
        "agentPoolProfiles": [{"name": "p", "localDNSProfile": {"mode": "Required"}}],
    }


def test_a_service_principals_secret_is_neither_known_nor_made_up() -> None:
    change = Change("kms", CLUSTERS.read(LEGACY)[0].configured.key.at(MID), follow=False)
    (request,) = CLUSTERS.write(PLATFORM, (change,))
    assert request.body is not None
    assert "servicePrincipalProfile" not in request.body["properties"]
    assert request.if_match == "one"


@pytest.mark.parametrize(
    ("one", "wanted", "reason"),
    [
        (LEGACY, {"version": Version.FOLLOW}, Reason.CHANGES_MODE),
        (PLATFORM, {"key": KEY, "version": Version.FOLLOW}, Reason.CHANGES_MODE),
        (NEW_KMS, {"version": Version.PIN}, Reason.CHANGES_MODE),
        (NEW_KMS, {"revert": True}, Reason.CHANGES_MODE),
        (GROUP, {"key": f"{KEY[:-3]}other"}, Reason.RECREATE_ONLY),
        (GROUP, {"version": Version.FOLLOW}, Reason.NEVER_FOLLOWS),
        (GROUP, {"revert": True}, Reason.RECREATE_ONLY),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) and "name" in value else "",
)
def test_what_would_change_more_than_the_key_is_told_and_nothing_is_written(
    one: dict[str, Any], wanted: dict[str, Any], reason: Reason, tmp_path: Path
) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, one, **wanted)
        assert isinstance(report.outcome, Stopped)
        assert report.reasons == (reason,)
        assert azure.calls("write") == []

    may = ("unproven", "put", "recreate", "irreversible")
    on_azure(clusters(one), story, environ=allowing(tmp_path, *may))


def test_a_container_group_is_told_of_and_never_touched(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=5))
        assert azure.reports[-1].reasons == (Reason.RECREATE_ONLY,)
        assert f"version {MID}" in str(azure.reports[-1].outcome)
        assert azure.calls("write") == []

    on_azure(using(GROUP), story, environ=allowing(tmp_path, "unproven", "put", "recreate"))
