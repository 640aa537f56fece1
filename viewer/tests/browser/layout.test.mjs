// The map's layout and hit-test, without a browser.

import assert from "node:assert/strict";
import test from "node:test";

import {
  centredOn, gutterOf, hit, moved, nextFlagged, pageOf, rectOf, rulerOf, scrolledTo, spansOf, stepOf, stepThatFits,
  tileOf, tilesOf, unpacked, viewOf,
} from "../../assets/map-layout.js";

const LARGEST = 8_388_384;

function view(pages, z, first = 0, width = 1000, height = 512) {
  return viewOf({ pages, width, height, z, first });
}

test("steps go from labelled tiles to a pixel a page and on to pooled tiles", () => {
  assert.deepEqual(stepOf(0), { per: 1, edge: 64 });
  assert.deepEqual(stepOf(6), { per: 1, edge: 1 });
  assert.deepEqual(stepOf(7), { per: 64, edge: 4 });
  assert.deepEqual(stepOf(8), { per: 256, edge: 4 });
  for (let z = 0; z < 12; z += 1) {
    const area = ({ per, edge }) => per / edge ** 2;
    assert.equal(area(stepOf(z + 1)), 4 * area(stepOf(z)), `step ${z}`);
  }
});

test("the step that fits shows every page, and the one before does not", () => {
  for (const pages of [1, 4, 100, 16_384, 32_544, 524_064, LARGEST]) {
    const z = stepThatFits(pages, 1000, 512);
    const fits = view(pages, z);
    assert.ok(fits.tiles * fits.per >= pages, `${pages} pages`);
    if (z > 0) {
      const closer = view(pages, z - 1);
      assert.ok(closer.tiles * closer.per < pages, `${pages} pages`);
    }
  }
});

test("every tile is hit at all of its corners, and nothing between", () => {
  for (const z of [0, 2, 6, 8]) {
    const shown = view(LARGEST, z, 5000);
    for (const tile of [0, 1, shown.columns - 1, shown.columns, shown.tiles - 1]) {
      const { x, y, edge } = rectOf(shown, tile);
      for (const [across, down] of [[0, 0], [edge - 0.01, 0], [0, edge - 0.01], [edge - 0.01, edge - 0.01]]) {
        assert.equal(hit(shown, x + across, y + down), tile, `step ${z}, tile ${tile}`);
      }
    }
  }
});

test("points outside of the tiles hit none", () => {
  const shown = view(10, 0);
  assert.equal(hit(shown, -1, 0), null);
  assert.equal(hit(shown, 0, -1), null);
  assert.equal(hit(shown, shown.columns * shown.edge + 1, 0), null, "right of the last column");
  assert.equal(hit(shown, 0, shown.edge), null, "below the last tile");
});

test("a page is in the tile that begins at or before it", () => {
  const shown = view(LARGEST, 7);
  for (const page of [0, 63, 64, 1_000_000]) {
    const tile = tileOf(shown, page);
    assert.ok(pageOf(shown, tile) <= page && page < pageOf(shown, tile) + shown.per);
  }
  assert.equal(tileOf(view(LARGEST, 0, 1000), 0), null, "above the view");
  assert.equal(tileOf(view(LARGEST, 0), LARGEST - 1), null, "below the view");
});

test("a view never begins past what fills it", () => {
  const shown = view(1000, 0, 999);
  assert.ok(shown.first + shown.tiles >= 1000);
  assert.equal(shown.first % shown.columns, 0, "rows begin at the left");
  assert.equal(view(5, 0, 4).first, 0);
  assert.equal(view(0, 0).tiles, 0);
});

test("keys move by tile, row and screen, and stay in the file", () => {
  const shown = view(10_000, 2);
  assert.equal(moved(shown, 5, "ArrowRight"), 6);
  assert.equal(moved(shown, 0, "ArrowLeft"), 0);
  assert.equal(moved(shown, 5, "ArrowDown"), 5 + shown.columns);
  assert.equal(moved(shown, 5, "PageDown"), 5 + shown.columns * shown.rows);
  assert.equal(moved(shown, 5, "End"), 9999);
  assert.equal(moved(shown, 9999, "ArrowRight"), 9999);
  assert.equal(moved(shown, 5, "Home"), 0);
  assert.equal(moved(shown, 5, "x"), null);
  assert.equal(moved(view(LARGEST, 7), 0, "ArrowRight"), 64, "a tile of several pages");
});

test("scrolling moves as little as it must", () => {
  const shown = view(100_000, 2, 10_000);
  assert.equal(scrolledTo(shown, shown.first + 3), shown.first);
  const after = shown.first + shown.perRow * shown.rows;
  assert.equal(scrolledTo(shown, after), shown.first + shown.perRow);
  assert.equal(scrolledTo(shown, shown.first - 1), shown.first - shown.perRow);
  const centred = view(100_000, 2, centredOn(shown, 50_000));
  assert.notEqual(tileOf(centred, 50_000), null);
});

test("problems are gone through in order and round", () => {
  assert.equal(nextFlagged([3, 9], 3), 9);
  assert.equal(nextFlagged([3, 9], 9), 3);
  assert.equal(nextFlagged([3, 9], 3, true), 9);
  assert.equal(nextFlagged([3, 9], 9, true), 3);
  assert.equal(nextFlagged([], 0), null);
});

test("one bad page in eight million survives packing and is where it was", () => {
  const runs = [[20_000, 0, 0, 5], [1, 0, 3, 5], [12_767, 0, 0, 5]];
  const tiles = unpacked(runs);
  assert.equal(tiles.length, 32_768);
  assert.deepEqual(tiles.flatMap((tile, place) => (tile.worst === 3 ? [place] : [])), [20_000]);
});

test("rows say their first page, as far as there is room", () => {
  assert.deepEqual(rulerOf(view(100, 1, 0, 320, 512)).slice(0, 3), [
    { page: 0, y: 16 }, { page: 10, y: 48 }, { page: 20, y: 80 },
  ]);
  const small = rulerOf(view(LARGEST, 7));
  assert.ok(small.every(({ y }, place) => place === 0 || y - small[place - 1].y >= 16));
  assert.ok(gutterOf(LARGEST, 1000) > gutterOf(128, 1000));
  assert.equal(gutterOf(LARGEST, 320), 0, "a small screen is for the tiles");
});

// Of a run that crossed from one pooled tile to the next only the first was
// outlined.
test("a run of pages is in every tile that it touches", () => {
  const pooled = view(LARGEST, 7);
  assert.deepEqual(tilesOf(pooled, [{ first: 63, count: 2 }]), [0, 1]);
  assert.deepEqual(tilesOf(pooled, [{ first: 130, count: 1 }, { first: 0, count: 1 }]), [0, 2]);
  assert.equal(tilesOf(pooled, [{ first: 0, count: LARGEST }]).length, pooled.tiles, "in view only");
  assert.deepEqual(tilesOf(view(LARGEST, 0, 1000), [{ first: 0, count: 5 }]), [], "above the view");
});

test("tiles that are near are asked for together", () => {
  assert.deepEqual(spansOf([1, 2, 9, 500], 10), [{ first: 1, count: 9 }, { first: 500, count: 1 }]);
  assert.deepEqual(spansOf([], 10), []);
});
