"""What goes wrong in a program that uses the Python host, and what becomes of
it: `FORMAT=1 PAGEBOX=pagebox python misuse.py`."""

import array
import ast
import ctypes
import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from wasmtime import _ffi as ffi
from wasmtime.component import _types

import pagebox
from pagebox import Engine, PagerError, _byte_lists
from pagebox._figures import record
from pagebox._held import Changes, HeldPage, HeldPages
from pagebox._store import FileStore, View, Write, checksum

HOST = os.path.dirname(pagebox.__file__)
GUIDE = os.path.join(HOST, "../../examples")

ENGINE = Engine()
FORMAT = int(os.environ["FORMAT"])
U64 = 1 << 64


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "data.pages")

    def create(self):
        """A file of one regular and one protected page."""
        file = ENGINE.create(self.path, format=FORMAT)
        self.addCleanup(file.close)
        with file.begin() as tx:
            self.regular, = tx.alloc(1)
            self.protected, = tx.alloc_protected(1)
            tx.stage(self.protected)[:5] = b"hello"
        return file

    def raises(self, kind, text, function, *args, **named):
        with self.assertRaises(kind) as caught:
            function(*args, **named)
        self.assertIn(text, str(caught.exception))
        return caught.exception

    def fails(self, tag, function, *args):
        error = self.raises(PagerError, "", function, *args)
        self.assertEqual(error.tag, tag, error)
        return error

    def check(self):
        subprocess.run([os.environ["PAGEBOX"], "check", self.path], check=True,
                       stdout=subprocess.DEVNULL)


class Arguments(Case):
    def test_wrong_type_is_an_error_that_names_the_argument(self):
        file = self.create()
        view, tx = file.view(self.regular), file.begin()
        for text, function, args in [
            ("page must be an integer, not str", file.view, ["7"]),
            ("page must be an integer, not float", file.view, [7.0]),
            ("page must be an integer, not bool", file.view, [True]),
            ("page must be an integer, not NoneType", file.view_protected, [None]),
            ("page must be an integer", tx.stage, ["0"]),
            ("count must be an integer", tx.alloc, [1.5]),
            ("count must be an integer", tx.alloc_protected, ["1"]),
            ("pages must be a list of integers, not int", tx.free, [3]),
            ("pages must be a list of integers, not bytes", tx.free, [b"\3"]),
            ("pages[1] must be an integer", tx.free_protected, [[0, "1"]]),
            ("offset must be an integer", view.read, ["0", 1]),
            ("length must be an integer", view.read, [0, None]),
            ("data must be bytes", view.write, [0, "text"]),
            ("data must be bytes", view.write, [0, [1, 2, 3]]),
            ("data must be bytes", view.write, [0, memoryview(b"abcdef")[::2]]),
            ("data must be bytes", view.__setitem__, [slice(0, 4), "text"]),
            ("data must be bytes", view.__setitem__, [slice(0, 3), memoryview(b"abcdef")[::2]]),
            ("a byte must be an integer, not bytes", view.__setitem__, [0, b"a"]),
            ("a place must be an integer or a slice", view.__getitem__, ["0"]),
            ("page_size must be an integer", ENGINE.create, [self.path + "2", "4096"]),
            ("page_count must be an integer", ENGINE.create, [self.path + "2", 4096, 4.0]),
        ]:
            with self.subTest(text):
                self.raises(TypeError, text, function, *args)
        for wrong in "no", 0, None:
            self.raises(TypeError, "read_only must be a bool", ENGINE.open, self.path,
                        read_only=wrong)
        self.raises(TypeError, "format must be an integer, not str", ENGINE.create,
                    self.path + "2", format="1")
        self.assertFalse(any(view))
        self.assertEqual(os.listdir(self.folder.name), ["data.pages"])

    def test_wrong_range_is_an_error_that_names_the_argument(self):
        file = self.create()
        view, tx = file.view(self.regular), file.begin()
        before = read(self.path)
        for kind, text, function, args in [
            (ValueError, "page must be 0 to", file.view, [-1]),
            (ValueError, "page must be 0 to", file.view, [U64]),
            (ValueError, "page must be 0 to", file.view_protected, [U64]),
            (ValueError, "page must be 0 to", tx.stage, [-1]),
            (ValueError, "count must be 0 to", tx.alloc, [1 << 32]),
            (ValueError, "pages[0] must be 0 to", tx.free, [[U64 + self.regular]]),
            (ValueError, "offset must be 0 to", view.read, [-1, 2]),
            (ValueError, "offset must be 0 to", view.write, [-4, b"OOPS"]),
            (IndexError, "offset 4097 is past", view.read, [4097, 0]),
            (IndexError, "data: 5 bytes from offset 4092", view.write, [4092, b"12345"]),
            (IndexError, "byte 4096 of a page", view.__getitem__, [4096]),
            (IndexError, "byte -4097 of a page", view.__setitem__, [-4097, 1]),
            (ValueError, "a byte must be 0 to 255", view.__setitem__, [0, 256]),
            (ValueError, "3 bytes for a place of 2", view.__setitem__, [slice(0, 2), b"abc"]),
            (ValueError, "not in steps of 2", view.__setitem__, [slice(0, 4, 2), b"ab"]),
            (ValueError, "power of two", ENGINE.create, [self.path + "2", 1000]),
            (ValueError, "power of two", ENGINE.create, [self.path + "2", 1 << 20]),
            (ValueError, "page_count must be 0 to", ENGINE.create, [self.path + "2", 4096, -1]),
        ]:
            with self.subTest(text):
                self.raises(kind, text, function, *args)
        self.raises(ValueError, "format must be 0 to 1, not 2", ENGINE.create, self.path + "2",
                    format=2)
        self.assertEqual(read(self.path), before)
        self.assertEqual(os.listdir(self.folder.name), ["data.pages"])

    def test_view_is_a_sequence_of_bytes(self):
        file = self.create()
        view = file.view(self.regular)
        view[:8] = bytes(range(8))
        whole = bytes(range(8)) + bytes(4088)
        self.assertEqual(bytes(view), whole)
        self.assertEqual(len(view), 4096)
        self.assertEqual(list(view), list(whole))
        self.assertEqual(view[3], 3)
        view[-1] = 9
        self.assertEqual(view[4095], 9)
        for place in [slice(0, 10, 2), slice(9, None, -1), slice(5, 2), slice(-4, None),
                      slice(None, None, 1000), slice(4090, 9999)]:
            self.assertEqual(view[place], bytes(view)[place], place)
        view.write(0, array.array("H", [0x0101, 0x0202]))
        self.assertEqual(view[:5], b"\1\1\2\2\4")
        view[4:4] = b""

    def test_figures_are_attributes(self):
        file = self.create()
        stats = file.stats()
        self.assertEqual((stats.page_size, stats.regular_pages, stats.protected_pages),
                         (4096, 1, 1))
        tx = file.begin()
        tx.alloc(1)
        self.assertEqual(tx.commit().generation, stats.generation + 1)


