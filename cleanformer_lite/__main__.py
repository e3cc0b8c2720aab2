"""Run the command line as `python -m cleanformer_lite`."""

import sys

from cleanformer_lite.cli import main

if __name__ == "__main__":
    sys.exit(main())
