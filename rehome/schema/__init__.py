"""What models say of their tables, beside what the tables are."""