class ByteLists(Case):
    def test_bytes_cross_in_one_piece(self):
        """Element by element a page took 11 ms."""
        crossed = []

        class U8(_types.U8):
            def convert_to_c(self, *args):
                crossed.append(args)
                super().convert_to_c(*args)

            def convert_from_c(self, *args):
                crossed.append(args)
                return super().convert_from_c(*args)
        before, _types.U8 = _types.U8, U8
        try:
            file = self.create()
            file.close()
            with ENGINE.open(self.path) as file:
                self.assertEqual(file.view_protected(self.protected)[:5], b"hello")
        finally:
            _types.U8 = before
        self.assertEqual(crossed, [])


class Crossings(Case):
    """What crosses in a quicker way than wasmtime's package has is the same."""

    def test_pages_go_into_the_component_as_records_do(self):
        file = self.create()
        index = file._instance.get_export_index(file._store, "[method]transaction.write",
                                                file._exports)
        function = file._instance.get_func(file._store, index)
        kind = dict(function.type(file._store).params)["pages"]
        sums = [checksum("xxh3", bytes([number])) for number in range(3)]
        value = ffi.wasmtime_component_val_t()
        kind.convert_to_c(file._store, HeldPages(HeldPage(U64 - 1 - number, whole)
                                                 for number, whole in enumerate(sums)),
                          ctypes.pointer(value))
        self.assertEqual(kind.convert_from_c(value),
                         [record(id=U64 - 1 - number, buffer=number, checksum=whole)
                          for number, whole in enumerate(sums)])
        file.close()

    def test_changes_come_out_of_the_component_as_variants_do(self):
        seen = []

        def both(self, value):
            copy = ffi.wasmtime_component_val_t()
            ffi.wasmtime_component_val_clone(ctypes.byref(value), ctypes.byref(copy))
            seen.append((self.element.convert_from_c(copy), change(self, value)))
            return seen[-1][1]
        change, Changes._change = Changes._change, both
        try:
            file = self.create()
            with file.begin() as tx:
                for page in tx.alloc_protected(40):
                    tx.stage(page)[:1] = bytes([page])
        finally:
            Changes._change = change
        file.close()
        held = [pair for pair in seen if pair[1].tag == "held"]
        self.assertGreaterEqual(len(held), 40)
        self.assertLess(len(held), len(seen))
        for usual, ours in seen:
            if ours.tag == "held":
                usual.payload = (usual.payload.page, usual.payload.buffer)
            self.assertEqual(usual, ours)


class Releases(unittest.TestCase):
    def test_release_of_wasmtime_that_was_not_tried_is_refused(self):
        """50.0.1, which pip takes unless told otherwise, trapped at a commit."""
        program = ("from importlib import metadata; metadata.version = lambda _: '50.0.1'; "
                   "import pagebox")
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        self.assertNotEqual(ended.returncode, 0)
        release = _byte_lists.RELEASE
        self.assertIn(f"ImportError: wasmtime {release} is needed, and this is 50.0.1",
                      ended.stderr)
        with open(os.path.join(GUIDE, "requirements.txt")) as pinned:
            self.assertIn(f"wasmtime=={release}\n", pinned.read())


