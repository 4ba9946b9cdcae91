"""What it takes to import each package, while the handler is loaded.

The import system asks its own `_find_and_load` for every module that is not there yet, and for no other: that is the one
place to look at a clock. A module takes tenths of a millisecond to load, looking twice at the clock one of a thousand.
"""

import sys
from _thread import get_ident
from time import perf_counter_ns

HANDLER = "."  # the package that the handler's own module belongs to
LEAST_US = 1000  # what takes less is not told
MOST, NAME_BYTES, LARGEST = 16, 64, 2**32 - 1
# The interpreter leaves frames of this file out of tracebacks, and so ours.
FILE = "<frozen importlib._bootstrap>"


class Package:
    """One package: modules that were loaded, nanoseconds in them, and of the outermost import of one of them."""

    __slots__ = ("modules", "own", "total", "depth")

    def __init__(self):
        self.modules = self.own = self.total = self.depth = 0


class Imports:
    """Those between `begin` and `end`, on this thread."""

    def __init__(self):
        self.packages = {}
        self.inner = 0  # nanoseconds of the imports that ended inside the one that is under way
        self.system = sys.modules.get("_frozen_importlib")
        self.before = self.after = getattr(self.system, "_find_and_load", None)

    def begin(self):
        if self.before is not None:
            self.after = self.system._find_and_load = watching(self, self.before, get_ident())

    def end(self):
        if self.before is not None and self.system._find_and_load is self.after:
            self.system._find_and_load = self.before

    def report(self, module):
        """What took long, as a frame carries it. `module`: the handler's."""
        own = module.replace("/", ".").partition(".")[0]
        rows = sorted(((seen.total // 1000, name, seen) for name, seen in self.packages.items()
                       if seen.total >= LEAST_US * 1000 and not name.startswith("_dayfly")), reverse=True)
        parts = []
        for total, name, seen in rows[:MOST]:
            text = (HANDLER if name == own else name).encode("utf-8", "replace")[:NAME_BYTES]
            numbers = (min(number, LARGEST).to_bytes(4, "little") for number in (seen.modules, seen.own // 1000, total))
            parts += (*numbers, bytes((len(text),)), text)
        return b"".join(parts)


def watching(imports, find_and_load, thread):
    packages, modules, clock, ident = imports.packages, sys.modules, perf_counter_ns, get_ident

    def _find_and_load(name, import_):
        if ident() != thread or name in modules:
            return find_and_load(name, import_)
        root = name.partition(".")[0]
        package = packages.get(root) or packages.setdefault(root, Package())
        package.depth += 1
        outer, imports.inner = imports.inner, 0
        began = clock()
        try:
            return find_and_load(name, import_)
        finally:
            took = clock() - began
            package.depth -= 1
            package.modules += name in modules
            package.own += took - imports.inner
            if not package.depth:
                package.total += took
            imports.inner = outer + took

    _find_and_load.__code__ = _find_and_load.__code__.replace(co_filename=FILE)
    return _find_and_load
