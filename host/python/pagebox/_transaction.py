"""Transactions: changes that are all made, or none."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterable

from ._figures import CommitInfo, fields
from ._held import HeldPage, HeldPages
from ._store import U64, PagerError, Private, View, integer

if TYPE_CHECKING:
    from ._file import PageFile


class Transaction:
    """Pending changes: all of them at `commit`, or none.

    The bytes of protected pages are staged here. The component learns of them
    at commit, by their number and checksum, and never sees them: a list of bytes
    takes milliseconds on its way into it."""

    def __init__(self, file: PageFile, deferred: bool = False) -> None:
        self._file = file
        self._durability = "deferred" if deferred else "durable"
        self._staged: dict[int, Private] = {}
        self._created: set[int] = set()
        self._freed: set[int] = set()
        self._handle: Any = file._call("[method]pager.begin", file._pager)

    def _open(self) -> Any:
        self._file._file.fd
        if self._handle is None:
            raise PagerError("the transaction is over: it was committed or rolled back", "ended")
        return self._handle

    def _call(self, name: str, *args: Any) -> Any:
        return self._file._call(f"[method]transaction.{name}", self._open(), *args)

    def alloc(self, count: int) -> list[int]:
        """Allocates regular pages, which read as zeros once committed."""
        made: list[int] = self._call("alloc", integer("count", count, 1 << 32))
        return made

    def free(self, pages: Iterable[int]) -> None:
        self._call("free", integers("pages", pages))

    def alloc_protected(self, count: int) -> list[int]:
        """Allocates protected pages, which read as zeros once committed."""
        count = integer("count", count, 1 << 32)
        with self._file._turn():
            made: list[int] = self._call("alloc-protected", count)
            self._created.update(made)
        return made

    def claim_protected(self, pages: Iterable[int]) -> None:
        """Allocates protected pages under ids of the caller's choice."""
        ids = integers("pages", pages)
        with self._file._turn():
            self._call("claim-protected", ids)
            self._created.update(ids)

    def free_protected(self, pages: Iterable[int]) -> None:
        ids = integers("pages", pages)
        with self._file._turn():
            self._call("free-protected", ids)
            self._created.difference_update(ids)
            self._freed.update(ids)
            for page in ids:
                if page in self._staged:
                    self._staged.pop(page).data = None

    def stage(self, page: int) -> View:
        """A protected page to be changed; it starts as its current bytes."""
        page = integer("page", page, U64)
        self._open()
        with self._file._turn():
            if page not in self._staged:
                if page in self._created:
                    data = bytearray(self._file._file.page_size)
                elif page in self._freed:
                    raise PagerError(f"there is no protected page {page}: it was freed in this "
                                     "transaction", "not-protected")
                else:
                    data = self._file._committed(page)
                self._staged[page] = Private(data)
            view = View(self._file._file, private=self._staged[page])
        view.file = self._file
        return view

    def commit(self) -> CommitInfo:
        """Makes the changes durable: all of them or, if it raises, none or all;
        which it is shows when the file is opened again. Of a deferred transaction
        they are seen at once and durable later."""
        file = self._file
        self._open()
        with file._turn():
            handle, self._handle = self._open(), None
            staged = {page: private.data for page, private in self._staged.items()
                      if private.data is not None}
            file._views.hold(list(staged.values()))
            pages = HeldPages(HeldPage(page, file._checksum(data))
                              for page, data in staged.items())
            known, file._places = file._places, {}  # until it is known what became of it
            try:
                info = file._guarded("commit", lambda: self._commit(handle, pages))
                written = file._views.written
            finally:
                file._views.hold([])
                self._end()
            for page in self._freed:
                known.pop(page, None)
            known.update((page, written[number]) for number, page in enumerate(staged))
            file._places = known
            file._deferred = info.durable < info.generation
        return CommitInfo(**fields(info))

    def _commit(self, handle: Any, pages: HeldPages) -> Any:
        if pages:
            try:
                self._file._enter("[method]transaction.write", handle, pages)
            except PagerError:
                handle.drop(self._file._store)
                raise
        return self._file._enter("commit", handle, self._durability)

    def _end(self) -> None:
        """Nothing is staged any more."""
        for private in self._staged.values():
            private.data = None
        self._staged.clear()

    def rollback(self) -> None:
        """Drops the changes. A transaction that is over stays as it is."""
        handle, self._handle = self._handle, None
        self._end()
        self._file._drop(handle, "rolling back")

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None and self._handle is not None:
            self.commit()
        self.rollback()


def integers(name: str, values: Iterable[int]) -> list[int]:
    if isinstance(values, (str, bytes, bytearray, memoryview)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} must be a list of integers, not {type(values).__name__}")
    return [integer(f"{name}[{at}]", value, U64) for at, value in enumerate(values)]
