"""A page store for the pager component that is a file: the import `page-store`.

Views stay on this side: the component passes handles, the host slices the file.

Format 0 asks for CRC-32, which comes with Python, and format 1 for XXH3, which
is that of the package `xxhash`.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import operator
import os
import stat
import threading
import zlib
from typing import Any, Callable, Iterator, NamedTuple, Union, overload

import xxhash
from wasmtime.component import Linker, Record, ResourceHost, ResourceType, Variant

from ._held import Changes
from ._types import Import, Replacements, add_function

STORE, VIEW = 1, 2  # which resource a handle is of
U64 = 1 << 64

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
# Whatever `memoryview` takes: bytes, bytearray, array, mmap.
Buffer = Any


class PagerError(Exception):
    """Why an operation was not done, in a sentence.

    `tag` is the case of the WIT's `error` (`not-allocated`), or one of the
    host's own: `closed`, `ended` (a view or a transaction), `forked`, `locked`,
    `read-only`, `out-of-bounds` (somebody made the file shorter), `sandbox` (the
    component failed: close the file and open it again)."""

    def __init__(self, text: str, tag: str) -> None:
        super().__init__(text)
        self.tag = tag


class StoreError(PagerError):
    """What the store refuses: `tag` is a case of the WIT's `store-error`."""


def integer(name: str, value: Any, end: int) -> int:
    """An argument that is to be an integer of 0 to `end` - 1."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    number = operator.index(value)
    if not 0 <= number < end:
        raise ValueError(f"{name} must be 0 to {end - 1}, not {number}")
    return number


def in_one_piece(name: str, value: Any) -> memoryview:
    """An argument that is to be bytes."""
    try:
        return memoryview(value).cast("B")
    except TypeError:
        raise TypeError(f"{name} must be bytes, or what else has its bytes in one piece, not "
                        f"{type(value).__name__}") from None


# The checksums of a page, by the names that the WIT has for them.
CHECKSUMS: dict[str, Callable[[Buffer], int]] = {
    "crc32": zlib.crc32,
    "xxh3": xxhash.xxh3_128_intdigest,
}


def checksum(algorithm: str, data: Buffer) -> Record:
    """The checksum of a page, as the WIT has it."""
    whole = CHECKSUMS[algorithm](data)
    made = Record()
    for name, value in [("algorithm", algorithm), ("low", whole % U64), ("high", whole // U64)]:
        setattr(made, name, value)
    return made


def sync(fd: int) -> None:
    """Makes the bytes of a file durable, and as much of its metadata as reading them
    back takes, where the system can tell the two apart: without the time of the last
    change there is less to write."""
    (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(fd)


class Write(NamedTuple):
    """A change: bytes over a page, or zeros over a run of pages."""

    page: int
    data: bytes | None = None
    pages: int = 1


class Named:
    """Gives errors of the system the name of a file."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            error.filename = self.name


