"""Runs commands, keeps what they took, and prints medians as rows of a Markdown table.

  measure.py run FILE COMMAND...          appends wall seconds, processor seconds and peak memory (MB) to FILE
  measure.py row TITLE BASE FILE[+FILE]   prints a row; BASE, if not empty, is what the wall time is compared with

Files joined by + are steps of one job: their times are added run by run, of their memory the largest counts.
"""

import os
import statistics
import sys
import time


def run(file, command):
    start = time.monotonic()
    # Only what is asked for reaches the table: stdout is dropped, stderr is for whoever watches.
    actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    if status:
        sys.exit(f"{command}: failed")
    with open(file, "a") as times:
        print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, file=times)


def rows(files):
    """The runs of a job as (wall, processor, memory)."""
    steps = [[list(map(float, line.split())) for line in open(file)] for file in files.split("+")]
    return [(sum(w), sum(p), max(m)) for w, p, m in (zip(*run) for run in zip(*steps))]


def medians(files):
    return [statistics.median(column) for column in zip(*rows(files))]


def row(title, base, files):
    wall, processor, memory = medians(files)
    ratio = wall / medians(base)[0] if base else 0
    ratio = f"{ratio:.{2 if ratio < 3 else 1}f}x" if base else ""
    milliseconds = f"{wall * 1000:.1f}" if wall < 0.1 else f"{wall * 1000:.0f}"
    # What a report says of itself has no processor time and no memory.
    rest = [f"{processor * 1000:.0f}", f"{memory:.0f}"] if memory else ["", ""]
    print("|", " | ".join([title, milliseconds, *rest, ratio, str(len(rows(files)))]), "|")


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(sys.argv[2], sys.argv[3:])
    else:
        row(*sys.argv[2:])
