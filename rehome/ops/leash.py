"""Run as a script: runs a program until it ends, or until the process that started this one is gone, killed or not.

Imports nothing of rehome, so that it starts at once.
"""

import os
import subprocess
import sys
import threading


def main() -> int:
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603  What rehome.ops.clients has found.
    threading.Thread(target=end_with_input, args=[program], daemon=True).start()
    return program.wait()


def end_with_input(program: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 4096):
        pass
    program.terminate()


if __name__ == "__main__":
    sys.exit(main())