class Endings(Case):
    def test_second_close_is_no_error_and_calls_after_it_say_closed(self):
        file = self.create()
        tx = file.begin()
        staged = tx.stage(self.protected)
        file.close()
        file.close()
        for function, args in [(file.stats, []), (file.view, [3]), (file.view_protected, [0]),
                               (file.sync, []), (file.begin, []), (tx.alloc, [1]),
                               (tx.stage, [0]), (tx.commit, [])]:
            error = self.fails("closed", function, *args)
            self.assertEqual(str(error), f"{self.path} is closed")
        tx.rollback()
        self.assertIn(self.path, str(self.fails("ended", bytes, staged)))
        with file:
            pass
        with ENGINE.open(self.path) as file:
            self.assertEqual(file.view_protected(self.protected)[:5], b"hello")

    def test_transaction_that_is_over_says_so(self):
        file = self.create()
        committed, rolled_back = file.begin(), file.begin()
        rolled_back.rollback()
        rolled_back.rollback()
        committed.commit()
        for tx in committed, rolled_back:
            for function, args in [(tx.alloc, [1]), (tx.stage, [0]), (tx.commit, [])]:
                self.fails("ended", function, *args)

    def test_file_that_is_there_is_named_and_no_temporary_stays(self):
        self.create()
        error = self.raises(FileExistsError, self.path, ENGINE.create, self.path)
        self.assertNotIn(".new-", str(error))
        self.assertEqual(error.filename, self.path)
        nowhere = os.path.join(self.folder.name, "nowhere", "data.pages")
        error = self.raises(FileNotFoundError, repr(nowhere), ENGINE.create, nowhere)
        self.assertEqual(error.filename, nowhere)
        self.assertEqual(os.listdir(self.folder.name), ["data.pages"])

    def test_what_is_no_regular_file_is_refused_at_once(self):
        pipe = os.path.join(self.folder.name, "pipe")
        os.mkfifo(pipe)
        self.raises(OSError, "not a regular file", ENGINE.open, pipe)
        self.raises(OSError, "", ENGINE.open, self.folder.name)

    def test_sandbox_that_failed_says_so_and_its_lock_is_given_up(self):
        file = self.create()
        file.close()
        first = None
        with self.assertRaises(PagerError) as caught:
            with ENGINE.open(self.path) as file:
                file._file.read = None  # what only a bug can do
                with file.begin() as tx:
                    try:
                        tx.alloc(1)
                        file.view_protected(self.protected)
                    except PagerError as error:
                        first = error
                        raise
        self.assertIs(caught.exception, first)
        self.assertEqual(first.tag, "sandbox")
        self.assertIn("the sandbox failed in view-protected", str(first))
        self.assertIn(self.path, str(first))
        self.check()
        with ENGINE.open(self.path) as file:
            file._file.read = None
            self.fails("sandbox", file.view_protected, self.protected)
            error = self.fails("sandbox", file.sync)
            self.assertIn("failed before", str(error))
            self.assertIn(self.path, str(error))
        ENGINE.open(self.path).close()


class OneCall(Case):
    def test_operation_in_a_call_of_its_own_is_committed(self):
        file = self.create()
        page, made = file.alloc(), file.alloc_protected()
        before = file.stats().generation
        self.assertEqual(file.view_protected(made)[:3], bytes(3))
        with ENGINE.open(self.path, read_only=True) as reader:
            self.assertEqual(reader.view(page)[:3], bytes(3))
            self.fails("read-only", reader.alloc)
        self.assertEqual(file.free(page).generation, before + 1)
        self.assertEqual(file.free_protected(made).generation, before + 2)
        self.fails("not-allocated", file.free, page)
        self.fails("not-protected", file.free_protected, made)
        self.raises(TypeError, "page must be an integer", file.free, "3")
        self.raises(ValueError, "page must be 0 to", file.free_protected, U64)
        with file.begin() as tx:
            tx.claim_protected([5, 9])
            self.fails("not-free", tx.claim_protected, [9])
            tx.stage(9)[:2] = b"hi"
        self.assertEqual(file.view_protected(9)[:2], b"hi")
        self.check()


class Deferring(Case):
    def seen_by_others(self):
        with ENGINE.open(self.path, read_only=True) as reader:
            return bytes(reader.view_protected(self.protected)[:5])

    def defer(self, file, text):
        with file.begin(deferred=True) as tx:
            tx.stage(self.protected)[:5] = text
        self.assertEqual(file.view_protected(self.protected)[:5], text)

    @unittest.skipUnless(FORMAT == 1, "format 0 has no deferred commits")
    def test_what_is_deferred_is_durable_after_a_sync_a_commit_or_a_close(self):
        file = self.create()
        def commit():
            file.begin().commit()

        for text, end in ((b"first", file.sync), (b"other", commit),
                          (b"third", file.alloc), (b"close", file.close)):
            before = self.seen_by_others()
            self.defer(file, text)
            self.assertEqual(self.seen_by_others(), before)
            end()
            self.assertEqual(self.seen_by_others(), text)
        self.check()

    @unittest.skipUnless(FORMAT == 0, "format 1 has deferred commits")
    def test_format_that_cannot_says_so_and_goes_on(self):
        file = self.create()
        tx = file.begin(deferred=True)
        tx.stage(self.protected)[:5] = b"never"
        self.fails("not-supported", tx.commit)
        self.assertEqual(file.view_protected(self.protected)[:5], b"hello")
        with file.begin() as tx:
            tx.stage(self.protected)[:5] = b"after"
        file.close()
        self.assertEqual(self.seen_by_others(), b"after")

    def test_argument_is_checked(self):
        file = self.create()
        self.raises(TypeError, "deferred must be a bool", file.begin, deferred=1)


