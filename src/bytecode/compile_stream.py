"""Compiles sources that arrive on stdin; writes unchecked-hash .pyc files (PEP 552) to stdout.

A message is a 4-byte big-endian length and that many bytes. In: final path of the source, then the source.
Out: the .pyc, or nothing where the source does not compile, as `compileall` goes on in that case too.
"""
import importlib.util
import struct
import sys
import warnings
from importlib._bootstrap_external import _code_to_hash_pyc

warnings.simplefilter("ignore")
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer


def receive():
    header = stdin.read(4)
    if not header:
        raise SystemExit
    return stdin.read(struct.unpack(">I", header)[0])


while True:
    path, source = receive().decode("utf-8", "surrogateescape"), receive()
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        pyc = bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        pyc = b""
    stdout.write(struct.pack(">I", len(pyc)))
    stdout.write(pyc)
    stdout.flush()
