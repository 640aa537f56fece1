"""Page files: an engine, and what it opens."""

from __future__ import annotations

import errno
import os
import secrets
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator

import wasmtime
from wasmtime.component import Component, Linker, Record, ResourceHost, Variant

from . import _byte_lists, _types
from ._figures import Compacted, CommitInfo, Stats, fields, obstacle_of, record
from ._signals import SignalsHeld
from ._states import PART, ChangedPage, Snapshot, State, listed, name_of, named
from ._store import (STORE, U64, FileStore, PagerError, Path, Private, View, add_to_linker,
                     checksum, integer)
from ._transaction import Transaction

_byte_lists.install()
_types.install()

# The component that is in the package.
COMPONENT = os.path.join(os.path.dirname(__file__), "pager.wasm")

# Bytes of pages that one step of a compaction moves at most.
STEP = 1 << 20

# How a root record of format 1 begins.
ROOT_RECORD = b"PBOXROOT"


class Engine:
    """The component, compiled: one for any number of files. It is the one in the
    package, unless another file is named."""

    def __init__(self, component: str | os.PathLike[str] = COMPONENT) -> None:
        self.engine = wasmtime.Engine()
        self.component = Component.from_file(self.engine, os.fspath(component))

    def create(self, path: Path, page_size: int = 4096, page_count: int = 4, *,
               format: int = 1) -> PageFile:
        """Makes a page file: after a crash there is all of it, or none.

        `page_size` is a power of two, 1024 to 524288; the file has `page_count`
        pages at first, or the few more that a file has at least. `format` is 1, or
        0 for a file that `mappedpages` 0.2 reads, too. Raises `FileExistsError` if
        there is a file of this name."""
        page_size = integer("page_size", page_size, 1 << 32)
        # There are pages of 1048576 bytes, but wasmtime's Python package does
        # not copy as much at once.
        if page_size & (page_size - 1) or not 1 << 10 <= page_size <= 1 << 19:
            raise ValueError(f"page_size must be a power of two, 1024 to 524288, not {page_size}")
        page_count = integer("page_count", page_count, U64)
        format = integer("format", format, 2)
        name = os.fsdecode(path)
        if os.path.lexists(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        temporary = f"{name}.new-{secrets.token_hex(8)}"
        file = None
        try:
            store = FileStore(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, name)
            store.page_size = page_size
            file = PageFile(self, store, "create", record(
                format=format, page_count=page_count,
                uuid=(secrets.randbits(64), secrets.randbits(64))))
            try:
                os.link(temporary, name)
            except FileExistsError:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
            folder = os.open(os.path.dirname(os.path.abspath(name)), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except BaseException:
            if file is not None:
                file.close()
            raise
        finally:
            try:
                os.unlink(temporary)
            except FileNotFoundError:
                pass  # it was not made
        return file

    def open(self, path: Path, *, read_only: bool = False) -> PageFile:
        """Opens a page file to change it, and locks it; or only to read it,
        without a lock. Its page size and its format are found in it.

        Raises `PagerError`, tag `locked`, if somebody else has it open to change
        it, in this process or in another one."""
        if not isinstance(read_only, bool):
            raise TypeError(f"read_only must be a bool, not {type(read_only).__name__}")
        store = FileStore.open(path, read_only)
        return PageFile(self, store, "open", "read" if read_only else "write")


class PageFile:
    """An open page file, and an instance of the component that serves it."""

    def __init__(self, engine: Engine, file: FileStore, how: str, argument: Any) -> None:
        self._file = file
        self._failed = False
        self._deferred = False  # whether a commit may not be durable yet
        # Where protected pages are whose bytes were verified, or written here.
        self._places: dict[int, int] = {}
        # Exports of `pager` that were called, by their names.
        self._functions: dict[str, Any] = {}
        # Handles that nobody uses any more.
        self._forgotten: list[Any] = []
        # Of the checksums of protected pages, once it is known.
        self._algorithm: str | None = None
        try:
            self._store = wasmtime.Store(engine.engine)
            linker = Linker(engine.engine)
            self._views = add_to_linker(linker, file)
            self._instance = linker.instantiate(self._store, engine.component)
            self._exports = self._instance.get_export_index(
                self._store, "pagebox:pager/pager@0.2.0")
            if how == "open":
                file.page_size = self._page_size()
            self._pager: Any = self._call(how, ResourceHost.own(0, STORE), argument)
        except BaseException:
            file.close()
            raise

    def _page_size(self) -> int:
        """The page size of the file: it begins with it. Where that has rotted, a
        file of format 1 says it again in its root records."""
        def told(head: bytes) -> int:
            size: int = self._call("page-size", head)
            return size

        try:
            return told(self._file.head(512))
        except PagerError as error:
            if error.tag != "not-a-page-file":
                raise
            refused = error
        # A megabyte takes half a second and 80 more of memory on its way into the
        # component. So it gets no more than three pages, in which both records lie,
        # and nothing where there is none. Pages count as 4096 bytes if they are
        # smaller.
        first_pages = self._file.head(3 << 20)
        for bits in range(12, 21):
            head = first_pages[:3 << bits]
            if ROOT_RECORD in head:
                try:
                    return told(head)
                except PagerError as error:
                    refused = error
        raise refused

    def _call(self, name: str, *args: Any) -> Any:
        """Calls an export of `pager`. Its error is raised."""
        self._file.fd  # raises if it is closed, or this is a fork
        return self._guarded(name, lambda: self._enter(name, *args))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Calls and what is noted of them, without another call or a signal in
        between."""
        self._file.fd  # the lock may be held for ever in a fork
        with self._file.lock, SignalsHeld():
            yield

    def _guarded(self, name: str, work: Callable[[], Any]) -> Any:
        """One call at a time, and without signals. After a failure of the
        sandbox there is no other call."""
        with self._file.lock, SignalsHeld():
            if self._failed:
                raise PagerError("the sandbox failed before: close "
                                 f"{self._file.name} and open it again", "sandbox")
            try:
                while self._forgotten:
                    self._forgotten.pop().drop(self._store)
                return work()
            except PagerError:
                raise
            except Exception as error:
                self._failed = True
                what = name.rpartition(".")[2]
                cause = str(error).strip().splitlines()[-1:] or [type(error).__name__]
                raise PagerError(f"the sandbox failed in {what} of {self._file.name}: "
                                 f"{cause[0].strip()}", "sandbox") from error

    def _enter(self, name: str, *args: Any) -> Any:
        function: Any = self._functions.get(name)
        if function is None:
            index: Any = self._instance.get_export_index(self._store, name, self._exports)
            function = self._functions[name] = self._instance.get_func(self._store, index)
        result = function(self._store, *args)
        if isinstance(result, Variant):
            raise PagerError(self._enter("describe", result), result.tag)
        return result

    def _call_for_view(self, name: str, *args: Any) -> View:
        """The same for a view: the handle comes back, and the view is ours."""
        handle = self._call(name, *args).to_host(self._store)
        view = self._views.take(handle.rep)
        view.file = self
        return view

    def _call_for_name(self, name: str, snapshot: str, *args: Any) -> Any:
        """The same for a snapshot: its error has the name, which the component does
        not say."""
        try:
            return self._call(f"[method]pager.{name}", self._pager, snapshot, *args)
        except PagerError as error:
            raise named(error, snapshot) from None

    def _drop(self, handle: Any, what: str) -> None:
        """Gives up a handle of the component, if there is one."""
        if handle is None or self._file.is_closed or self._failed:
            return
        if os.getpid() == self._file.process:
            self._guarded(what, lambda: handle.drop(self._store))

    def _committed(self, page: int) -> bytearray:
        """A copy of a protected page as it is committed, verified."""
        if page in self._places:
            return bytearray(self._file.read(self._places[page], 0, self._file.page_size))
        return self._verified("pager", self._pager, page, self._places)

    def _verified(self, kind: str, handle: Any, page: int,
                  places: dict[int, int] | None = None) -> bytearray:
        """A copy of a protected page of the committed state, or of another one,
        verified. Its bytes are read here; the component says where they are, which
        goes to `places`."""
        size = self._file.page_size
        location = self._call(f"[method]{kind}.locate-protected", handle, page)
        if location.page is None:
            return bytearray(size)  # zeros, which no page has
        data = self._file.read(location.page, 0, size)
        if vars(checksum(location.checksum.algorithm, data)) == vars(location.checksum):
            if places is not None:
                places[page] = location.page
            return bytearray(data)
        if location.generation == 0:
            return bytearray(size)  # allocated by another program, and never written
        self._call_for_view(f"[method]{kind}.view-protected", handle, page)  # says what is wrong
        raise PagerError(f"protected page {page} changes while it is read", "changed")

    def _checksum(self, data: bytearray) -> Record:
        """Of bytes of a protected page."""
        if self._algorithm is None:
            self._algorithm = self.stats().algorithm
        return checksum(self._algorithm, data)

    def stats(self) -> Stats:
        self._file.fd
        return Stats(**fields(self._call("[method]pager.stats", self._pager)))

    def view(self, page: int) -> View:
        """A regular page, to read and to write. Durable after `sync`."""
        page = integer("page", page, U64)
        return self._call_for_view("[method]pager.view", self._pager, page)

    def view_protected(self, page: int) -> View:
        """A protected page, verified, to read. Of a file that was opened to read it is a
        copy: somebody else may commit meanwhile, and then what is not found any more
        is an error, tag `changed`."""
        page = integer("page", page, U64)
        if self._file.read_only:
            with self._turn():
                private = Private(self._verified("pager", self._pager, page))
                view = View(self._file, private=private, writable=False)
            view.file = self
            return view
        try:
            return self._call_for_view("[method]pager.view-protected", self._pager, page)
        except PagerError as error:
            if error.tag != "not-supported":
                raise
        # It was never written: there are zeros, which no page has.
        view = View(self._file, writable=False)
        view.file = self
        return view

    def sync(self) -> None:
        """Makes durable what was written to regular pages, and what was deferred."""
        with self._turn():
            self._call("[method]pager.sync", self._pager)
            self._deferred = False

    def alloc(self) -> int:
        """Allocates a regular page, which reads as zeros, and commits that: a
        transaction of one operation, in one call."""
        page: int = self._call("[method]pager.alloc", self._pager).id
        return page

    def free(self, page: int) -> CommitInfo:
        """Frees a regular page, and commits that."""
        page = integer("page", page, U64)
        return CommitInfo(**fields(self._call("[method]pager.free", self._pager, page)))

    def alloc_protected(self) -> int:
        """Allocates a protected page, which reads as zeros, and commits that."""
        page: int = self._call("[method]pager.alloc-protected", self._pager).id
        return page

    def free_protected(self, page: int) -> CommitInfo:
        """Frees a protected page, and commits that."""
        page = integer("page", page, U64)
        with self._turn():
            info = self._call("[method]pager.free-protected", self._pager, page)
            self._places.pop(page, None)
        return CommitInfo(**fields(info))

    def regular_pages(self) -> Iterator[int]:
        """The numbers of allocated regular pages, in ascending order. A commit
        meanwhile shows in what is still to come."""
        runs = listed(
            lambda start: self._call("[method]pager.allocated", self._pager, start, PART),
            lambda run: int(run.first + run.count - 1))
        return (page for run in runs for page in range(run.first, run.first + run.count))

    def protected_pages(self) -> Iterator[int]:
        """The ids of protected pages, in ascending order. A commit meanwhile shows
        in what is still to come; a state has one list."""
        return (entry.id for entry in listed(
            lambda start: self._call("[method]pager.protected", self._pager, start, PART),
            lambda entry: entry.id))

    def is_current(self) -> bool:
        """Whether what was found at opening still counts. A file that was opened to
        read does not see what others commit: open it again for that."""
        current: bool = self._call("[method]pager.is-current", self._pager)
        return current

    def committed_state(self) -> State:
        """The protected pages as they are committed now, deferred commits among
        them, to be read while commits go on. Of a file of format 1 that was opened
        to change it. (`view` is another thing: the bytes of one page.)"""
        with self._turn():
            return self._state(self._call("[method]pager.pin", self._pager))

    def snapshot(self, name: str) -> State:
        """The protected pages as they were when a snapshot was made. It can be read
        also when the snapshot is deleted here. A file that was opened to read cannot
        keep what somebody else deletes: then what is not found any more is an
        error, tag `changed`."""
        name = name_of("name", name)
        with self._turn():
            if not self._file.read_only:
                return self._state(self._call_for_name("pin-snapshot", name))
            root = self._call_for_name("snapshot-root", name)
            handle = self._call("open-at", ResourceHost.own(0, STORE), root)
            stats = self._call("[method]pager.stats", handle)
            return State(self, "pager", handle, stats.generation)

    def _state(self, handle: Any) -> State:
        return State(self, "view", handle, self._call("[method]view.generation", handle))

    def snapshots(self) -> list[Snapshot]:
        """The snapshots, oldest first. A file of format 0 has none."""
        found = self._call("[method]pager.snapshots", self._pager)
        return [Snapshot(**fields(snapshot)) for snapshot in found]

    def create_snapshot(self, name: str) -> Snapshot:
        """Gives the protected pages, as they are committed now, a name under which
        they stay, whatever is committed later: one commit, durable when this
        returns, with all that was deferred. Nothing is copied. Regular pages are
        changed in place: no snapshot has them.

        A name is a text of 1 to 64 bytes. Of format 1. Raises `PagerError`, tag
        `is-snapshot`, if there is one of this name, and `snapshot-name` if none can
        have it."""
        name, now = name_of("name", name), time.time_ns()
        with self._turn():
            info = self._call_for_name("create-snapshot", name, now)
            self._deferred = False
        return Snapshot(name, info.generation, now)

    def delete_snapshot(self, name: str) -> int:
        """Deletes a snapshot, durably. Gives the number of pages that this frees:
        what is read of it still stays until that is closed. Raises `PagerError`,
        tag `no-snapshot`, if there is none of this name; so does whatever takes a
        name, but for `create_snapshot`."""
        name = name_of("name", name)
        with self._turn():
            pages: int = self._call_for_name("delete-snapshot", name).pages
            self._deferred = False
        return pages

    def restore_snapshot(self, name: str) -> int:
        """Gives every protected page the bytes that it had in a snapshot, and frees
        those that there were not: one durable commit. Gives the number of protected
        pages that change. Snapshots stay, newer ones too, and so do regular pages.
        Transactions that are open cannot be committed any more."""
        name = name_of("name", name)
        with self._turn():
            self._places = {}  # each page may be elsewhere, after a failure too
            pages: int = self._call_for_name("restore-snapshot", name).pages
            self._deferred = False
        return pages

    def compact(self, page_count: int = 0) -> Compacted:
        """Makes the file as short as `page_count` pages, or as short as can be: moves
        protected pages, which keep their ids, to free places further down, in small
        durable commits, and gives the end of the file back. Whatever happens, nothing
        is lost. Regular pages and those of snapshots are not moved, and a state that
        is not closed keeps the whole end: the result says what stands in the way.
        Transactions that are open cannot be committed any more. Of format 1."""
        page_count = integer("page_count", page_count, U64)
        moved = 0
        while True:  # each step is a call: signals and other threads come between
            with self._turn():
                self._places = {}  # each page may be elsewhere, after a failure too
                limit = max(1, STEP // self._file.page_size)
                step = self._call("[method]pager.compact", self._pager, page_count, limit)
                self._deferred = False
            moved += step.moved
            if step.done:
                info = CommitInfo(**fields(step.info))
                return Compacted(moved, info.page_count, obstacle_of(step.obstacle))

    def snapshot_pages(self, name: str) -> int:
        """The number of pages that a snapshot has alone, which deleting it frees."""
        pages: int = self._call_for_name("snapshot-pages", name_of("name", name))
        return pages

    def changes(self, before: str | None = None, after: str | None = None) -> Iterator[ChangedPage]:
        """The protected pages whose bytes are others in one snapshot than in
        another, in ascending order. In place of a name that is None: the committed
        state. What both have in common is not read."""
        names = [value if value is None else name_of(name, value)
                 for name, value in [("before", before), ("after", after)]]

        def part(start: int) -> list[Any]:
            try:
                found: list[Any] = self._call("[method]pager.changes", self._pager, *names, start,
                                              PART)
                return found
            except PagerError as error:
                raise named(error, *(name for name in names if name is not None)) from None
        return (ChangedPage.of(entry) for entry in listed(part, lambda entry: int(entry.id)))

    def begin(self, *, deferred: bool = False) -> Transaction:
        """A transaction, to be committed. A deferred one (of format 1) syncs
        nothing: it is seen at once, and durable with the next one that is not
        deferred, with `sync`, or when the file is closed. A crash before that
        undoes it, and those after it, and nothing else."""
        if not isinstance(deferred, bool):
            raise TypeError(f"deferred must be a bool, not {type(deferred).__name__}")
        return Transaction(self, deferred)

    def close(self) -> None:
        """Makes durable what was deferred, closes the file and gives up its lock,
        whatever happened before. Transactions that are open never happened. Closing
        it again does nothing."""
        # All else that the component would do is forget: its memory goes with it.
        if os.getpid() != self._file.process:
            self._file.close()  # the lock may be held for ever here
            return
        with self._file.lock:
            try:
                if self._deferred and not self._file.is_closed and not self._failed:
                    self.sync()
            except PagerError as error:
                if error.tag != "poisoned":  # that was told before
                    raise
            finally:
                self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def __enter__(self) -> PageFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
