"""`python -m writer`: read the settings, run until SIGTERM or SIGINT, end gracefully."""

import sys

from common.process import serve
from writer.app import running
from writer.settings import read

if __name__ == "__main__":
    sys.exit(serve("writer", read, running))
