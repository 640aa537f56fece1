"""What the component says in records, as dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wasmtime.component import Record


@dataclass(frozen=True)
class Stats:
    """Figures of a page file, in pages unless said otherwise: `stats` of the
    WIT. None: the file is damaged, and does not say."""

    format: str
    capabilities: list[str]
    uuid: tuple[int, int] | None  # no other file has it; None: nor does the format
    algorithm: str  # of the checksums of protected pages
    page_size: int  # bytes
    page_count: int | None
    page_limit: int
    free_pages: int | None
    regular_pages: int | None
    protected_pages: int | None
    protected_capacity: int | None
    protected_limit: int
    internal_pages: int | None
    generation: int | None
    held_pages: int  # freed, and still read by views or by the durable state
    oldest_view: int | None  # the oldest generation that a view reads


@dataclass(frozen=True)
class CommitInfo:
    """What a commit did: the generation that is committed now, the one that is
    durable (the same, or an earlier one if commits since were deferred), and the
    pages that the file accounts for."""

    generation: int
    durable: int
    page_count: int


@dataclass(frozen=True)
class Obstacle:
    """What stands in the way of a shorter file. `kind` is `contents` (what it holds
    takes that much), `regular` (a regular page: its number is its id, so it is not
    moved), `snapshot` (a page of a snapshot, by its name where that was found out) or
    `view` (a state that was not closed, of this generation or a younger one)."""

    kind: str
    page: int | None = None
    name: str | None = None
    generation: int | None = None


@dataclass(frozen=True)
class Compacted:
    """What a compaction came to: pages that were moved, those that the file has now,
    and what stands in the way of a shorter one. None: it is as short as was asked."""

    moved: int
    page_count: int
    obstacle: Obstacle | None


def obstacle_of(found: Any) -> Obstacle | None:
    """That of the WIT."""
    if found is None:
        return None
    kind, payload = found.tag, found.payload
    if kind == "regular":
        return Obstacle(kind, page=payload)
    if kind == "snapshot":
        return Obstacle(kind, page=payload.page, name=payload.name)
    if kind == "view":
        return Obstacle(kind, generation=payload)
    return Obstacle(kind)


def fields(record: Any) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in vars(record).items()}


def record(**values: Any) -> Record:
    made = Record()
    for name, value in values.items():
        setattr(made, name.replace("_", "-"), value)
    return made