@unittest.skipUnless(FORMAT == 1, "format 0 has no states")
class States(Case):
    """What is not in `states.txt`, which every host does."""

    def write(self, file, text):
        with file.begin() as tx:
            tx.stage(self.protected)[:5] = text

    def test_snapshot_has_a_name_a_generation_and_a_time(self):
        file = self.create()
        before = time.time_ns()
        monday = file.create_snapshot("monday")
        self.assertEqual((monday.name, monday.generation), ("monday", file.stats().generation))
        self.assertTrue(before <= monday.time <= time.time_ns())
        self.write(file, b"other")
        with file.snapshot("monday") as state:
            self.assertEqual(state.generation, monday.generation)
        tuesday = file.create_snapshot("t\u00fcesday")
        self.assertEqual(file.snapshots(), [monday, tuesday])
        self.assertEqual(file.snapshot_pages(tuesday.name), 0)
        alone = file.snapshot_pages("monday")
        self.assertGreater(alone, 0)
        self.assertEqual(file.restore_snapshot("monday"), 1)
        self.assertEqual(file.delete_snapshot("monday"), alone)
        self.assertEqual(file.snapshots(), [tuesday])
        self.check()

    def test_name_is_checked_and_errors_say_it(self):
        file = self.create()
        file.create_snapshot("monday")
        before = read(self.path)
        for function in (file.create_snapshot, file.snapshot, file.delete_snapshot,
                         file.restore_snapshot, file.snapshot_pages):
            for name in b"monday", None, 7:
                self.raises(TypeError, "name must be a str, not ", function, name)
            self.raises(ValueError, "name has halves of characters", function, "\ud800")
            if function != file.create_snapshot:
                error = self.fails("no-snapshot", function, "tuesday")
                self.assertEqual(str(error), 'there is no snapshot "tuesday"')
        self.raises(TypeError, "before must be a str, not int", file.changes, 7)
        self.raises(TypeError, "after must be a str, not int", file.changes, None, 7)
        error = self.fails("no-snapshot", file.changes, "monday", "tuesday")
        self.assertIn('"monday", "tuesday"', str(error))
        error = self.fails("is-snapshot", file.create_snapshot, "monday")
        self.assertEqual(str(error), 'there is a snapshot "monday" already')
        for name in "", "n" * 65, "a\0b", "n" * (1 << 20):
            self.fails("snapshot-name", file.create_snapshot, name)
        state = file.committed_state()
        self.raises(TypeError, "page must be an integer, not str", state.view_protected, "0")
        self.raises(ValueError, "page must be 0 to", state.view_protected, U64)
        self.raises(ValueError, "page must be 0 to", state.view_protected, -1)
        self.assertEqual(read(self.path), before)

    def test_state_keeps_pages_until_it_is_closed_or_forgotten(self):
        file = self.create()

        def oldest():
            return file.stats().oldest_view
        self.assertIsNone(oldest())
        with file.committed_state() as state:
            for _ in range(4):
                self.write(file, b"other")
            self.assertEqual(oldest(), state.generation)
            held = file.stats().held_pages
        state.close()
        self.assertIsNone(oldest())
        self.write(file, b"other")
        self.assertLess(file.stats().held_pages, held)
        state = file.committed_state()
        view = state.view_protected(self.protected)
        self.assertEqual(oldest(), state.generation)
        del state  # its view is a use of it
        self.assertIsNotNone(oldest())
        self.assertEqual(view[:5], b"other")
        del view
        self.assertIsNone(oldest())
        # And a state is a use of its file.
        file.close()
        state = ENGINE.open(self.path).committed_state()
        self.assertEqual(state.view_protected(self.protected)[:5], b"other")
        self.fails("locked", ENGINE.open, self.path)
        del state
        ENGINE.open(self.path).close()

    def test_reader_of_a_snapshot_needs_no_lock_and_is_told_of_its_end(self):
        file = self.create()
        file.create_snapshot("monday")
        with ENGINE.open(self.path, read_only=True) as reader:
            state = reader.snapshot("monday")
            for text in b"other", b"third":
                self.write(file, text)
                self.assertEqual(state.view_protected(self.protected)[:5], b"hello")
            self.assertFalse(reader.is_current())
            self.assertTrue(file.is_current())
            kept = state.view_protected(self.protected)
            file.delete_snapshot("monday")
            for _ in range(8):
                self.write(file, b"later")
            self.fails("changed", state.view_protected, self.protected)
            self.assertEqual(kept[:5], b"hello")  # a copy

    def test_transaction_that_is_open_ends_with_a_restore(self):
        file = self.create()
        file.create_snapshot("monday")
        self.write(file, b"other")
        tx, view = file.begin(), file.view_protected(self.protected)
        tx.stage(self.protected)[:5] = b"never"
        self.assertEqual(file.restore_snapshot("monday"), 1)
        self.fails("ended", bytes, view)
        self.fails("stale-transaction", tx.commit)
        self.assertEqual(file.view_protected(self.protected)[:5], b"hello")
        self.write(file, b"later")
        self.check()

    def test_lists_are_whole_and_in_order_however_long(self):
        file = self.create()
        file.create_snapshot("monday")
        with file.begin() as tx:
            made, regular = tx.alloc_protected(600), tx.alloc(600)
            tx.free(regular[::2])
        pages = [self.protected, *made]
        self.assertEqual(list(file.protected_pages()), pages)
        self.assertEqual(list(file.regular_pages()), sorted([self.regular, *regular[1::2]]))
        state = file.committed_state()
        listed = state.protected_pages()
        self.assertEqual(next(listed), self.protected)
        with file.begin() as tx:
            tx.free_protected(made[::2])
        self.assertEqual(list(listed), made)
        self.assertEqual([(it.page, it.change) for it in file.changes("monday")],
                         [(page, "added") for page in made[1::2]])
        listed = state.protected_pages()
        state.close()
        for _ in range(256):  # those are here already
            next(listed)
        self.fails("closed", next, listed)
        listed = file.protected_pages()
        file.close()
        self.assertEqual(next(listed), self.protected)
        self.fails("closed", list, listed)

    def test_page_that_went_bad_is_never_shown(self):
        file = self.create()
        file.create_snapshot("monday")
        self.write(file, b"other")
        state = file.snapshot("monday")
        with open(self.path, "r+b") as bad:
            at = bad.read().rindex(b"hello")
            bad.seek(at)
            bad.write(b"jello")
        error = self.fails("checksum-mismatch", state.view_protected, self.protected)
        self.assertIn(f"protected page {self.protected} ", str(error))
        self.fails("checksum-mismatch", file.restore_snapshot, "monday")
        self.assertEqual(file.view_protected(self.protected)[:5], b"other")
        self.write(file, b"third")

    def test_state_is_read_in_a_thread_while_another_commits(self):
        file = self.create()
        state, stop, failed = file.committed_state(), threading.Event(), []

        def reads():
            try:
                while not stop.is_set():
                    self.assertEqual(state.view_protected(self.protected)[:5], b"hello")
            except BaseException as error:
                failed.append(error)
        reader = threading.Thread(target=reads)
        reader.start()
        for number in range(20):
            self.write(file, b"%5d" % number)
        stop.set()
        reader.join()
        self.assertEqual(failed, [])

    def test_state_is_the_parent_s_alone_after_a_fork(self):
        file = self.create()
        state = file.committed_state()
        view = state.view_protected(self.protected)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for function, args in [(state.view_protected, [0]), (state.protected_pages, []),
                                       (bytes, [view]), (file.committed_state, []),
                                       (file.create_snapshot, ["monday"]), (file.snapshots, []),
                                       (file.restore_snapshot, ["monday"])]:
                    self.fails("forked", function, *args)
                state.close()
                code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(state.view_protected(self.protected)[:5], b"hello")
        self.assertEqual(file.snapshots(), [])

    def test_sandbox_that_failed_ends_states(self):
        file = self.create()
        state = file.committed_state()
        view = state.view_protected(self.protected)
        file._file.read = None  # what only a bug can do
        self.fails("sandbox", file.view_protected, self.protected)
        self.fails("sandbox", state.view_protected, self.protected)
        self.fails("sandbox", file.committed_state)
        self.fails("sandbox", file.create_snapshot, "monday")
        self.fails("sandbox", state.protected_pages)
        self.assertEqual(view[:5], b"hello")  # a copy
        state.close()
        self.fails("ended", bytes, view)


