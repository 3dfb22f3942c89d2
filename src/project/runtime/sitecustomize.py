"""Imported by Python's `site` at start-up: sets up the image's sys.path and SIGTERM, then runs what it shadows."""

import _pyoci_runtime

_pyoci_runtime.hand_on("sitecustomize")