class FileStore:
    """Pages of one file, for this process alone. `page_size` is to be set before
    the component has it; errors name `name`, which is the path unless said
    otherwise."""

    def __init__(self, path: Path, flags: int, name: str | None = None) -> None:
        self.name = os.fsdecode(path) if name is None else name
        self._named = Named(self.name)
        self.page_size = 0
        self.read_only = flags & os.O_ACCMODE == os.O_RDONLY
        self.process = os.getpid()
        # Grows when the pages change: what was shown of them has ended then.
        self.state = 0
        # The page counts that the file was made shorter to: what was shown of
        # pages past those has ended too.
        self.cuts: list[int] = []
        self.lock = threading.RLock()
        with self.named():
            self._fd = os.open(path, flags | os.O_NONBLOCK, 0o666)
        try:
            kind = os.fstat(self._fd).st_mode
            if stat.S_ISDIR(kind):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            if not stat.S_ISREG(kind):
                raise OSError(errno.EINVAL, "not a regular file", path)
            if not self.read_only:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise PagerError(f"{self.name} is in use, by another process or by this one",
                             "locked") from None
        except BaseException:
            os.close(self._fd)
            raise

    @classmethod
    def open(cls, path: Path, read_only: bool) -> FileStore:
        """An existing file, which is locked unless it is only read."""
        while True:
            store = cls(path, os.O_RDONLY if read_only else os.O_RDWR)
            # Another file may have taken the name in between: a lock on the old
            # one keeps nobody out.
            try:
                if read_only or os.path.samestat(os.fstat(store.fd), os.stat(path)):
                    return store
            except BaseException:
                store.close()
                raise
            store.close()

    @property
    def fd(self) -> int:
        """The open file. Somebody else's may have its number after it is
        closed, and a fork shares it: it is not to be kept."""
        self.check_process()
        if self._fd < 0:
            raise PagerError(f"{self.name} is closed", "closed")
        return self._fd

    def check_process(self) -> None:
        if os.getpid() != self.process:
            raise PagerError(f"{self.name} is open in process {self.process}, and this is a "
                             "fork of it: open it here", "forked")

    @property
    def is_closed(self) -> bool:
        return self._fd < 0

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            # A fork has the same lock: only we give it up, and whoever has a
            # copy of the descriptor does not keep it.
            if not self.read_only and os.getpid() == self.process:
                fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            os.close(fd)

    def named(self) -> Named:
        """Errors of the system name the file, which calls on a descriptor do not."""
        return self._named

    def head(self, length: int) -> bytes:
        """The first bytes, fewer if there are no more."""
        with self.named():
            return os.pread(self.fd, length, 0)

    def page_count(self) -> int:
        with self.named():
            return os.fstat(self.fd).st_size // self.page_size

    def geometry(self) -> Record:
        made = Record()
        setattr(made, "page-size", self.page_size)
        with self.named():
            size = os.fstat(self.fd).st_size
        setattr(made, "page-count", size // self.page_size)
        setattr(made, "tail", size % self.page_size)
        return made

    def check(self, page: int, offset: int = 0, length: int = 0) -> None:
        page_count = self.page_count()
        if page >= page_count or offset + length > self.page_size:
            raise self.out_of_bounds(f"{length} bytes from offset {offset} of page {page}",
                                     page_count)

    def out_of_bounds(self, what: str, page_count: int) -> StoreError:
        return StoreError(f"{what} are not in {self.name}: it has {page_count} pages of "
                          f"{self.page_size} bytes", "out-of-bounds")

    def check_writable(self) -> None:
        if self.read_only:
            raise StoreError(f"{self.name} was opened to read", "read-only")

    def read(self, page: int, offset: int, length: int) -> bytes:
        self.check(page, offset, length)
        with self.named():
            data = os.pread(self.fd, length, page * self.page_size + offset)
            if len(data) != length:
                raise OSError(errno.EIO, "the file ends early")
        return data

    def write_at(self, page: int, offset: int, data: Buffer) -> None:
        self.check_writable()
        self.check(page, offset, len(data))
        with self.named():
            self._write(page * self.page_size + offset, data)

    def _write(self, position: int, data: Buffer) -> None:
        """Writes bytes of which was checked that they belong there."""
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self.fd, rest, position)
            position, rest = position + count, rest[count:]

    def write(self, changes: list[Write | None]) -> None:
        """Makes the changes in their order. None is a sync: of a file there is
        no less that keeps order."""
        if changes:
            self.check_writable()
        # All of it before anything is changed.
        page_count, touched = self.page_count(), 0
        for change in changes:
            if change is not None:
                touched += change.pages
                if change.page + change.pages > page_count or touched > page_count:
                    raise self.out_of_bounds(f"{change.pages} pages from {change.page}",
                                             page_count)
        if touched:
            self.state += 1
        with self.named():
            for change in changes:
                if change is None:
                    sync(self.fd)
                elif change.data is not None:
                    self._write(change.page * self.page_size, change.data)
                else:
                    for page in range(change.page, change.page + change.pages):
                        self._write(page * self.page_size, bytes(self.page_size))

    def truncate(self, page_count: int) -> Record:
        self.check_writable()
        if page_count < self.page_count():
            with self.named():
                os.ftruncate(self.fd, page_count * self.page_size)
            self.cuts.append(page_count)
        return self.geometry()

    def grow(self, page_count: int) -> Record:
        self.check_writable()
        with self.named():
            before = os.fstat(self.fd).st_size
            if page_count * self.page_size > before:
                try:
                    os.posix_fallocate(self.fd, 0, page_count * self.page_size)
                    os.fsync(self.fd)
                except BaseException:
                    os.ftruncate(self.fd, before)
                    raise
        return self.geometry()


class Private:
    """A private buffer, until it ends: then there are no data, and `ended` says why."""

    def __init__(self, data: bytearray, ended: str = "its transaction is over") -> None:
        self.data: bytearray | None = data
        self.ended = ended


