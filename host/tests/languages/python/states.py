"""What the Python host makes of each case in a list of committed states:
`python states.py FOLDER < ../states.txt` prints the list anew."""

import errno
import os
import sys

from pagebox import Engine, PagerError

SYNC = os.fdatasync


def failing(_):
    raise OSError(errno.EIO, "no sync")


class Case:
    """A file, and the last state and the last view of a page that were made."""

    def __init__(self, engine, path):
        self.engine, self.path = engine, path
        self.file = engine.create(path, page_size=1024)
        with self.file.begin() as tx:
            tx.alloc_protected(2)
            tx.stage(0)[:5] = b"first"
        self.file.create_snapshot("monday")
        self.state = self.view = None

    def step(self, step):
        """Does it: what it comes to. It is the method of all its words or, where there
        is none, that of the first one, which the others are given to."""
        verb, *names = step.split(" ")
        method = getattr(self, step.replace(" ", "_"), None)
        try:
            found = method() if method else getattr(self, f"do_{verb}")(*names)
        except PagerError as error:
            return error.tag
        except IndexError:
            return "out-of-bounds"
        return "done" if found is None else found

    def write_page(self):
        self.view.write(0, b"scribble")

    def do_write(self, text):
        with self.file.begin() as tx:
            tx.stage(0)[:5] = text.encode()

    def do_defer(self, text):
        with self.file.begin(deferred=True) as tx:
            tx.stage(0)[:5] = text.encode()

    def do_sync(self):
        self.file.sync()

    def free(self):
        self.file.free_protected(0)

    def take_page(self):
        with self.file.begin() as tx:
            tx.claim_protected([0])
            tx.stage(0)[:5] = b"taken"

    def stage(self):
        """What a page that is staged begins with."""
        tx = self.file.begin()
        found = tx.stage(0)[:5].decode()
        tx.rollback()
        return found

    def fail(self):
        """From now on no sync is done."""
        os.fdatasync = failing

    def close_file(self):
        self.file.close()

    def open(self):
        self.file = self.engine.open(self.path)

    def open_to_read(self):
        self.file.close()
        self.file = self.engine.open(self.path, read_only=True)

    def forget(self):
        """Ends as a process that was killed does."""
        self.file._file.close()
        self.open()

    def do_state(self):
        self.state = self.file.committed_state()

    def page(self):
        self.view = self.state.view_protected(0)

    def read_page(self):
        return self.view[:5].decode()

    def read_past_page(self):
        self.view.read(1020, 5)

    def read_state(self):
        return self.state.view_protected(0)[:5].decode()

    def read_missing(self):
        self.state.view_protected(77)

    def list_state(self):
        return listed(self.state.protected_pages())

    def close_state(self):
        self.state.close()

    def read_file(self):
        return self.file.view_protected(0)[:5].decode()

    def list_file(self):
        return listed(self.file.protected_pages())

    def do_snapshot(self, name):
        self.state = self.file.snapshot(name)

    def names(self):
        return listed(snapshot.name for snapshot in self.file.snapshots())

    def do_create(self, name):
        self.file.create_snapshot(name)

    def do_delete(self, name):
        self.file.delete_snapshot(name)

    def do_restore(self, name):
        self.file.restore_snapshot(name)

    def grow(self, name=None):
        """The file becomes longer than what it holds; a snapshot keeps a page at its
        end."""
        with self.file.begin() as tx:
            *pages, last = tx.alloc_protected(100)
            for page in [*pages, last]:
                tx.stage(page)[:1] = b"x"
        with self.file.begin() as tx:
            tx.free_protected(pages)
        if name:
            self.file.create_snapshot(name)
        self.file.free_protected(last)

    def do_keep(self, name):
        self.grow(name)

    def do_compact(self):
        self.file.compact()

    def obstacle(self):
        before = self.file.stats().page_count
        found = self.file.compact()
        assert found.page_count == self.file.stats().page_count
        length = "shorter" if found.page_count < before else "as long"
        it = found.obstacle
        return f"{length} {it.kind if it else 'none'} {(it and it.name) or ''}".strip()

    def do_alone(self, name):
        return "some" if self.file.snapshot_pages(name) > 0 else "none"

    def do_changes(self, *names):
        return listed(f"{it.page} {it.change}" for it in self.file.changes(*names))


def listed(entries):
    return " ".join(map(str, entries)) or "none"


def outcome(engine, path, steps):
    case = Case(engine, path)
    try:
        *before, last = steps.split(", ")
        for step in before:
            result = case.step(step.removeprefix("!"))
            fails = result != "done"
            assert fails == step.startswith("!"), f"{steps}: {step}: {result}"
        return case.step(last)
    finally:
        os.fdatasync = SYNC
        case.file._file.close()
        os.unlink(path)


engine = Engine()
for line in sys.stdin:
    if not line.startswith("#"):
        steps = line.rpartition(":")[0]
        print(f"{steps}: {outcome(engine, os.path.join(sys.argv[1], 'states.pages'), steps)}")
