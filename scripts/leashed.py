"""A command of manage.py that ends when its input does, so with whoever started it, however that ended.

    python -m scripts.leashed runserver --noreload
    python -m scripts.leashed -- redis-server --port 0     # another program

Ctrl-C on the terminal is left to whoever started it.
"""

import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    # Also where whoever started it ignores Ctrl-C, as a shell does for what it runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.argv[1] == "--":
        sys.exit(lead(sys.argv[2:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")
    try:
        threading.Thread(target=end_with_input, daemon=True).start()
        # Takes a while, in which the input may end as well.
        from django.core.management import execute_from_command_line

        execute_from_command_line(["manage.py", *sys.argv[1:]])
    except KeyboardInterrupt:
        sys.exit(130)


def lead(program: list[str]) -> int:
    """Until it ends by itself or is told to; its exit code."""
    child = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        threading.Thread(target=end_with_input, daemon=True).start()
        return child.wait()
    except KeyboardInterrupt:
        child.terminate()
        return child.wait()


def end_with_input() -> None:
    # Not through sys.stdin, whose lock would keep the interpreter from ending.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
