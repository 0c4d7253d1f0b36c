"""What the monolith never knew of a printer: an app of its own, whose tables outlive the move back of the printers.

`migrate printers 0001` unapplies every later migration of `printers`, with the tables that it made. These migrations
are another app's and depend on `printers.0001_initial` alone; their keys of printers have no foreign key in the
database, which would keep the target from being emptied.
"""