@unittest.skipUnless(FORMAT == 0, "format 1 has states")
class StatesOfFormat0(Case):
    def test_format_that_cannot_says_so_and_goes_on(self):
        file = self.create()
        self.assertEqual(file.snapshots(), [])
        for function, args in [(file.committed_state, []), (file.create_snapshot, ["monday"]),
                               (file.changes, []), (file.changes, ["monday"])]:
            self.fails("not-supported", function, *args)
        for function in (file.snapshot, file.delete_snapshot, file.restore_snapshot,
                         file.snapshot_pages):
            self.fails("no-snapshot", function, "monday")
        self.assertEqual(list(file.protected_pages()), [self.protected])
        self.assertEqual(list(file.regular_pages()), [self.regular])
        with file.begin() as tx:
            tx.stage(self.protected)[:5] = b"after"
        self.assertTrue(file.is_current())
        self.check()


class Staging(Case):
    def test_staged_page_starts_as_what_was_committed_last(self):
        file = self.create()
        for number in range(4):
            with file.begin() as tx:
                view = tx.stage(self.protected)
                self.assertEqual(view[:6], b"hello" + bytes([number]))
                view[5] = number + 1
                self.assertEqual(tx.stage(self.protected)[5], number + 1)
                tx.alloc(1)
            with file.begin() as tx:
                tx.stage(self.protected)[:5] = b"never"
                tx.rollback()
        new = file.alloc_protected()
        with file.begin() as tx:
            self.assertEqual(tx.stage(new)[:], bytes(4096))
            tx.stage(new)[:3] = b"new"
            made, = tx.alloc_protected(1)
            self.assertEqual(tx.stage(made)[:], bytes(4096))
            tx.stage(made)[:4] = b"made"
        found = [file.view_protected(page)[:4] for page in (self.protected, new, made)]
        self.assertEqual(found, [b"hell", b"new\0", b"made"])
        self.check()

    def test_freed_page_is_staged_no_more(self):
        file = self.create()
        with file.begin() as tx:
            view = tx.stage(self.protected)
            tx.free_protected([self.protected])
            self.fails("ended", bytes, view)
            self.fails("not-protected", tx.stage, self.protected)
            tx.rollback()
        with file.begin() as tx:
            self.assertEqual(tx.stage(self.protected)[:5], b"hello")
            tx.free_protected([self.protected])
        with file.begin() as tx:
            self.fails("not-protected", tx.stage, self.protected)
            again, = tx.alloc_protected(1)
            self.assertEqual(again, self.protected)
            self.assertEqual(tx.stage(again)[:], bytes(4096))
        stale, other = file.begin(), file.begin()
        for tx in stale, other:
            tx.stage(again)[:1] = b"x"
        other.commit()
        self.fails("stale-transaction", stale.commit)
        self.fails("ended", stale.stage, again)
        self.check()

    def test_page_whose_bytes_went_bad_is_not_staged(self):
        self.create().close()
        with open(self.path, "r+b") as bad:
            at = bad.read().rindex(b"hello")
            bad.seek(at)
            bad.write(b"jello")
        with ENGINE.open(self.path) as file:
            with file.begin() as tx:
                error = self.fails("checksum-mismatch", tx.stage, self.protected)
                self.assertIn(f"protected page {self.protected} ", str(error))


class Readers(Case):
    def test_reader_never_shows_what_somebody_else_committed_since(self):
        """A view showed the bytes of later commits, of other pages too, and so did a
        view that was made anew: they were verified once."""
        file = self.create()
        with ENGINE.open(self.path, read_only=True) as reader:
            view = reader.view_protected(self.protected)
            changed = 0
            for number in range(8):
                with file.begin() as tx:
                    tx.stage(self.protected)[:5] = b"%05d" % number
                self.assertEqual(view[:5], b"hello")
                try:
                    again = reader.view_protected(self.protected)
                    self.assertEqual(again[:5], b"hello")
                except PagerError as error:
                    self.assertEqual(error.tag, "changed", error)
                    changed += 1
            self.assertGreater(changed, 0)


class Unwritten(Case):
    def test_page_that_was_never_written_is_zeros_to_be_read(self):
        file = self.create()
        with file.begin() as tx:
            page, = tx.alloc_protected(1)
        reader = ENGINE.open(self.path, read_only=True)
        self.addCleanup(reader.close)
        for opened in file, reader:
            view = opened.view_protected(page)
            self.assertEqual(bytes(view), bytes(4096))
            self.assertEqual(view.read(4090, 6), bytes(6))
            self.raises(IndexError, "end past", view.read, 4090, 7)
            self.fails("read-only", view.write, 0, b"never")
        view = file.view_protected(page)
        with file.begin() as tx:
            self.assertEqual(tx.stage(page)[:], bytes(4096))
            tx.stage(page)[:3] = b"now"
        self.fails("ended", bytes, view)
        self.assertEqual(file.view_protected(page)[:4], b"now\0")
        self.fails("not-protected", file.view_protected, page + 1)
        self.check()


