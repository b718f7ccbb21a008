"""Azure's clouds: which hosts belong to one, and for whom a token may go to each. The one allow list."""

from __future__ import annotations

from msgspec import Struct


class Cloud(Struct, frozen=True):
    """The hosts of one cloud. Suffixes begin with a dot and stand for every host below them.

    Source: azure-core AzureClouds and the sovereign endpoint tables (learn azure-government compare-azure-government-
    global-azure, azure china endpoints).
    """

    name: str
    arm: str
    vault_suffix: str
    login: str
    storage_suffix: str
    events_suffix: str
    search_suffix: str
    search_scope: str
    events_scope: str = "https://eventgrid.azure.net/.default"
    storage_scope: str = "https://storage.azure.com/.default"
    bare_hosts: frozenset[str] = frozenset()  # the webhook's: requests may go there, and never a token
    blob_hosts: frozenset[str] = frozenset()  # the accounts of evidence, policy and state: of no other one

    @property
    def arm_scope(self) -> str:
        """Return the scope of tokens for Azure Resource Manager."""
        return f"https://{self.arm}/.default"

    @property
    def vault_scope(self) -> str:
        """Return the scope of tokens for Key Vault."""
        return f"https://{self.vault_suffix.removeprefix('.')}/.default"

    @property
    def scopes(self) -> frozenset[str]:
        """Return every scope that a token may be asked for."""
        return frozenset((self.arm_scope, self.vault_scope, self.storage_scope, self.events_scope, self.search_scope))

    def scope_of(self, host: str) -> str | None:
        """Return the scope whose tokens may go to this host; None: no token may."""
        if host == self.arm:
            return self.arm_scope
        if host in self.blob_hosts:
            return self.storage_scope
        for suffix, scope in (
            (self.vault_suffix, self.vault_scope),
            (f".queue{self.storage_suffix}", self.storage_scope),
            (self.events_suffix, self.events_scope),
            (self.search_suffix, self.search_scope),
        ):
            if host.endswith(suffix):
                return scope
        return None


CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud(
            "AzureCloud",
            "management.azure.com",
            ".vault.azure.net",
            "login.microsoftonline.com",
            ".core.windows.net",
            ".eventgrid.azure.net",
            ".search.windows.net",
            "https://search.azure.com/.default",
        ),
        Cloud(
            "AzureUSGovernment",
            "management.usgovcloudapi.net",
            ".vault.usgovcloudapi.net",
            "login.microsoftonline.us",
            ".core.usgovcloudapi.net",
            ".eventgrid.azure.us",
            ".search.azure.us",
            "https://search.azure.us/.default",
        ),
        Cloud(
            "AzureChinaCloud",
            "management.chinacloudapi.cn",
            ".vault.azure.cn",
            "login.chinacloudapi.cn",
            ".core.chinacloudapi.cn",
            ".eventgrid.azure.cn",
            ".search.azure.cn",
            "https://search.azure.cn/.default",
        ),
    )
}
