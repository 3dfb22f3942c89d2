#!/usr/bin/python3 -IS
"""The start of the image: sets PYTHONPATH, then becomes (exec) the start command.

Called as `entrypoint [--expand=N [--set=M]] COMMAND... ARGUMENT...`. With `--expand=N`, `$NAME`, `${NAME}` and
`${NAME:-default}` are replaced in the first N words, `$$` is one `$`; all words after them, and all
words without it, pass untouched: they are the arguments of whoever runs the image. With `--set=M` the
first M words, each `NAME=value`, are variables of the command, as before a command in a shell.
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
    close = close_of(word, end)
    if close == end:
        return value, close + 1
    if close < 0 or word[end : end + 2] != ":-":
        return None
    return value or expand(word[end + 2 : close], variables), close + 1


def close_of(word, start):
    """The `}` that ends a reference, after those of the references inside it; -1 if there is none."""
    depth, at = 0, start
    while at < len(word):
        if word.startswith("${", at):
            depth += 1
        elif word[at] == "}":
            if not depth:
                return at
            depth -= 1
        at += 1
    return -1


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


def option(words, name):
    """The number that an option gives, and the words after it; 0 and all words if it is not there."""
    if words and words[0].startswith(name):
        return int(words[0][len(name) :]), words[1:]
    return 0, words


def command(words, variables):
    """The words to run; the variables that stand before them are set."""
    count, rest = option(words, "--expand=")
    if rest is words:
        return words
    set_, rest = option(rest, "--set=")
    program = [expand(word, variables) for word in rest[set_:count]]
    for word in rest[:set_]:
        name, _, value = word.partition("=")
        variables[name] = expand(value, variables)
    return program + rest[max(set_, count) :]


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
