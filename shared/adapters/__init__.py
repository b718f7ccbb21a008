"""The only importers of Azure SDKs. One module per thing that Azure offers; each implements a port."""
