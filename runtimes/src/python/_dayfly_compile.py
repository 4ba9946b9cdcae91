"""Compiles the package of one function, in a sandbox that holds nothing else. Runs none of it.

Writes to descriptor 3 what `Compiled` in `bootstrap.py` reads: the length of an index, the index (a path to offset and
length), the code. Writes nothing where that would not pay. The argument is how many bytes of code there may be.
"""

import marshal
import os
import sys
import warnings

TASK = "/var/task"
OUT_FD = 3
HEAD_BYTES = 8
# Below this, compiling takes no longer than looking for what was compiled.
LEAST_SOURCE_BYTES = 4096
MOST_SOURCE_BYTES = 4 << 20


def sources(folder):
    for here, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(here, name)
            if name.endswith(".py") and os.path.isfile(path) and not os.path.islink(path):
                yield path


def compiled(folder, most_bytes):
    """The index, the code of what can be compiled, and how many bytes of source that were."""
    index, parts, offset, source_bytes = {}, [], 0, 0
    for path in sources(folder):
        with open(path, "rb") as file:
            source = file.read(MOST_SOURCE_BYTES + 1)
        if len(source) > MOST_SOURCE_BYTES:
            continue
        try:
            code = marshal.dumps(compile(source, path, "exec", dont_inherit=True))
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            continue  # whoever imports it is told
        if offset + len(code) > most_bytes:
            break
        index[path] = (offset, len(code))
        parts.append(code)
        offset += len(code)
        source_bytes += len(source)
    return marshal.dumps(index), parts, source_bytes


def main():
    warnings.simplefilter("ignore")
    index, parts, source_bytes = compiled(TASK, int(sys.argv[1]))
    if source_bytes >= LEAST_SOURCE_BYTES:
        with open(OUT_FD, "wb") as out:
            out.write(len(index).to_bytes(HEAD_BYTES, "little") + index)
            out.writelines(parts)


main()
