"""The same for MySQL and MariaDB, of whose temporary tables SHOW CREATE TABLE alone tells anything.

`comparing` alone uses it, by the protocols of `checkschema.server`. It may import those, `shape` and `twins` of
checkschema, and no driver.
"""
