"""A page store for the pager component that is a file: the import `page-store`.

Views stay on this side: the component passes handles, the host slices the file.
"""

import errno
import fcntl
import itertools
import os
import zlib

from wasmtime.component import Record, ResourceHost, ResourceType, Variant

STORE, VIEW = 1, 2  # which resource a handle is of


class StoreError(Exception):
    """A case of the WIT's `store-error`."""


class FileStore:
    """Pages of one file, which is locked against other writers. `page_size` is
    to be set before the component has it."""

    page_size = 0

    def __init__(self, fd):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.fd = fd

    def page_count(self):
        return os.fstat(self.fd).st_size // self.page_size

    def geometry(self):
        made = Record()
        made.__dict__ = {"page-size": self.page_size, "page-count": self.page_count(),
                         "tail": os.fstat(self.fd).st_size % self.page_size}
        return made

    def check(self, page, offset=0, length=0):
        if page >= self.page_count() or offset + length > self.page_size:
            raise StoreError("out-of-bounds")

    def read(self, page, offset, length):
        self.check(page, offset, length)
        return os.pread(self.fd, length, page * self.page_size + offset)

    def write_at(self, page, offset, data):
        self.check(page, offset, len(data))
        if os.pwrite(self.fd, data, page * self.page_size + offset) != len(data):
            raise OSError(errno.EIO, "a short write")

    def write(self, pages, then_sync):
        for page, _ in pages:
            self.check(page)  # before anything is changed
        for page, data in pages:
            self.write_at(page, 0, data)
        if then_sync:
            os.fsync(self.fd)

    def grow(self, page_count):
        if page_count > self.page_count():
            os.posix_fallocate(self.fd, 0, page_count * self.page_size)
            os.fsync(self.fd)
        return self.geometry()


class View:
    """The bytes of a page or, with `private`, of a copy: `view[:5] = b"hello"`.
    Not to be used after a commit, or after its file is closed."""

    def __init__(self, store, page=None, private=None):
        self.store, self.page, self.private = store, page, private

    def read(self, offset, length):
        if self.private is None:
            return self.store.read(self.page, offset, length)
        self.store.check(0, offset, length)
        return bytes(self.private[offset:offset + length])

    def write(self, offset, data):
        if self.private is None:
            return self.store.write_at(self.page, offset, data)
        self.store.check(0, offset, len(data))
        self.private[offset:offset + len(data)] = data

    def __getitem__(self, span):
        start, stop, _ = span.indices(self.store.page_size)
        return self.read(start, max(stop - start, 0))

    def __setitem__(self, span, data):
        start, stop, step = span.indices(self.store.page_size)
        if step != 1 or len(data) != stop - start:
            raise ValueError(f"{len(data)} bytes for a place of {stop - start}")
        self.write(start, data)


def add_to_linker(linker, store):
    """Adds the import. Gives the table of views by the numbers of handles."""
    views, numbers = {}, itertools.count(1)

    def own(view):
        number = next(numbers)
        views[number] = view
        return ResourceHost.own(number, VIEW)

    def of(context, handle):  # consumes the handle: a borrow that is kept traps
        return views[handle.to_host(context).rep]

    def page(number):
        store.check(number)
        return View(store, page=number)

    def stage(source):
        copy = bytes(store.page_size) if source is None else page(source)[:]
        return own(View(store, private=bytearray(copy)))

    def pages(context, change):
        what = change.payload
        if change.tag == "sealed":
            crc = zlib.crc32(what.bytes[what.start:])
            return [(what.page, what.bytes + crc.to_bytes(4, "little"))]
        if change.tag == "staged":
            return [(what.page, of(context, what.view)[:])]
        first, count = (what, 1) if change.tag == "zero" else (what.first, what.count)
        return [(number, bytes(store.page_size)) for number in range(first, first + count)]

    def write(context, handle, changes, then_sync):
        handle.to_host(context)
        store.write([part for change in changes for part in pages(context, change)], then_sync)

    def method(function):
        return lambda context, handle, *args: (handle.to_host(context), function(*args))[1]

    functions = {
        "page-view.read": lambda context, handle, *args: of(context, handle).read(*args),
        "page-view.write": lambda context, handle, *args: of(context, handle).write(*args),
        "page-view.crc32": lambda context, handle: zlib.crc32(of(context, handle)[:]),
        "page-view.share": lambda context, handle: own(of(context, handle)),
        "store.geometry": method(store.geometry),
        "store.read": method(store.read),
        "store.crc32": method(lambda *span: zlib.crc32(store.read(*span))),
        "store.view": method(lambda number: own(page(number))),
        "store.stage": method(stage),
        "store.write": write,
        "store.grow": method(store.grow),
    }
    with linker.root() as root, root.add_instance("pagebox:pager/page-store@0.1.0") as instance:
        instance.add_resource("store", ResourceType.host(STORE), lambda *_: None)
        instance.add_resource("page-view", ResourceType.host(VIEW), lambda _, rep: views.pop(rep))
        for name, function in functions.items():
            instance.add_func(f"[method]{name}", as_result(function))
    return views


def as_result(function):
    """What goes wrong becomes an `err` value of the WIT."""
    def call(*args):
        try:
            return function(*args)
        except StoreError as error:
            return Variant(str(error))
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
            return Variant("insufficient-space") if full else Variant("io", str(error))
    return call
