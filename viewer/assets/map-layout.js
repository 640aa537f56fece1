// Where pages lie on the map: pure functions, tested without a canvas.
//
// A *step* of the zoom is how many pages a tile stands for and how long its
// edge is. From labelled tiles (step 0) each step outward shows four times as
// many pages: by smaller tiles down to one pixel a page, then by tiles that
// stand for ever more pages.

/** The edge of a tile that carries a label, in pixels. */
export const EDGE_MAX = 64;

/** The edge of a tile that stands for several pages, in pixels. */
export const EDGE_POOLED = 4;

/** How much longer an edge gets at most where there is room. */
const GROWTH_MAX = 1.25;

/** How many steps there are before tiles stand for several pages. */
const STEPS_SINGLE = Math.log2(EDGE_MAX) + 1;

/** A step of the zoom: pages in a tile, and the tile's edge in pixels. */
export function stepOf(z) {
  if (z < STEPS_SINGLE) {
    return { per: 1, edge: EDGE_MAX / 2 ** z };
  }
  // Four-pixel tiles of 64 pages are the next after one-pixel tiles of one.
  return { per: 16 * 4 ** (z - STEPS_SINGLE + 1), edge: EDGE_POOLED };
}

/** The room for the page numbers beside the rows; none where width is dear. */
export function gutterOf(pages, width) {
  const digits = Math.max(0, pages - 1).toLocaleString("en").length;
  return width < 480 ? 0 : 16 + 7 * digits;
}

/**
 * How many columns and rows of tiles fit in a view, and how long their edges are then.
 * Where there are many columns their number is a round one, so that the rows begin at
 * pages that people can count with.
 */
export function gridOf(width, height, edge) {
  const fit = Math.max(1, Math.floor(width / edge));
  const round = fit >= 32 ? 8 : fit >= 16 ? 4 : 1;
  const columns = fit - fit % round;
  // The tiles take what that leaves, as far as whole pixels go.
  const grown = Math.max(edge, Math.min(Math.floor(width / columns), Math.floor(edge * GROWTH_MAX)));
  return { columns, rows: Math.max(1, Math.floor(height / grown)), edge: grown };
}

/** The first step at which all pages fit in a view. */
export function stepThatFits(pages, width, height) {
  for (let z = 0; ; z += 1) {
    const { per, edge } = stepOf(z);
    const { columns, rows } = gridOf(width, height, edge);
    if (columns * rows * per >= pages) {
      return z;
    }
  }
}

/** The view: everything that follows from size, step and first page. */
export function viewOf({ pages, width, height, z, first }) {
  const { per, edge: least } = stepOf(z);
  const { columns, rows, edge } = gridOf(width, height, least);
  const perRow = columns * per;
  const rowsInAll = Math.ceil(pages / perRow);
  const lastTop = Math.max(0, rowsInAll - rows) * perRow;
  const top = Math.min(Math.floor(Math.max(0, first) / perRow) * perRow, lastTop);
  const tiles = Math.max(0, Math.min(columns * rows, Math.ceil((pages - top) / per)));
  return { pages, per, edge, columns, rows, perRow, first: top, tiles, z };
}

/** The rectangle of a tile, by its place in the view. */
export function rectOf(view, tile) {
  return {
    x: (tile % view.columns) * view.edge,
    y: Math.floor(tile / view.columns) * view.edge,
    edge: view.edge,
  };
}

/** The first page of each row that has room for its number, and where. */
export function rulerOf(view, lineHeight = 16) {
  const every = Math.ceil(lineHeight / view.edge);
  const rows = Math.ceil(view.tiles / view.columns);
  const marks = [];
  for (let row = 0; row < rows; row += every) {
    marks.push({ page: view.first + row * view.perRow, y: (row + 0.5) * view.edge });
  }
  return marks;
}

/** The tile that a page is in; none where it is not in the view. */
export function tileOf(view, page) {
  const tile = Math.floor((page - view.first) / view.per);
  return tile >= 0 && tile < view.tiles ? tile : null;
}

/** The tiles of a view that runs of pages are in, in order. */
export function tilesOf(view, runs) {
  const tiles = new Set();
  for (const { first, count } of runs) {
    const from = Math.max(0, Math.floor((first - view.first) / view.per));
    const to = Math.min(view.tiles - 1, Math.floor((first + count - 1 - view.first) / view.per));
    for (let tile = from; tile <= to; tile += 1) {
      tiles.add(tile);
    }
  }
  return [...tiles].sort((one, other) => one - other);
}

/** Tiles as runs of neighbours; those less than `gap` tiles apart are one. */
export function spansOf(tiles, gap) {
  const spans = [];
  for (const tile of tiles) {
    const last = spans.at(-1);
    if (last && tile - (last.first + last.count) < gap) {
      last.count = tile - last.first + 1;
    } else {
      spans.push({ first: tile, count: 1 });
    }
  }
  return spans;
}

/** The first page of a tile. */
export function pageOf(view, tile) {
  return view.first + tile * view.per;
}

/** The tile at a point; none where there is none. */
export function hit(view, x, y) {
  const column = Math.floor(x / view.edge);
  const row = Math.floor(y / view.edge);
  if (x < 0 || y < 0 || column >= view.columns) {
    return null;
  }
  const tile = row * view.columns + column;
  return tile < view.tiles ? tile : null;
}

/** Where a key takes the cursor; none where the key means nothing. */
export function moved(view, page, key) {
  const last = Math.max(0, view.pages - 1);
  const by = {
    ArrowLeft: -view.per,
    ArrowRight: view.per,
    ArrowUp: -view.perRow,
    ArrowDown: view.perRow,
    PageUp: -view.perRow * view.rows,
    PageDown: view.perRow * view.rows,
    Home: -Infinity,
    End: Infinity,
  }[key];
  return by === undefined ? null : Math.min(last, Math.max(0, page + by));
}

/** The first page of a view that shows a page, moved as little as needed. */
export function scrolledTo(view, page) {
  const row = Math.floor(page / view.perRow);
  const top = Math.floor(view.first / view.perRow);
  if (row < top) {
    return row * view.perRow;
  }
  if (row >= top + view.rows) {
    return (row - view.rows + 1) * view.perRow;
  }
  return view.first;
}

/** The first page of a view with a page in its middle. */
export function centredOn(view, page) {
  const row = Math.floor(page / view.perRow) - Math.floor(view.rows / 2);
  return Math.max(0, row) * view.perRow;
}

/** The next flagged page after one, or the last before it; goes round. */
export function nextFlagged(flagged, page, backward = false) {
  if (flagged.length === 0) {
    return null;
  }
  if (backward) {
    return flagged.findLast((each) => each < page) ?? flagged.at(-1);
  }
  return flagged.find((each) => each > page) ?? flagged[0];
}

/** Packed runs of like tiles, one entry a tile. */
export function unpacked(runs) {
  const tiles = [];
  for (const [count, kind, worst, tenths] of runs) {
    const tile = { kind, worst, tenths };
    for (let each = 0; each < count; each += 1) {
      tiles.push(tile);
    }
  }
  return tiles;
}
