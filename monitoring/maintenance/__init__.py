"""What is done to machines, and when it is due again."""
