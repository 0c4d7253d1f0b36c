"""What `manage.py check --deploy` says of this project, beside what Django says of every one.

Each has an id, says what is wrong with the value, and how to put it right. docs/running.md lists them.
"""
