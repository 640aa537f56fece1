"""Durable puts a second, beside LMDB and SQLite, in one run.

    pip install lmdb
    python bench.py [FOLDER]

A put replaces a record of 100 bytes, one of 1,000 at random: in Pagebox it is in a
protected page of its own, in LMDB and SQLite the value of a key. What is compared
takes turns, in another order each round, on the same disk; the figures are medians
of the rounds, and besides the time of the processor, which the disk has no part in.
LMDB syncs each commit (its default), SQLite has a WAL and `synchronous=FULL`. FOLDER is
where the files are made and removed again, a temporary one unless said; on a file
system in memory no sync is measured.
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from typing import Callable, Iterable, NamedTuple

import lmdb
import pagebox

RECORDS, SIZE, ROUNDS = 1000, 100, 9
# Puts a commit, and commits a round.
SHAPES = [(1, 200), (100, 20)]

Put = tuple[int, bytes]
Commit = Callable[[Iterable[Put]], None]


def in_pagebox(folder: str) -> Commit:
    file = pagebox.create(os.path.join(folder, "data.pages"))
    with file.begin() as tx:
        pages = tx.alloc_protected(RECORDS)
        for page in pages:
            tx.stage(page)[:SIZE] = bytes(SIZE)

    def commit(puts: Iterable[Put]) -> None:
        with file.begin() as tx:
            for key, value in puts:
                tx.stage(pages[key])[:SIZE] = value
    return commit


def in_lmdb(folder: str) -> Commit:
    environment = lmdb.open(os.path.join(folder, "lmdb"), map_size=1 << 26)

    def commit(puts: Iterable[Put]) -> None:
        with environment.begin(write=True) as tx:
            for key, value in puts:
                tx.put(key.to_bytes(8, "big"), value)
    commit((key, bytes(SIZE)) for key in range(RECORDS))
    return commit


def in_sqlite(folder: str) -> Commit:
    database = sqlite3.connect(os.path.join(folder, "sqlite.db"), isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table records (key integer primary key, value blob)")

    def commit(puts: Iterable[Put]) -> None:
        database.execute("begin immediate")
        database.executemany("replace into records values (?, ?)", puts)
        database.execute("commit")
    commit((key, bytes(SIZE)) for key in range(RECORDS))
    return commit


class Times(NamedTuple):
    """Seconds of a commit: on the clock, and of the processor."""

    clock: float
    processor: float


def times(commit: Commit, work: list[list[Put]]) -> Times:
    clock, processor = time.perf_counter(), time.process_time()
    for puts in work:
        commit(puts)
    return Times((time.perf_counter() - clock) / len(work),
                 (time.process_time() - processor) / len(work))


def measured(databases: dict[str, Commit], puts: int, commits: int) -> dict[str, Times]:
    """Medians, by name."""
    rng = random.Random(1)
    took: dict[str, list[Times]] = {name: [] for name in databases}
    for number in range(ROUNDS + 1):
        work = [[(rng.randrange(RECORDS), rng.randbytes(SIZE)) for _ in range(puts)]
                for _ in range(commits)]
        for name in rng.sample(list(databases), len(databases)):
            found = times(databases[name], work)
            if number > 0:  # the first one warms up
                took[name].append(found)
    return {name: Times(*map(statistics.median, zip(*rounds))) for name, rounds in took.items()}


def seconds_of_sync(folder: str) -> float:
    """The median of syncs of one page that was there before."""
    took = []
    with open(os.path.join(folder, "page"), "wb", buffering=0) as file:
        for _ in range(100):
            file.seek(0)
            file.write(os.urandom(4096))
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - start)
    return statistics.median(took)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        databases = {"pagebox": in_pagebox(folder), "lmdb": in_lmdb(folder),
                     "sqlite3": in_sqlite(folder)}
        print(f"A sync of one page: {1e3 * seconds_of_sync(folder):.2f} ms\n")
        print("| Puts a commit | | puts a second | of lmdb's | processor a commit |")
        print("|---|---|---|---|---|")
        for puts, commits in SHAPES:
            found = measured(databases, puts, commits)
            for name, took in found.items():
                ratio = found["lmdb"].clock / took.clock
                print(f"| {puts} | {name} | {puts / took.clock:,.0f} | {ratio:.2f} | "
                      f"{1e3 * took.processor:.2f} ms |")


main()
