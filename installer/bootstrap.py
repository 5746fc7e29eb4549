"""From a fresh clone to a running program, with Python's standard library only.

    python3 installer/bootstrap.py run           install what lacks, then open the window on the sample case
    python3 installer/bootstrap.py test          install what the tests need, then run them
    python3 installer/bootstrap.py --help

This file keeps to a syntax that an old Python can read, so that it can say what is wrong there.
"""

import os
import sys

OLDEST = (3, 11)


def main():
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "Puncta needs Python %d.%d or newer, and this is %d.%d: install a newer one and start again with it.\n"  # noqa: UP031
            % (OLDEST + tuple(sys.version_info[:2]))
        )
        return 2
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from bootstrap_steps.verbs import start

    return start(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
