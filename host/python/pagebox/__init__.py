"""Page files: fixed-size pages that survive crashes. The pager is a WebAssembly
component, which wasmtime runs.

    import pagebox

    with pagebox.create("data.pages") as file:
        with file.begin() as tx:  # commits at the end; an exception rolls back
            page, = tx.alloc_protected(1)
            tx.stage(page)[:5] = b"hello"
        print(file.view_protected(page)[:5])
        file.create_snapshot("monday")  # of all protected pages; it stays in the file
        with file.snapshot("monday") as state:  # stays as it is, whatever is committed
            print(state.view_protected(page)[:5])

A file can be used by any thread, one call at a time. After a fork it is the
parent's alone: calls of the child are errors, and its `close` gives up nothing.
Signals wait until a call is over.
"""

from __future__ import annotations

from functools import lru_cache

from ._figures import Compacted, CommitInfo, Obstacle, Stats
from ._file import Engine, PageFile
from ._states import ChangedPage, Snapshot, State
from ._store import PagerError, Path, View
from ._transaction import Transaction

__all__ = ["ChangedPage", "CommitInfo", "Compacted", "Engine", "Obstacle", "PageFile", "PagerError",
           "Snapshot", "State", "Stats", "Transaction", "View", "create", "open"]


@lru_cache(maxsize=None)
def _engine() -> Engine:
    """The component is compiled once, which takes longer than opening a file."""
    return Engine()


def create(path: Path, page_size: int = 4096, page_count: int = 4, *,
           format: int = 1) -> PageFile:
    """Makes a page file: see `Engine.create`."""
    return _engine().create(path, page_size, page_count, format=format)


def open(path: Path, *, read_only: bool = False) -> PageFile:
    """Opens a page file: see `Engine.open`."""
    return _engine().open(path, read_only=read_only)
