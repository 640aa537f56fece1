"""Page files in Python: the pager component in wasmtime. `demo.py` beside it
shows how it is used.

    engine = Engine("pager.wasm")
    with engine.create("data.pages") as file:
        with file.begin() as tx:  # commits at the end; an exception rolls back
            page, = tx.alloc_protected(1)
            tx.stage(page)[:5] = b"hello"
        print(file.view_protected(page)[:5])
"""

import os

import wasmtime
from wasmtime.component import Component, Linker, ResourceHost, Variant

from page_store import STORE, FileStore, add_to_linker


class PagerError(Exception):
    """Why an operation was not done, in a sentence. `tag` is the case of the
    WIT's `error`: `not-allocated`."""

    def __init__(self, text, tag):
        super().__init__(text)
        self.tag = tag


class Engine:
    """The component, compiled: one for any number of files."""

    def __init__(self, component):
        self.engine = wasmtime.Engine()
        self.component = Component.from_file(self.engine, component)

    def create(self, path, page_size=4096, page_count=4):
        """Makes a page file: after a crash there is all of it, or none."""
        temporary = f"{path}.new-{os.getpid()}"
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            file = PageFile(self, fd, "create", page_count, page_size)
            os.link(temporary, path)
        finally:
            os.unlink(temporary)
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return file

    def open(self, path):
        """Opens a page file to change it. Its page size is found in it."""
        return PageFile(self, os.open(path, os.O_RDWR), "open", "write")


class PageFile:
    """An open page file, and an instance of the component that serves it."""

    def __init__(self, engine, fd, how, argument, page_size=None):
        self.fd = fd
        try:
            self.store = wasmtime.Store(engine.engine)
            linker = Linker(engine.engine)
            try:
                file = FileStore(fd)
            except BlockingIOError:
                raise PagerError("the file is in use by another process", "locked") from None
            self.views = add_to_linker(linker, file)
            self.instance = linker.instantiate(self.store, engine.component)
            self.pager_exports = self.instance.get_export_index(
                self.store, "pagebox:pager/pager@0.1.0")
            file.page_size = page_size or self.call("page-size", os.pread(fd, 512, 0))
            self.pager = self.call(how, ResourceHost.own(0, STORE), argument)
        except BaseException:
            os.close(fd)
            raise

    def call(self, name, *args):
        """Calls an export of `pager`. Its error is raised."""
        index = self.instance.get_export_index(self.store, name, self.pager_exports)
        result = self.instance.get_func(self.store, index)(self.store, *args)
        if isinstance(result, Variant):
            raise PagerError(self.call("describe", result), result.tag)
        return result

    def call_for_view(self, name, *args):
        """The same for a view: the handle comes back, and the view is ours."""
        handle = self.call(name, *args).to_host(self.store)
        return self.views.pop(handle.rep)

    def stats(self):
        return self.call("[method]pager.stats", self.pager)

    def view(self, page):
        """A regular page, to read and to write. Durable after `sync`."""
        return self.call_for_view("[method]pager.view", self.pager, page)

    def view_protected(self, page):
        """A protected page, verified, to read."""
        return self.call_for_view("[method]pager.view-protected", self.pager, page)

    def sync(self):
        self.call("[method]pager.sync", self.pager)

    def begin(self):
        return Transaction(self)

    def close(self):
        if self.pager is not None:
            self.pager.drop(self.store)
            self.pager = None
            os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Transaction:
    """Pending changes: all of them at `commit`, or none."""

    def __init__(self, file):
        self.file, self.handle = file, file.call("[method]pager.begin", file.pager)

    def call(self, name, *args):
        return self.file.call(f"[method]transaction.{name}", self.handle, *args)

    def alloc(self, count):
        return self.call("alloc", count)

    def free(self, pages):
        self.call("free", pages)

    def alloc_protected(self, count):
        return self.call("alloc-protected", count)

    def free_protected(self, pages):
        self.call("free-protected", pages)

    def stage(self, page):
        """A protected page to be changed; it starts as its current bytes."""
        return self.file.call_for_view("[method]transaction.stage", self.handle, page)

    def commit(self):
        handle, self.handle = self.handle, None
        return self.file.call("commit", handle)

    def rollback(self):
        handle, self.handle = self.handle, None
        if handle is not None:
            handle.drop(self.file.store)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None and self.handle is not None:
            self.commit()
        self.rollback()