class Rotten(Case):
    def test_file_without_its_first_bytes_is_read_where_it_says_them_again(self):
        for page_size in 1024, 4096, 16384:
            path = f"{self.path}.{page_size}"
            with ENGINE.create(path, page_size, format=FORMAT) as file, file.begin() as tx:
                page, = tx.alloc_protected(1)
                tx.stage(page)[:5] = b"hello"
            with open(path, "r+b") as rotten:
                rotten.write(bytes(512))
            if FORMAT == 0:  # it says them once
                self.fails("not-a-page-file", ENGINE.open, path)
                continue
            with ENGINE.open(path, read_only=True) as file:
                self.assertEqual(file.stats().page_size, page_size)
                self.assertEqual(file.view_protected(page)[:5], b"hello")

    def test_what_is_no_page_file_is_refused(self):
        for data in b"", b"hello", random.Random(1).randbytes(1 << 22), b"PBOXROOT" * 1000:
            with open(self.path, "wb") as file:
                file.write(data)
            self.fails("not-a-page-file", ENGINE.open, self.path)
            self.assertEqual(read(self.path), data)


class Shortened(Case):
    """Somebody else makes a file shorter while it is open."""

    def test_page_that_is_gone_is_named_with_its_file(self):
        file = self.create()
        view, tx = file.view(self.regular), file.begin()
        os.truncate(self.path, 4096)
        for function, args in [(bytes, [view]), (view.read, [0, 1]), (view.write, [0, b"x"])]:
            error = self.fails("out-of-bounds", function, *args)
            self.assertIn(f"page {self.regular} ", str(error))
            self.assertIn(self.path, str(error))
        # What the host reads by itself, and what the component asks for.
        self.assertIn(self.path, str(self.fails("out-of-bounds", tx.stage, self.protected)))
        self.fails("store", file.view, self.regular)
        self.fails("store", file.view_protected, self.protected)
        tx.rollback()
        file.close()
        self.assertEqual(os.path.getsize(self.path), 4096)

    def test_what_the_system_refuses_names_the_file(self):
        file = self.create()
        view, pread = file.view(self.regular), os.pread
        for answer in OSError(errno.EIO, "it rots"), b"":
            def failing(*_):
                if answer:
                    raise answer
                return answer
            os.pread = failing
            try:
                error = self.raises(OSError, self.path, bytes, view)
                told = self.fails("store", file.view_protected, self.protected)
            finally:
                os.pread = pread
            self.assertEqual((error.errno, error.filename), (errno.EIO, self.path))
            self.assertIn(self.path, str(told))


class Store(Case):
    """The store alone: what format 0 does not ask of it, too."""

    def store(self):
        store = FileStore(self.path, os.O_RDWR | os.O_CREAT)
        self.addCleanup(store.close)
        store.page_size = 1024
        store.grow(4)
        return store

    def test_changes_are_made_in_their_order_or_not_at_all(self):
        store = self.store()
        ones, twos = b"1" * 1024, b"2" * 1024
        store.write([Write(1, ones), None, Write(2, twos), Write(1, twos), Write(2, pages=1)])
        found = bytes(1024) + twos + bytes(2048)
        self.assertEqual(read(self.path), found)
        view = View(store, 1)
        for changes in ([Write(0, ones), Write(4, ones)], [Write(0, ones), Write(3, pages=2)],
                        [Write(0, pages=U64)], [Write(0, pages=4), Write(0, ones)]):
            self.fails("out-of-bounds", store.write, changes)
        # What changes nothing ends no view.
        store.write([])
        store.write([None, Write(3, pages=0)])
        self.assertEqual((read(self.path), view[:]), (found, twos))
        store.write([Write(3, ones)])
        self.assertIn(self.path, str(self.fails("ended", bytes, view)))

    def test_file_that_becomes_shorter_ends_views_of_what_is_gone(self):
        store = self.store()
        kept, gone = View(store, 1), View(store, 2)
        store.truncate(4)
        self.assertEqual(gone.share()[0], 0)
        store.truncate(2)
        self.assertEqual(len(read(self.path)), 2048)
        self.assertIn(self.path, str(self.fails("ended", bytes, gone)))
        store.grow(4)
        self.fails("ended", bytes, gone)
        self.fails("ended", bytes, gone.share())
        kept[:2], View(store, 2)[:2] = b"ok", b"ok"
        store.close()
        store = FileStore.open(self.path, read_only=True)
        self.addCleanup(store.close)
        store.page_size = 1024
        for function, args in [(store.truncate, [1]), (store.grow, [9]), (store.write, [[None]])]:
            self.assertIn(self.path, str(self.fails("read-only", function, *args)))
        self.assertEqual(store.page_count(), 4)

    def test_checksums_are_those_of_the_contract(self):
        for algorithm, data, low, high in [
            ("crc32", b"123456789", 0xCBF43926, 0),
            ("xxh3", b"", 0x6001C324468D497F, 0x99AA06D3014798D8),
            # A part of a buffer, which is not copied for it.
            ("xxh3", memoryview(bytearray(b"-hello-"))[1:6],
             0xC779CFAA5E523818, 0xB5E9C1AD071B3E7F),
        ]:
            made = checksum(algorithm, data)
            self.assertEqual((made.algorithm, made.low, made.high), (algorithm, low, high))


