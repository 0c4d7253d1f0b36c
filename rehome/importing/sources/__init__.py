"""The servers that rows are read from, each as a reader of one protocol.

`reader` says what a reader is, and `reading` opens the one that a database needs; only `reading` knows the kinds of
servers, so that no driver is imported for another one's sake. It may import `plan` and `failures` of the importing
package, and `postgres`.
"""
