"""Hooks around a snapshot, under the name and with the functions of AWS's library for Python, which its runtimes bring
along: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""

_before_snapshot, _after_restore = [], []


def register_before_snapshot(func, *args, **kwargs):
    """Runs `func` once, before copies are made; the last one registered first. Usable as a decorator."""
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Runs `func` in every copy before its first call, in the order of registration. Usable as a decorator."""
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot():
    """What was registered: functions, arguments, named arguments."""
    return list(_before_snapshot)


def get_after_restore():
    """What was registered: functions, arguments, named arguments."""
    return list(_after_restore)