class Tags(unittest.TestCase):
    def test_tags_of_the_host_s_own_are_documented(self):
        tags = set()
        for name in filter(lambda name: name.endswith(".py"), os.listdir(HOST)):
            with open(os.path.join(HOST, name)) as source:
                for node in ast.walk(ast.parse(source.read())):
                    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                            "PagerError", "StoreError"):
                        tag = node.args[1]
                        if isinstance(tag, ast.Constant):  # others are the component's
                            tags.add(tag.value)
        self.assertGreaterEqual(tags, {"closed", "ended", "forked", "locked", "sandbox"})
        with open(os.path.join(GUIDE, "README.md")) as guide:
            documented = {"README.md": guide.read(), "PagerError": PagerError.__doc__}
        # Of the WIT's `error`, which are documented there.
        tags -= {"changed", "not-protected", "other"}
        for name, text in documented.items():
            self.assertEqual({tag for tag in tags if f"`{tag}`" not in text}, set(), name)


class Locks(Case):
    def test_file_is_opened_to_write_once_and_read_by_anybody(self):
        file = self.create()
        for path in self.path, os.fsencode(self.path):
            error = self.fails("locked", ENGINE.open, path)
            self.assertTrue(str(error).startswith(f"{self.path} is in use"), error)
        with ENGINE.open(self.path, read_only=True) as reader:
            self.assertEqual(reader.view_protected(self.protected)[:5], b"hello")
            self.fails("read-only", reader.begin)
            self.fails("read-only", reader.sync)
        told = subprocess.run([os.environ["PAGEBOX"], "alloc", self.path], capture_output=True)
        self.assertNotEqual(told.returncode, 0)
        self.assertIn(b"in use", told.stderr)
        file.close()
        subprocess.run([os.environ["PAGEBOX"], "alloc", self.path], check=True,
                       stdout=subprocess.DEVNULL)

    def test_file_that_is_forgotten_is_closed(self):
        self.create()
        self.doCleanups()
        self.setUp()
        ENGINE.create(self.path, format=FORMAT).begin().alloc(1)
        with ENGINE.open(self.path) as file:
            with file.begin() as tx:
                page, = tx.alloc_protected(1)
        # A view is a use of it.
        self.assertEqual(ENGINE.open(self.path).view_protected(page)[:2], b"\0\0")
        ENGINE.open(self.path).close()

    def test_file_is_the_parent_s_alone_after_a_fork(self):
        file = self.create()
        view, tx = file.view(self.regular), file.begin()
        staged = tx.stage(self.protected)
        done, told = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for function, args in [(file.stats, []), (file.begin, []), (file.view, [3]),
                                       (tx.alloc, [1]), (tx.commit, []), (bytes, [view]),
                                       (view.write, [0, b"child"]), (bytes, [staged])]:
                    error = str(self.fails("forked", function, *args))
                    self.assertTrue(error.startswith(f"{self.path} is open in process"), error)
                    self.assertIn("fork", error)
                tx.rollback()
                file.close()
                code = 0
            finally:
                os.write(told, b"!")
                os._exit(code)
        os.read(done, 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        # The lock is still the parent's, and so is the transaction.
        self.fails("locked", ENGINE.open, self.path)
        tx.alloc(1)
        tx.commit()
        os.close(done)
        os.close(told)

    def test_closing_gives_the_lock_up_though_a_fork_lives(self):
        file = self.create()
        wait, end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(end)
            os.read(wait, 1)
            os._exit(0)
        file.close()
        ENGINE.open(self.path).close()
        os.close(end)
        os.close(wait)
        os.waitpid(child, 0)

    def test_file_that_took_the_name_is_the_one_that_is_locked(self):
        self.create().close()
        new = self.path + ".2"
        ENGINE.create(new, format=FORMAT).close()
        flock, raced = fcntl.flock, []

        def race(fd, how):
            if not raced:
                raced.append(True)
                os.replace(new, self.path)
            return flock(fd, how)
        fcntl.flock = race
        try:
            file = ENGINE.open(self.path)
        finally:
            fcntl.flock = flock
        self.assertEqual(os.fstat(file._file.fd).st_ino, os.stat(self.path).st_ino)
        file.close()

    def test_threads_take_turns(self):
        file = self.create()

        def work():
            for _ in range(5):
                file.stats()
                bytes(file.view_protected(self.protected))
                try:
                    with file.begin() as tx:
                        tx.stage(self.protected)[0] = 7
                except PagerError as error:
                    self.assertIn(error.tag, ("stale-transaction", "ended"))
        def quiet():
            try:
                work()
            except PagerError as error:
                if error.tag != "ended":
                    failed.append(error)
            except BaseException as error:
                failed.append(error)
        failed = []
        threads = [threading.Thread(target=quiet) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])


