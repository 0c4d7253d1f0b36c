"""manage.py, but it kills itself without warning: python -m tests.chaos.doomed before|after PATTERN COMMAND...

Before or after the first statement that matches PATTERN (of its text and parameters) has run.
"""

import os
import re
import signal
import sys
from typing import Any

import django
from django.core.management import call_command
from django.db import connection


def main(moment: str, pattern: str, *command: str) -> None:
    def watch(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        matches = re.search(pattern, f"{text} {params}")
        if matches and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = execute(text, params, many, context)
        if matches:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")
    django.setup()
    with connection.execute_wrapper(watch):
        call_command(*command, verbosity=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
