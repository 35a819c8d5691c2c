"""Hooks of a function that starts from a snapshot: what to call before it is taken, and after each restore.

Stands in for AWS's package of this name, which comes with AWS's runtime; a copy in the function's own code comes first.
"""

__version__ = "1.0.0"
__all__ = ["register_before_snapshot", "register_after_restore"]

_before_snapshot_registry = []
_after_restore_registry = []


def register_before_snapshot(func, *args, **kwargs):
    """Has `func` called before the snapshot is taken: the last that was registered first. Answers `func`, so that it decorates."""
    _before_snapshot_registry.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Has `func` called after each restore, in the order of registration. Answers `func`, so that it decorates."""
    _after_restore_registry.append((func, args, kwargs))
    return func


def get_before_snapshot():
    """Answers what was registered, for the runtime: functions, each with its arguments."""
    return _before_snapshot_registry


def get_after_restore():
    """Answers what was registered, for the runtime: functions, each with its arguments."""
    return _after_restore_registry
