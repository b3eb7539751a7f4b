#!/opt/venv/bin/python
"""The operators' command, as the wheel's own script would be."""

import sys

from writer.cli import main

sys.exit(main())
