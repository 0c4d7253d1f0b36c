"""States and temperatures of printers over time: recorded as they change, rolled up after a day, dropped by months."""