class View:
    """The bytes of a page: `view[:5]`, `view[7]`, `bytes(view)`, and of a page
    that can be written `view[:5] = b"hello"`.

    A view ends with its file, a view of a page also when a commit changes the
    file, a staged page with its transaction, and one of a state with that. Used after that it raises
    `PagerError`, tag `ended`; so does writing to a protected page, tag
    `read-only`. An offset past the end of the page is an `IndexError`."""

    def __init__(self, store: FileStore, page: int | None = None, writable: bool = True,
                 private: Private | None = None) -> None:
        """Of a page, of a private buffer or, with neither, of zeros that no page
        has."""
        self._store, self._page, self._writable, self._private = store, page, writable, private
        self._state, self._cuts = store.state, len(store.cuts)
        # Who would close the file if nobody used it any more.
        self.file: object = None

    def share(self) -> View:
        """Another one on the same bytes."""
        other = View(self._store, self._page, self._writable, self._private)
        other._state, other._cuts = self._state, self._cuts
        return other

    def __len__(self) -> int:
        return self._store.page_size

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`."""
        offset, length = integer("offset", offset, 1 << 32), integer("length", length, 1 << 32)
        self._store.check_process()  # the lock may be held for ever in a fork
        with self._store.lock:
            private = self._buffer()
            self._require("length", offset, length)
            if private is not None:
                return bytes(private[offset:offset + length])
            if self._page is None:
                return bytes(length)
            return self._store.read(self._page, offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        """Replaces bytes from `offset`. Of a regular page, durable after
        `PageFile.sync`."""
        offset = integer("offset", offset, 1 << 32)
        data = in_one_piece("data", data)
        self._store.check_process()
        with self._store.lock:
            private = self._buffer()
            if not self._writable or self._store.read_only:
                why = (f"{self._store.name} was opened to read" if self._store.read_only
                       else "a protected page changes by a commit alone: see `stage`")
                raise StoreError(f"this view is read-only: {why}", "read-only")
            self._require("data", offset, len(data))
            if private is not None:
                private[offset:offset + len(data)] = data
            elif self._page is not None:  # zeros that no page has are read-only
                self._store.write_at(self._page, offset, data)

    def __bytes__(self) -> bytes:
        return self.read(0, len(self))

    def __iter__(self) -> Iterator[int]:
        return iter(bytes(self))

    @overload
    def __getitem__(self, place: int) -> int: ...

    @overload
    def __getitem__(self, place: slice) -> bytes: ...

    def __getitem__(self, place: int | slice) -> int | bytes:
        if not isinstance(place, slice):
            return self.read(self._index(place), 1)[0]
        start, stop, step = place.indices(len(self))
        if step != 1:
            return bytes(self)[place]
        return self.read(start, max(stop - start, 0))

    def __setitem__(self, place: int | slice, data: Any) -> None:
        if not isinstance(place, slice):
            self.write(self._index(place), bytes([integer("a byte", data, 256)]))
            return
        start, stop, step = place.indices(len(self))
        if step != 1:
            raise ValueError(f"bytes are written in one piece, not in steps of {step}")
        data = in_one_piece("data", data)
        if len(data) != max(stop - start, 0):
            raise ValueError(f"data: {len(data)} bytes for a place of {max(stop - start, 0)}")
        self.write(start, data)

    def __repr__(self) -> str:
        return f"<View of {len(self)} bytes>"

    def _index(self, place: Any) -> int:
        if isinstance(place, bool) or not hasattr(place, "__index__"):
            raise TypeError(f"a place must be an integer or a slice, not {type(place).__name__}")
        index = operator.index(place)
        if not -len(self) <= index < len(self):
            raise IndexError(f"byte {index} of a page of {len(self)}")
        return index % len(self)

    def _require(self, name: str, offset: int, length: int) -> None:
        if offset > len(self):
            raise IndexError(f"offset {offset} is past the end of a page of {len(self)} bytes")
        if offset + length > len(self):
            raise IndexError(f"{name}: {length} bytes from offset {offset} end past a page of "
                             f"{len(self)} bytes")

    def _buffer(self) -> bytearray | None:
        """The private buffer, if it is one. Raises if the view has ended."""
        name = self._store.name
        if self._store.is_closed:
            raise PagerError(f"this view has ended: {name} is closed", "ended")
        if self._private is not None:
            if self._private.data is None:
                raise PagerError(f"this view has ended: {self._private.ended}", "ended")
            return self._private.data
        if self._state != self._store.state:
            raise PagerError(f"this view has ended: a commit changed {name} since", "ended")
        if self._page is not None and any(page_count <= self._page for page_count in self._store.cuts[self._cuts:]):
            raise PagerError(f"this view has ended: {name} became shorter", "ended")
        return None


class Views:
    """The views that the component has, by the numbers of their handles."""

    def __init__(self) -> None:
        self._views: dict[int, View] = {}
        self._staged: dict[int, Private] = {}
        self._numbers = itertools.count(1)
        # What a commit is to write, by the numbers that it was given, and the
        # pages that it was written to.
        self.buffers: list[bytearray] = []
        self.written: dict[int, int] = {}

    def add(self, view: View, private: Private | None = None) -> ResourceHost:
        """`private` is what ends with this handle."""
        number = next(self._numbers)
        self._views[number] = view
        if private is not None:
            self._staged[number] = private
        return ResourceHost.own(number, VIEW)

    def of(self, context: Any, handle: Any) -> View:
        """Consumes the handle: a borrow that is kept traps."""
        return self._views[handle.to_host(context).rep]

    def take(self, number: int) -> View:
        """The view of a handle that came back to the host."""
        return self._views.pop(number)

    def hold(self, buffers: list[bytearray]) -> None:
        """What the component may write by number: 0, 1 and so on."""
        self.buffers, self.written = buffers, {}

    def held(self, number: int) -> bytearray:
        if number >= len(self.buffers):
            raise PagerError(f"there is no buffer {number}", "other")
        return self.buffers[number]

    def drop(self, number: int) -> None:
        del self._views[number]
        if number in self._staged:
            self._staged.pop(number).data = None


def add_to_linker(linker: Linker, store: FileStore) -> Views:
    """Adds the import. Gives the views that the component hands out."""
    views = Views()

    def view(page: int, access: str) -> ResourceHost:
        store.check(page)
        return views.add(View(store, page, writable=access == "read-write"))

    def stage(source: int | None) -> ResourceHost:
        copy = bytes(store.page_size) if source is None else store.read(source, 0, store.page_size)
        private = Private(bytearray(copy))
        return views.add(View(store, private=private), private)

    def page(data: bytes) -> bytes:
        if len(data) != store.page_size:
            raise StoreError(f"{len(data)} bytes over a page of {store.page_size}", "out-of-bounds")
        return data

    def native(context: Any, change: Variant) -> Write | None:
        what: Any = change.payload
        if change.tag == "sealed":
            crc = zlib.crc32(what.bytes[what.start:])
            return Write(what.page, page(what.bytes + crc.to_bytes(4, "little")))
        if change.tag == "staged":
            return Write(what.page, bytes(views.of(context, what.view)))
        if change.tag == "held":
            return Write(what.page, bytes(views.held(what.buffer)))
        if change.tag == "bytes":
            return Write(what.page, page(what.bytes))
        if change.tag == "zero":
            return Write(what.first, pages=what.count)
        return None  # order, sync

    def write(context: Any, handle: Any, changes: list[Variant]) -> None:
        handle.to_host(context)
        store.write([native(context, change) for change in changes])
        held: list[Any] = [change.payload for change in changes if change.tag == "held"]
        views.written.update((it.buffer, it.page) for it in held)

    def checksums(pages: list[int], algorithm: str) -> list[Record]:
        return [checksum(algorithm, store.read(page, 0, store.page_size)) for page in pages]

    def method(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(context: Any, handle: Any, *args: Any) -> Any:
            handle.to_host(context)
            return function(*args)
        return call

    functions: dict[str, Callable[..., Any]] = {
        "page-view.read": lambda context, handle, *args: views.of(context, handle).read(*args),
        "page-view.write": lambda context, handle, *args: views.of(context, handle).write(*args),
        "page-view.checksum": lambda context, handle, algorithm: checksum(
            algorithm, bytes(views.of(context, handle))),
        "page-view.share": lambda context, handle: views.add(views.of(context, handle).share()),
        "store.geometry": method(store.geometry),
        "store.read": method(store.read),
        "store.checksums": method(checksums),
        "store.view": method(view),
        "store.stage": method(stage),
        "store.write": write,
        "store.grow": method(store.grow),
        "store.truncate": method(store.truncate),
    }
    with linker.root() as root, root.add_instance("pagebox:pager/page-store@0.2.0") as instance:
        instance.add_resource("store", ResourceType.host(STORE), lambda *_: None)
        instance.add_resource("page-view", ResourceType.host(VIEW),
                              lambda _, number: views.drop(number))
        for name, function in functions.items():
            instead: Replacements = {1: Changes} if function is write else {}
            add_function(instance, f"[method]{name}", Import(as_result(function), instead))
    return views


def as_result(function: Callable[..., Any]) -> Callable[..., Any]:
    """What goes wrong becomes an `err` value of the WIT."""
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except StoreError as error:
            return Variant(error.tag)
        except IndexError:
            return Variant("out-of-bounds")
        except PagerError as error:
            return Variant("other", str(error))
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
            return Variant("insufficient-space") if full else Variant("io", str(error))
    return call