class Interrupts(Case):
    def test_signals_wait_until_a_call_is_over(self):
        """A KeyboardInterrupt in a function of the store was lost with the
        call's answer: the interpreter crashed in 39 of 40 commits."""
        program = [sys.executable, __file__, "interrupted", self.path]
        ended = subprocess.run(program, capture_output=True, text=True, timeout=300)
        self.assertEqual(ended.returncode, 0, ended.stderr[-2000:])
        acknowledged, interrupts, sent = map(int, ended.stdout.split())
        self.assertEqual(interrupts, 40)
        # Python drops what comes while an object is finalized, and says so.
        self.assertEqual(ended.stderr.count("Exception ignored"), sent - 40, ended.stderr)
        self.assertNotIn("callback", ended.stderr)
        self.check()
        with ENGINE.open(self.path) as file:
            count = int.from_bytes(file.view_protected(0)[:8], "little")
        # The answer of the last commit may have been lost to an interrupt.
        self.assertGreaterEqual(count, acknowledged)

    def interrupted(self, file, function, *args):
        """Interrupts the next call of the component."""
        enter = file._enter

        def first(*args):
            file._enter = enter
            signal.raise_signal(signal.SIGINT)
            return enter(*args)
        file._enter = first
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.assertRaises(KeyboardInterrupt, function, *args)
        finally:
            signal.signal(signal.SIGINT, before)

    def test_what_is_noted_of_a_call_is_whole_after_an_interrupt(self):
        """A page that was freed was staged with the bytes of before, once it was
        allocated again."""
        file = self.create()

        def taken_again():
            again = file.alloc_protected()
            self.assertEqual(again, self.protected)
            with file.begin() as tx:
                self.assertEqual(tx.stage(again)[:], bytes(4096))
                tx.stage(again)[:5] = b"hello"
        self.interrupted(file, file.free_protected, self.protected)
        taken_again()
        with file.begin() as tx:
            self.interrupted(file, tx.free_protected, [self.protected])
        taken_again()
        with file.begin() as tx:
            self.interrupted(file, tx.claim_protected, [9])
            tx.stage(9)[:2] = b"hi"
        self.assertEqual(file.view_protected(9)[:2], b"hi")
        tx = file.begin()
        tx.stage(9)[:2] = b"ho"
        self.interrupted(file, tx.commit)
        self.assertEqual(file.view_protected(9)[:2], b"ho")
        if FORMAT == 1:
            tx = file.begin(deferred=True)
            tx.stage(9)[:2] = b"ha"
            self.interrupted(file, tx.commit)
            file.create_snapshot("monday")
            self.interrupted(file, file.restore_snapshot, "monday")
            tx = file.begin(deferred=True)
            tx.stage(9)[:2] = b"he"
            self.interrupted(file, tx.commit)
            file.close()
            with ENGINE.open(self.path) as file:
                self.assertEqual(file.view_protected(9)[:2], b"he")
        self.check()

    def test_handler_that_changes_what_is_staged_waits_for_the_commit(self):
        """A page whose bytes changed after their checksum was taken was lost."""
        file = self.create()
        tx = file.begin()
        view, checksum_of = tx.stage(self.protected), file._checksum

        def checksum(data):
            made = checksum_of(data)
            signal.raise_signal(signal.SIGUSR1)
            return made

        def handler(*_):
            try:
                view[:5] = b"never"
            except PagerError as error:
                told.append(error.tag)
        told, file._checksum = [], checksum
        before = signal.signal(signal.SIGUSR1, handler)
        try:
            tx.commit()
        finally:
            signal.signal(signal.SIGUSR1, before)
        self.assertEqual(told, ["ended"])
        self.assertEqual(file.view_protected(self.protected)[:5], b"hello")
        self.check()

    def test_handlers_are_as_they_were_after_a_call(self):
        file = self.create()
        came = []
        before = signal.signal(signal.SIGUSR1, lambda *_: came.append("held"))
        read = file._file.read

        def interrupted(*args):
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.01)
            came.append("call")
            return read(*args)
        file._file.read = interrupted
        try:
            handler = signal.getsignal(signal.SIGUSR1)
            file.view_protected(self.protected)
            self.assertIs(signal.getsignal(signal.SIGUSR1), handler)
        finally:
            signal.signal(signal.SIGUSR1, before)
        self.assertEqual(came[-1], "held")
        self.assertEqual(came.count("held"), 1)


class Kills(Case):
    def test_commit_that_was_acknowledged_outlives_a_kill(self):
        """And no commit is there in part: both pages have the same number."""
        with ENGINE.create(self.path, format=FORMAT) as file, file.begin() as tx:
            tx.alloc_protected(2)
        count = 0
        for _ in range(5):
            program = [sys.executable, __file__, "counting", self.path]
            with subprocess.Popen(program, stdout=subprocess.PIPE) as writer:
                for _ in range(random.randint(1, 8)):
                    acknowledged = int(writer.stdout.readline())
                time.sleep(random.uniform(0, 0.05))
                writer.kill()
                told = writer.stdout.read().split()
            acknowledged = int(told[-1]) if told else acknowledged
            self.assertGreater(acknowledged, count)
            with ENGINE.open(self.path) as file:
                found = [int.from_bytes(file.view_protected(page)[-8:], "little")
                         for page in (0, 1)]
            count = found[0]
            self.assertEqual(found, [count, count])
            self.assertIn(count, (acknowledged, acknowledged + 1))
            self.check()


def counting(path):
    """Commits for ever, and prints the number of each."""
    file = ENGINE.open(path)
    count = int.from_bytes(file.view_protected(0)[-8:], "little")
    while True:
        count += 1
        with file.begin() as tx:
            for page in 0, 1:
                tx.stage(page)[-8:] = count.to_bytes(8, "little")
            tx.alloc(1)
        print(count, flush=True)


def interrupted(path):
    """Commits, while a thread interrupts 40 times."""
    # A shell in which this runs in the background ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main, armed = threading.get_ident(), threading.Event()

    sent = 0

    def interrupt():
        nonlocal sent
        while interrupts < 40:
            armed.wait(30)  # longer than that no commit takes: it was dropped
            armed.clear()
            time.sleep(random.uniform(0, 0.1))
            sent += 1
            signal.pthread_kill(main, signal.SIGINT)

    file = ENGINE.create(path, format=FORMAT)
    with file.begin() as tx:
        tx.alloc_protected(1)
    count = interrupts = 0
    threading.Thread(target=interrupt, daemon=True).start()
    armed.set()
    while interrupts < 40:
        try:
            while True:
                with file.begin() as tx:
                    view = tx.stage(0)
                    next_count = int.from_bytes(view[:8], "little") + 1
                    view[:8] = next_count.to_bytes(8, "little")
                count = next_count
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts < 40:
                armed.set()
    file.close()
    print(count, interrupts, sent)


if __name__ == "__main__":
    if sys.argv[1:2] == ["interrupted"]:
        interrupted(sys.argv[2])
    elif sys.argv[1:2] == ["counting"]:
        counting(sys.argv[2])
    else:
        unittest.main()
