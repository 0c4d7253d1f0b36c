"""The day of a move, from the side of who runs the server: backups that are proved, a rehearsal, whether all is ready.

Commands use all of it. It imports `graph` and what is below, and has the SQL of whole databases, which no other has.
"""
