"""What the image does at every start of Python, once: `sitecustomize` and `usercustomize` import it.

`/deps` is on PYTHONPATH, so it comes before the standard library and its .pth files are not run: here it
becomes a site directory after the standard library. A fault is one line on stderr, never the end of the program.
"""

# `_signal`, not `signal`: that one imports enum, which costs more than all of this.
import _signal
import _thread
import os
import site
import sys

DEPS = "/deps"
HERE = os.path.dirname(os.path.abspath(__file__))
_handed_on = set()
_masks = {}


def attempt(step, *arguments):
    """Runs a step; says in one line what went wrong with it."""
    try:
        step(*arguments)
    except Exception as error:
        if sys.stderr is not None:
            text = "pyoci: %s: %s: %s" % (step.__name__, type(error).__name__, error)
            sys.stderr.write(text.replace("\n", " ") + "\n")


def roots():
    """The directories that the project's own packages are imported from."""
    try:
        with open(os.path.join(HERE, "roots"), encoding="utf-8") as file:
            return [os.path.normpath(os.path.join(HERE, line)) for line in file.read().splitlines()]
    except FileNotFoundError:
        return []


def behind_standard_library():
    """Where in sys.path the entries of the standard library end."""
    library = os.path.dirname(os.__file__)
    platform = getattr(sys, "platlibdir", "lib"), "python%d.%d" % sys.version_info[:2]
    dynamic = os.path.join(sys.base_exec_prefix, *platform, "lib-dynload")
    own = (library, os.path.join(library, "lib-dynload"), dynamic)
    return max([at + 1 for at, entry in enumerate(sys.path) if entry in own], default=len(sys.path))


def place_dependencies():
    """Puts the project's roots, /deps and what its .pth files add behind the standard library."""
    ours = roots() + ([DEPS] if os.path.isdir(DEPS) else [])
    sys.path[:] = [entry for entry in sys.path if entry != DEPS and entry not in ours]
    at = behind_standard_library()
    sys.path[at:at] = ours
    if DEPS not in ours:
        return
    known = set(sys.path)
    site.addsitedir(DEPS)
    end = len(sys.path)
    while end and sys.path[end - 1] not in known:
        end -= 1
    added = sys.path[end:]
    del sys.path[end:]
    at = sys.path.index(DEPS) + 1
    sys.path[at:at] = added


def forget_shadowing_modules():
    """Drops modules that /deps gave in place of the standard library's, before it was moved behind it.

    A .pth file of the base may have imported them: enum34's `enum` would break `re` for good.
    """
    standard = getattr(sys, "stdlib_module_names", ())
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if name.partition(".")[0] in standard and file.startswith(DEPS + "/"):
            del sys.modules[name]


def _terminate(_number, _frame):
    raise SystemExit(143)  # 128 + SIGTERM, what a shell reports


def _before_fork():
    if _signal.getsignal(_signal.SIGTERM) is _terminate:
        _masks[_thread.get_ident()] = _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGTERM])


def _after_fork():
    mask = _masks.pop(_thread.get_ident(), None)
    if mask is not None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def _after_fork_in_child():
    if _signal.getsignal(_signal.SIGTERM) is _terminate:
        _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    _after_fork()


def end_on_sigterm():
    """The kernel drops SIGTERM for a PID 1 that does not handle it: `podman stop` would wait, then kill."""
    if os.getpid() == 1 and _signal.getsignal(_signal.SIGTERM) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGTERM, _terminate)
        # A forked child dies of SIGTERM as everywhere; blocked in between, none that comes too early is lost.
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
        )


def run_shadowed(name):
    """Runs the next module of that name on sys.path, which ours keeps Python from finding."""
    from _frozen_importlib_external import PathFinder  # importlib.machinery's, without its imports

    behind = sys.path.index(HERE) + 1 if HERE in sys.path else 0
    spec = PathFinder.find_spec(name, [entry for entry in sys.path[behind:] if entry != HERE])
    if spec is None or spec.loader is None:
        return
    module = type(sys)(name)
    module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
    sys.modules[name] = module
    spec.loader.exec_module(module)


def hand_on(name):
    """Runs what the calling module shadows, once."""
    if name not in _handed_on:
        _handed_on.add(name)
        attempt(run_shadowed, name)


attempt(place_dependencies)
attempt(forget_shadowing_modules)
attempt(end_on_sigterm)
