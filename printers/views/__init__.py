"""The pages of printers: each asks `Printer.objects.for_user`, and each action goes through `printers.control`."""
