"""Resources that use a customer-managed key: one rule per type says how, what is written here does it.

A service is a row of facts (`table`); reading (`uses`) and writing (`writing`) are the same for all of them.
"""
