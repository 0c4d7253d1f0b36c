"""Backups that are proved: dumped with a manifest from the same snapshot, stored, read back, restored and compared.

Everything that is needed to rely on a backup is in its manifest, which is stored last. Imports `ops` beside it and what
is below.
"""
