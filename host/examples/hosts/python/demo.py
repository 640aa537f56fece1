"""Makes a page file, writes a protected and a regular page, and reads them back
in a second opening: `python demo.py data.pages`. A file that is there already is
read only.
"""

import os
import sys

import pagebox

path, = sys.argv[1:]
if not os.path.exists(path):
    with pagebox.create(path) as file:
        with file.begin() as tx:  # commits at the end; an exception rolls back
            protected, = tx.alloc_protected(1)
            tx.stage(protected)[:17] = b"hello from Python"
            regular, = tx.alloc(1)
        file.view(regular)[:5] = b"bytes"
        file.sync()  # regular pages are durable after this

with pagebox.open(path) as file:
    print(file.view_protected(0)[:32].rstrip(b"\0").decode())
    try:
        file.view(10**6)
    except pagebox.PagerError as error:
        print(f"PagerError: {error}")
