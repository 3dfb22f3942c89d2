"""Compiles sources that arrive on stdin; writes unchecked-hash .pyc files (PEP 552) to stdout.

A message is a 4-byte big-endian length and that many bytes. In: final path of the source, then the source.
Out: the .pyc, or nothing where the source does not compile, as `compileall` goes on in that case too.

Only what is built into the interpreter is imported: it may have been laid out without its library.
"""
import _warnings
import gc
import sys
from _imp import source_hash
from _frozen_importlib_external import MAGIC_NUMBER, _code_to_hash_pyc

_warnings.filters[:] = [("ignore", None, Warning, None, 0)]
# Code objects hold no cycles.
gc.disable()
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
# What importlib.util.source_hash takes.
key = int.from_bytes(MAGIC_NUMBER, "little")


def receive():
    header = stdin.read(4)
    if not header:
        raise SystemExit
    return stdin.read(int.from_bytes(header, "big"))


while True:
    path, source = receive().decode("utf-8", "surrogateescape"), receive()
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        pyc = bytes(_code_to_hash_pyc(code, source_hash(key, source), False))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        pyc = b""
    stdout.write(len(pyc).to_bytes(4, "big"))
    stdout.write(pyc)
    stdout.flush()
