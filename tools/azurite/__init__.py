"""Azurite, Microsoft's storage emulator: a real queue service for the tests that need one."""
