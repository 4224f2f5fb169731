"""`python -m fairbook` is `fairbook`."""

import sys

from fairbook.cli import main

if __name__ == "__main__":
    sys.exit(main())
