"""What the Python host makes of each view in a list of cases:
`python views.py FOLDER FORMAT < ../views.txt` prints the list anew."""

import os
import re
import sys

from pagebox import Engine, PagerError

WRITTEN = b"scribble"

# A verb, a page, how the file was opened, and what happens after.
CASE = re.compile(r"(.*) a (regular page|protected page|staged page|page)"
                  r"( of a file opened to read)?(?: after (.*))?")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def outcome(engine, path, case):
    verb, target, read_only, event = CASE.fullmatch(case).groups()
    file = engine.create(path, page_size=1024, format=int(sys.argv[2]))
    with file.begin() as tx:
        regular, protected = tx.alloc(2), tx.alloc_protected(2)
        for page in protected:
            tx.stage(page)[:5] = b"first"
    if read_only:
        file.close()
        file = engine.open(path, read_only=True)
    tx = None
    if target == "staged page":
        tx = file.begin()
        view = tx.stage(protected[0])
    elif target == "protected page":
        view = file.view_protected(protected[0])
    else:
        view = file.view(regular[0])
    if event:
        happens(engine, path, file, tx or file.begin(), event, target, regular, protected)
    before = read(path)
    try:
        if verb == "read":
            view.read(0, 16)
        elif verb == "read past the end of":
            view.read(1010, 16)
        elif verb == "write":
            view.write(0, WRITTEN)
        elif verb == "write nothing to":
            view.write(0, b"")
        elif verb == "write past the end of":
            view.write(1020, WRITTEN)
        else:
            raise NotImplementedError(verb)
        result = "done"
    except PagerError as error:
        result = error.tag
    except IndexError:
        result = "out-of-bounds"
    if result != "done":
        assert read(path) == before, f"{case}: the file changed"
    file.close()
    os.unlink(path)
    return result


def happens(engine, path, file, tx, event, target, regular, protected):
    if event in ("a commit of nothing", "its commit"):
        tx.commit()
    elif event in ("a rollback", "its rollback"):
        tx.rollback()
    elif event == "a free that was refused":
        try:
            tx.free([regular[0], regular[0]])
        except PagerError as error:
            assert error.tag == "duplicate", error
        tx.commit()
    elif event == "it was freed":
        if target == "regular page":
            tx.free(regular[:1])
        else:
            tx.free_protected(protected[:1])
        if target != "staged page":
            tx.commit()
    elif event in ("a commit", "a commit of another", "a commit of it"):
        tx.stage(protected[event == "a commit of another"])[:7] = b"changed"
        tx.commit()
    elif event == "the file was closed":
        file.close()
        # The next file has the number of the last one.
        following.append(open(path + ".next", "w+b"))
        following[-1].write(bytes(1 << 16))
        following[-1].flush()
    else:
        raise NotImplementedError(event)


engine = Engine()
following = []
for line in sys.stdin:
    if not line.startswith("#"):
        case = line.rpartition(":")[0]
        print(f"{case}: {outcome(engine, os.path.join(sys.argv[1], 'views.pages'), case)}")
for file in following:
    assert not any(os.pread(file.fileno(), 1 << 16, 0)), "the wrong file was written to"
    file.close()
