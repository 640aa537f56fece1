"""Uses what the Python host has with its types: `mypy --strict typed.py` is
clean, and it runs: `python typed.py FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pagebox
from pagebox import (ChangedPage, CommitInfo, Compacted, Engine, Obstacle, PageFile, PagerError,
                     Snapshot, State, Stats,
                     Transaction, View)


def fill(tx: Transaction, count: int) -> list[int]:
    pages = tx.alloc_protected(count)
    for number, page in enumerate(pages):
        view: View = tx.stage(page)
        view[0] = number
        view[1:6] = b"hello"
        view.write(6, bytearray(b"!"))
    return pages


def words(file: PageFile, pages: list[int]) -> list[bytes]:
    found: list[bytes] = [file.view_protected(page)[1:7] for page in pages]
    first: int = file.view_protected(pages[0])[0]
    return found + [bytes([first]), file.view_protected(pages[0]).read(0, 2)]


def states(file: PageFile, page: int) -> None:
    monday: Snapshot = file.create_snapshot("monday")
    state: State
    with file.committed_state() as state:
        file.free_protected(page)
        view: View = state.view_protected(page)
        ids: list[int] = list(state.protected_pages())
        assert view[1:6] == b"hello" and page in ids and state.generation == monday.generation
    assert page not in file.protected_pages() and len(list(file.regular_pages())) == 1
    changes: list[ChangedPage] = [*file.changes("monday"), *file.changes(None, "monday")]
    assert [it.change for it in changes] == ["removed", "added"] and changes[0].page == page
    with file.snapshot("monday") as state:
        assert state.view_protected(page)[1:6] == b"hello"
    changed: int = file.restore_snapshot("monday")
    alone: int = file.snapshot_pages("monday")
    freed: int = file.delete_snapshot("monday")
    left: list[Snapshot] = file.snapshots()
    current: bool = file.is_current()
    assert changed == 1 and 0 < alone <= freed and left == [] and current


def main(folder: str) -> None:
    path = Path(folder) / "typed.pages"
    engine = Engine()
    with engine.create(path, page_size=1024, page_count=8) as file:
        with file.begin() as tx:
            pages = fill(tx, 2)
            regular: list[int] = tx.alloc(2)
        other = file.begin()
        other.free(regular[1:])
        other.free_protected(pages[1:])
        info: CommitInfo = other.commit()
        file.begin().rollback()
        stats: Stats = file.stats()
        assert info.generation == stats.generation and stats.page_size == 1024
        assert (stats.format, stats.algorithm) == ("1.0", "xxh3")
        assert all(isinstance(capability, str) for capability in stats.capabilities)
        page: int = file.alloc()
        made: int = file.alloc_protected()
        freed: CommitInfo = file.free(page)
        assert file.free_protected(made).generation == freed.generation + 1
        with file.begin() as tx:
            tx.claim_protected([7, 9])
        states(file, pages[0])
        shorter: Compacted = file.compact()
        way: Obstacle | None = shorter.obstacle
        assert way is None or way.kind in {"contents", "regular"}, way
        assert shorter.page_count == file.stats().page_count and shorter.moved >= 0
        file.view(regular[0])[:] = bytes(1024)
        file.sync()
    with engine.open(os.fspath(path), read_only=True) as file:
        assert words(file, pages[:1]) == [b"hello!", b"\0", b"\0h"]
        try:
            file.view(1 << 40)
        except PagerError as error:
            tag: str = error.tag
            assert tag == "out-of-range", error
    with pagebox.create(Path(folder) / "zero.pages", format=0) as file:
        stats = file.stats()
        assert (stats.format, stats.capabilities, stats.algorithm) == ("0.2", [], "crc32")
    with pagebox.open(Path(folder) / "zero.pages", read_only=True) as file:
        assert file.stats().page_count == stats.page_count
    print("all is as declared")


if __name__ == "__main__":
    main(*sys.argv[1:])
