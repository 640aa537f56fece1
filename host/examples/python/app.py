"""The queue: messages that are pushed at one end and popped at the other, and
survive a restart. The layout is in ../README.md.

Every resource is a context manager: `with` drops it at the end of its block.
"""

import struct

import wit_world
from componentize_py_types import Err
from wit_world.imports import page_store, pager, stores
from wit_world.imports.pager import Access, Durability

ROOT = 0  # the protected page that holds the root
MAGIC = b"PBXQUEUE"
ROOT_LAYOUT = struct.Struct("<8sQQQ")  # magic, first, last, count
HEAD_LAYOUT = struct.Struct("<QI")  # the next message's page, length of this one


class WitWorld(wit_world.WitWorld):
    def run(self, args: list[str]) -> None:
        try:
            with pager.open(stores.take("queue"), Access.WRITE) as file:
                match args:
                    case ["push", _, *_]:
                        push(file, args[1:])
                    case ["pop"]:
                        print(pop(file))
                    case ["list"]:
                        show(file)
                    case _:
                        raise Err("usage: push TEXT..., pop, list")
        except Err as error:
            raise Err(in_words(error.value)) from None


def push(file: pager.Pager, texts: list[str]) -> None:
    first, last, count = read_root(file)
    room = file.stats().page_size - HEAD_LAYOUT.size
    tx = file.begin()
    if file.stats().protected_pages == 0:
        tx.alloc_protected(1)  # of an empty file it is page 0
    for text, page in zip(texts, tx.alloc_protected(len(texts))):
        message = text.encode()
        if len(message) > room:
            raise Err(f"a message of {len(message)} bytes: there is room for {room}")
        if count == 0:
            first = page
        else:
            with tx.stage(last) as view:
                view.write(0, page.to_bytes(8, "little"))
        with tx.stage(page) as view:
            view.write(0, HEAD_LAYOUT.pack(0, len(message)) + message)
        last = page
        count += 1
    write_root(tx, first, last, count)
    pager.commit(tx, Durability.DURABLE)


def pop(file: pager.Pager) -> str:
    """Durably removes the first message."""
    first, last, count = read_root(file)
    if count == 0:
        raise Err("the queue is empty")
    following, text = read_message(file, first)
    tx = file.begin()
    tx.free_protected([first])
    write_root(tx, following, last, count - 1)
    pager.commit(tx, Durability.DURABLE)
    return text


def show(file: pager.Pager) -> None:
    page, _, count = read_root(file)
    for _ in range(count):
        page, text = read_message(file, page)
        print(text)


def read_root(file: pager.Pager) -> tuple[int, int, int]:
    if file.stats().protected_pages == 0:
        return 0, 0, 0
    with file.view_protected(ROOT) as view:
        magic, *root = ROOT_LAYOUT.unpack(view.read(0, ROOT_LAYOUT.size))
    if magic != MAGIC:
        raise Err("the page file holds something else than a queue")
    return tuple(root)


def write_root(tx: pager.Transaction, first: int, last: int, count: int) -> None:
    with tx.stage(ROOT) as view:
        view.write(0, ROOT_LAYOUT.pack(MAGIC, first, last, count))


def read_message(file: pager.Pager, page: int) -> tuple[int, str]:
    """The page of the next message, and this one."""
    with file.view_protected(page) as view:
        following, length = HEAD_LAYOUT.unpack(view.read(0, HEAD_LAYOUT.size))
        return following, view.read(HEAD_LAYOUT.size, length).decode(errors="replace")


def in_words(error) -> str:
    if isinstance(error, str):
        return error
    if isinstance(error, stores.GrantError):
        return error.value
    if isinstance(error, page_store.StoreError):
        return f"a page cannot be used: {getattr(error, 'value', None) or type(error).__name__}"
    return pager.describe(error)
