"""Committed states of a page file: read while commits go on, kept under names,
compared.

A *view* is the bytes of one page, and ends with the next commit. A *state* is all
protected pages as one commit left them, and stays until it is closed.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Iterator, TypeVar

from ._store import U64, PagerError, Private, View, integer

if TYPE_CHECKING:
    from ._file import PageFile

# How many pages are asked for at once.
PART = 256

T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot:
    """A committed state that has a name, and stays until it is deleted."""

    name: str
    generation: int  # that was committed when it was made
    time: int  # of its making, in nanoseconds since 1970


@dataclass(frozen=True)
class ChangedPage:
    """A protected page whose bytes are others in one state than in another."""

    page: int
    change: str  # `added`, `removed` or `changed`

    @classmethod
    def of(cls, record: Any) -> ChangedPage:
        if record.before is None:
            return cls(record.id, "added")
        return cls(record.id, "removed" if record.after is None else "changed")


class State:
    """The protected pages of a committed state: `PageFile.committed_state` and
    `PageFile.snapshot` give it. Commits go on, and it stays as it is, also when a
    later one failed and the file can be changed no more.

    It keeps pages that commits have freed until it is closed, at the end of its
    `with` or by `close`; it ends with its file at the latest. After that calls are
    errors, tag `closed`, and its views have ended. Regular pages are changed in
    place: no state has them."""

    def __init__(self, file: PageFile, kind: str, handle: Any, generation: int) -> None:
        """`kind` is what the handle is of: a `view` of the WIT, or a `pager` at a
        root of its own."""
        self._file, self._kind, self._handle = file, kind, handle
        self._shown: weakref.WeakSet[Private] = weakref.WeakSet()
        self.generation = generation

    def _open(self) -> Any:
        self._file._file.fd  # raises if it is closed, or this is a fork
        if self._handle is None:
            raise PagerError("the state is closed", "closed")
        return self._handle

    def view_protected(self, page: int) -> View:
        """A protected page, verified, to read: a copy, which commits do not end."""
        page = integer("page", page, U64)
        file = self._file
        with file._turn():
            private = Private(file._verified(self._kind, self._open(), page), "its state is closed")
            self._shown.add(private)
            view = View(file._file, private=private, writable=False)
        view.file = self
        return view

    def protected_pages(self) -> Iterator[int]:
        """The ids of its protected pages, in ascending order."""
        return (entry.id for entry in listed(
            lambda start: self._file._call(f"[method]{self._kind}.protected", self._open(), start,
                                           PART),
            lambda entry: entry.id))

    def close(self) -> None:
        """Lets its pages be used again. Closing it again does nothing."""
        handle, self._handle = self._handle, None
        for private in self._shown:
            private.data = None
        self._file._drop(handle, "closing a state")

    def __del__(self) -> None:
        # A finalizer runs at any time, within a call of the component too: the next
        # one gives this up.
        if getattr(self, "_handle", None) is not None:
            self._file._forgotten.append(self._handle)

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<State of generation {self.generation}>"


def name_of(name: str, value: Any) -> str:
    """An argument that is to be the name of a snapshot. Which ones there can be,
    the component says."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} has halves of characters: {value!r}") from None
    return value


def named(error: PagerError, *snapshots: str) -> PagerError:
    """An error with the name of the snapshot, where there is but one."""
    texts = {"no-snapshot": "there is no snapshot", "is-snapshot": "there is a snapshot"}
    if error.tag not in texts:
        return error
    if len(set(snapshots)) != 1:
        return PagerError(f"{texts[error.tag]} of one of these names: "
                          + ", ".join(f'"{name}"' for name in snapshots), error.tag)
    already = " already" if error.tag == "is-snapshot" else ""
    return PagerError(f'{texts[error.tag]} "{snapshots[0]}"{already}', error.tag)


def listed(part: Callable[[int], list[T]], last: Callable[[T], int]) -> Iterator[T]:
    """What the component lists from a number on, a part at a time; `last` is the
    last number of an entry. What is wrong at the start is raised at once."""
    first = part(0)

    def entries() -> Iterator[T]:
        found = first
        while found:
            yield from found
            start = last(found[-1]) + 1
            found = part(start) if start < U64 else []
    return entries()
