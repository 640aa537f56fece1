"""What every host does to a file in the same way, so that it leaves the same
bytes: `python workload.py run FILE`, or `create FILE FORMAT PAGE_SIZE`
with the number of a file that no host draws."""

import secrets
import sys

from pagebox import Engine


def run(file):
    stats = file.stats()
    size, defers = stats.page_size, "deferred-commits" in stats.capabilities
    with file.begin() as tx:
        regular = tx.alloc(5)
        first, = tx.alloc_protected(1)
        tx.stage(first)[:5] = b"first"
    for number, page in enumerate(regular):
        file.view(page)[:] = bytes([number + 1]) * size
    file.sync()
    with file.begin() as tx:
        tx.claim_protected([70, 7])
    for number in range(30):
        with file.begin() as tx:
            ids = tx.alloc_protected(10)
            for page in ids:
                tx.stage(page)[:] = bytes([(10 * number + page) % 251]) * size
            pages = tx.alloc(3)
        if number % 3 == 2:
            with file.begin(deferred=defers) as tx:
                tx.free_protected(ids[:4])
                tx.free(pages[1:])
                tx.stage(first)[5] = number
    file.free(regular[1])
    page = file.alloc()
    file.free_protected(7)
    file.alloc_protected()
    file.view(page)[:3] = b"end"
    file.sync()


engine = Engine()
if sys.argv[1] == "run":
    with engine.open(sys.argv[2]) as file:
        run(file)
else:
    halves = [int.from_bytes(half, "little") for half in (b"a uuid o", b"f a file")]
    secrets.randbits = lambda _: halves.pop(0)
    _, _, path, number, page_size = sys.argv
    engine.create(path, int(page_size), format=int(number)).close()
