"""`python -m melaudit` is the command `melaudit`."""

import sys

from melaudit.cli import main

if __name__ == "__main__":
    sys.exit(main())
