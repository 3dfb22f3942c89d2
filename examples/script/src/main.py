"""Prints a value of a YAML document; docopt has no wheel, so pyoci builds it as pip would.

Usage:
  main.py get <key> [<document>]
  main.py --help

The document is read from standard input where none is given.
"""

import sys

import yaml
from docopt import docopt


def main() -> None:
    arguments = docopt(__doc__)
    document = yaml.safe_load(arguments["<document>"] or sys.stdin)
    print(document[arguments["<key>"]])


if __name__ == "__main__":
    main()
