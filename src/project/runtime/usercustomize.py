"""Imported by `site` after `sitecustomize`: does that one's work where another tool's has taken its place."""

import _pyoci_runtime

_pyoci_runtime.hand_on("usercustomize")
