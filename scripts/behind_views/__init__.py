"""A database engine whose test database has views in place of the models' tables, made by moves of rehome.

For Django's own test applications: see scripts/django_suites.py.
"""
