"""The same for MySQL and MariaDB, which describe temporary tables only by SHOW CREATE TABLE.

`comparing` alone uses it, by the protocols of `checkschema.server`. It may import those, `shape` and `twins` of
checkschema, and no driver.
"""
