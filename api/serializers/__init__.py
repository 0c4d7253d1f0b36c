"""What is sent and answered. Fields take the types of the schema and no other: no number for a text, no "1" for 1."""
