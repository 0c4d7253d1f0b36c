"""A database backend: Django's PostgreSQL, on a server that starts with the first connection."""
