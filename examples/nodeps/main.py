"""Needs nothing but Python."""

import platform
import sys

print(f"Python {platform.python_version()} has {sys.argv[1:] or 'no arguments'}")
