"""`python -m sidecar`: read the settings, run until SIGTERM or SIGINT, end gracefully."""

import sys

from common.process import serve
from sidecar.app import running
from sidecar.settings import Settings

if __name__ == "__main__":
    sys.exit(serve("sidecar", Settings.from_mapping, running))
