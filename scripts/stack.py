"""The local stack: a real Triton on this machine with the gateway in front of it.

python3 scripts/stack.py setup           install what the local Triton needs
python3 scripts/stack.py deps            install the system packages of the Rust build
python3 scripts/stack.py dev             setup, and what the tests need
python3 scripts/stack.py web             install what the tests of the page need
python3 scripts/stack.py triton          one Triton in the foreground
python3 scripts/stack.py run             Triton and the gateway together
python3 scripts/stack.py with-triton -- CMD   CMD beside one or more Tritons
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 (for those who try)
    sys.exit("stack.py needs Python 3.9 or later; run it as python3.9 scripts/stack.py")

from local_stack.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
