#!/usr/bin/python3 -IS
"""The start of the image: sets PYTHONPATH, then becomes (exec) the start command.

Called as `entrypoint [--expand=N] COMMAND... ARGUMENT...`. With `--expand=N`, `$NAME`, `${NAME}` and
`${NAME:-default}` are replaced in the first N words, `$$` is one `$`; all words after them, and all
words without it, pass untouched: they are the arguments of whoever runs the image.
"""

# Modules that the interpreter has loaded or built in: `signal`, `re` and `shutil` would double the time.
import _signal
import os
import sys

SITE = "/app/.pyoci/site"
DEPS = "/deps"

NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789")


def python_path(passed):
    """Ours first and last; what was passed with `-e PYTHONPATH=` between them."""
    between = [entry for entry in passed.split(":") if entry not in (SITE, DEPS)] if passed else []
    return ":".join([SITE] + between + [DEPS])


def name_at(word, start):
    """The end of the variable name that begins at `start`; `start` itself if there is none."""
    end = start
    while end < len(word) and word[end] in NAME and not (end == start and word[end].isdigit()):
        end += 1
    return end


def reference_at(word, start, variables):
    """What the text behind a `$` stands for, and where it ends; None if it is no reference."""
    if word[start : start + 1] == "$":
        return "$", start + 1
    braced = word[start : start + 1] == "{"
    begin = start + 1 if braced else start
    end = name_at(word, begin)
    if end == begin:
        return None
    value = variables.get(word[begin:end], "")
    if not braced:
        return value, end
    close = word.find("}", end)
    if close == end:
        return value, close + 1
    if close < 0 or word[end : end + 2] != ":-":
        return None
    return value or expand(word[end + 2 : close], variables), close + 1


def expand(word, variables):
    """The word with its references replaced; an unset variable is empty, what is no reference stays."""
    done, at = "", 0
    while True:
        dollar = word.find("$", at)
        if dollar < 0:
            return done + word[at:]
        done += word[at:dollar]
        value, at = reference_at(word, dollar + 1, variables) or ("$", dollar + 1)
        done += value


def command(words, variables):
    """The words to run."""
    option, equals, count = words[0].partition("=") if words else ("", "", "")
    if option + equals != "--expand=":
        return words
    end = 1 + int(count)
    return [expand(word, variables) for word in words[1:end]] + words[end:]


def run(words):
    """Becomes the command; returns only if that fails, with the exit status and the reason.

    As `os.execvp` does, without importing `warnings`.
    """
    if not words or not words[0]:
        return 127, "the image has no start command"
    program = words[0]
    search = os.environ.get("PATH", os.defpath)
    names = [program] if "/" in program else [os.path.join(d, program) for d in search.split(":")]
    status, reason = 127, "no such file" if "/" in program else "not found in PATH (" + search + ")"
    for name in names:
        try:
            os.execv(name, words)
        except (FileNotFoundError, NotADirectoryError):
            if status == 127 and os.path.exists(name):
                reason = name + " is there, but the interpreter in its first line is not"
        except OSError as error:
            if status == 127:
                status, reason = 126, str(error.strerror) + " (" + name + ")"
    return status, "cannot run `" + program + "`: " + reason


def main():
    os.environ["PYTHONPATH"] = python_path(os.environ.get("PYTHONPATH", ""))
    # Python ignores these, and what is ignored stays so after exec.
    for name in ("SIGPIPE", "SIGXFSZ"):
        _signal.signal(getattr(_signal, name), _signal.SIG_DFL)
    status, reason = run(command(sys.argv[1:], os.environ))
    os.write(2, os.fsencode("pyoci: " + reason.replace("\n", "\\n") + "\n"))
    os._exit(status)


if __name__ == "__main__":
    main()
