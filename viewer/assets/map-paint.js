// Drawing the map on a canvas: colour and shape by kind, an X where something
// is wrong.

import { rectOf, rulerOf } from "./map-layout.js";

/** The least edge at which a shape can be told from a square, in pixels. */
const SHAPE_MIN = 8;

/** The least edge at which a tile carries its number, in pixels. */
const LABEL_MIN = 64;

/** How much of a tile is filled for each age. */
const AGES = {
  "newest": 1, "under-10-commits-old": 0.75, "under-100-commits-old": 0.5, "under-1000-commits-old": 0.25, "older": 0,
};

/** The least edge of an X, however small the tile. */
const CROSS_MIN = 9;

/** The colours of the kinds and of the rest, as the style sheet has them. */
export function colours(host, classes) {
  const probe = document.createElement("span");
  host.append(probe);
  const of = (name) => {
    probe.className = name;
    return getComputedStyle(probe).color;
  };
  const found = Object.fromEntries(classes.map((name) => [name, of(`k-${name}`)]));
  found.problem = of("cross");
  const style = getComputedStyle(host);
  found.ink = style.color;
  probe.remove();
  const stage = getComputedStyle(host.querySelector(".stage"));
  found.ground = stage.backgroundColor;
  found.muted = getComputedStyle(host.querySelector(".scale")).color;
  return found;
}

function shape(context, name, x, y, edge, colour, alone) {
  const middle = edge / 2;
  context.fillStyle = colour;
  context.strokeStyle = colour;
  context.lineWidth = Math.max(1, edge / 14);
  context.beginPath();
  switch (name) {
    case "protected-active":
      context.arc(x + middle, y + middle, middle, 0, 2 * Math.PI);
      context.fill();
      break;
    case "protected-shadow": {
      const line = context.lineWidth / 2;
      context.arc(x + middle, y + middle, middle - line, 0, 2 * Math.PI);
      context.stroke();
      context.beginPath();
      context.arc(x + middle, y + middle, middle, Math.PI / 2, 1.5 * Math.PI);
      context.fill();
      break;
    }
    case "directory":
      context.moveTo(x + middle, y);
      context.lineTo(x + edge, y + middle);
      context.lineTo(x + middle, y + edge);
      context.lineTo(x, y + middle);
      context.fill();
      break;
    case "superblock":
      context.moveTo(x + middle, y);
      context.lineTo(x + edge, y + edge);
      context.lineTo(x, y + edge);
      context.fill();
      break;
    case "metadata": {
      const hole = edge * 0.36;
      context.rect(x, y, edge, edge);
      context.rect(x + (edge - hole) / 2, y + (edge - hole) / 2, hole, hole);
      context.fill("evenodd");
      break;
    }
    case "header":
      context.moveTo(x + middle, y);
      context.lineTo(x + edge, y + 0.4 * edge);
      context.lineTo(x + edge, y + edge);
      context.lineTo(x, y + edge);
      context.lineTo(x, y + 0.4 * edge);
      context.fill();
      break;
    case "root-slot":
      context.rect(x, y, 0.42 * edge, edge);
      context.rect(x + 0.58 * edge, y, 0.42 * edge, edge);
      context.fill();
      break;
    case "map-node":
      for (const reach of [middle, 0.4 * middle]) {
        context.moveTo(x + middle, y + middle - reach);
        context.lineTo(x + middle + reach, y + middle);
        context.lineTo(x + middle, y + middle + reach);
        context.lineTo(x + middle - reach, y + middle);
        context.closePath();
      }
      context.fill("evenodd");
      break;
    case "space-home":
      for (const [across, down] of [[0, 0], [0.58, 0], [0, 0.58], [0.58, 0.58]]) {
        context.rect(x + across * edge, y + down * edge, 0.42 * edge, 0.42 * edge);
      }
      context.fill();
      break;
    case "snapshot-table":
      for (const down of [0, 0.36, 0.72]) {
        context.rect(x, y + down * edge, edge, 0.26 * edge);
      }
      context.fill();
      break;
    case "newest":
    case "under-10-commits-old":
    case "under-100-commits-old":
    case "under-1000-commits-old":
    case "older": {
      // The fuller, the younger.
      const line = context.lineWidth;
      const full = edge * AGES[name];
      context.strokeRect(x + line / 2, y + line / 2, edge - line, edge - line);
      context.fillRect(x, y + edge - full, edge, full);
      break;
    }
    case "age-unknown":
      context.arc(x + middle, y + middle, Math.max(1, edge / 9), 0, 2 * Math.PI);
      context.fill();
      break;
    case "other":
      context.fillRect(x + 0.15 * edge, y + 0.42 * edge, 0.7 * edge, 0.16 * edge);
      break;
    case "free":
      context.globalAlpha *= alone ? 1 : 0.7;
      context.strokeRect(x + 0.5, y + 0.5, edge - 1, edge - 1);
      break;
    case "slack":
      for (const [across, down] of [[0.28, 0.28], [0.72, 0.28], [0.28, 0.72], [0.72, 0.72]]) {
        context.moveTo(x + across * edge, y + down * edge);
        context.arc(x + across * edge, y + down * edge, edge * 0.11, 0, 2 * Math.PI);
      }
      context.fill();
      break;
    case "missing":
      context.setLineDash([edge / 5, edge / 6]);
      context.strokeRect(x + 0.5, y + 0.5, edge - 1, edge - 1);
      context.setLineDash([]);
      break;
    case "unknown":
      context.font = `600 ${edge}px sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText("?", x + middle, y + middle);
      break;
    default:
      context.fillRect(x, y, edge, edge);
  }
}

/** A tile that is too small for a shape: a block, paler the fewer are used. */
function block(context, name, rect, tenths, single, colour) {
  const gap = rect.edge > 3 ? 1 : 0;
  context.fillStyle = colour;
  if (name === "free") {
    context.globalAlpha *= 0.12 + tenths * 0.04;
  } else if (name === "protected-shadow") {
    context.globalAlpha *= 0.5;
  } else if (name === "slack" || name === "age-unknown") {
    context.globalAlpha *= 0.3;
  } else if (!single) {
    context.globalAlpha *= 0.4 + tenths * 0.06;
  }
  context.fillRect(rect.x, rect.y, rect.edge - gap, rect.edge - gap);
}

function cross(context, rect, colours) {
  const edge = Math.max(CROSS_MIN, rect.edge * 0.55);
  const x = rect.x + (rect.edge - edge) / 2;
  const y = rect.y + (rect.edge - edge) / 2;
  const strokes = [
    [colours.ground, Math.max(4, edge / 3.2)],
    [colours.problem, Math.max(2, edge / 6)],
  ];
  context.lineCap = "round";
  for (const [colour, width] of strokes) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + edge, y + edge);
    context.moveTo(x + edge, y);
    context.lineTo(x, y + edge);
    context.stroke();
  }
}

function outline(context, rect, colour, ground, out) {
  context.strokeStyle = ground;
  context.lineWidth = 5;
  context.strokeRect(rect.x - out, rect.y - out, rect.edge + 2 * out, rect.edge + 2 * out);
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.strokeRect(rect.x - out, rect.y - out, rect.edge + 2 * out, rect.edge + 2 * out);
}

/** The most tiles that are each pointed at. */
const RINGS_MAX = 40;

/** Points at the few small tiles of a kind among many others. */
function ringAll(context, view, tiles, kind, colours) {
  const places = tiles.flatMap((tile, place) => (tile.kind === kind ? [place] : []));
  if (places.length > RINGS_MAX) {
    return;
  }
  context.globalAlpha = 1;
  context.strokeStyle = colours.ink;
  context.lineWidth = 1.5;
  for (const place of places) {
    const { x, y, edge } = rectOf(view, place);
    context.beginPath();
    context.arc(x + edge / 2, y + edge / 2, edge / 2 + 5, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** The page numbers beside the rows. */
export function paintRuler(context, view, gutter, colours) {
  context.fillStyle = colours.muted;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const { page, y } of rulerOf(view)) {
    context.fillText(page.toLocaleString("en"), gutter - 8, Math.max(7, y + 0.5));
  }
}

/**
 * Draws a view. `nameOf` names a kind's drawing by its code, `letterOf` what is
 * written on it where several kinds are drawn alike; `kind` is the
 * code of the kind to show alone, `cursor` and `changed` are tiles.
 */
export function paint(context, view, tiles, { colours, nameOf, letterOf, kind, cursor, changed, pageOf }) {
  const shaped = view.edge >= SHAPE_MIN;
  tiles.forEach((tile, place) => {
    const rect = rectOf(view, place);
    const name = nameOf(tile.kind);
    // Alone, the free pages are there to be seen, and the rest to be guessed.
    const alone = kind !== null && kind === tile.kind;
    const colour = kind === null ? colours[name] : alone ? colours.ink : colours.muted;
    context.globalAlpha = kind === null || alone ? 1 : 0.12;
    if (shaped) {
      const labelled = view.edge >= LABEL_MIN;
      const size = rect.edge * (labelled ? 0.42 : 0.7);
      const inset = (rect.edge - size) / 2;
      const lift = labelled ? rect.edge * 0.1 : 0;
      shape(context, name, rect.x + inset, rect.y + inset - lift, size, colour, alone);
      const letter = letterOf(tile.kind);
      if (letter) {
        context.fillStyle = colours.ground;
        context.font = `700 ${Math.round(size * 0.85)}px ui-monospace, monospace`;
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.fillText(letter, rect.x + inset + size / 2, rect.y + inset - lift + size * 0.54);
      }
      if (labelled) {
        context.globalAlpha = 1;
        context.fillStyle = colours.ink;
        context.font = "12px system-ui, sans-serif";
        context.textAlign = "center";
        context.textBaseline = "alphabetic";
        context.fillText(String(pageOf(view, place)), rect.x + rect.edge / 2, rect.y + rect.edge - 7);
      }
    } else {
      block(context, alone ? "" : name, rect, tile.tenths, alone || view.per === 1, colour);
    }
  });
  if (kind !== null && !shaped) {
    ringAll(context, view, tiles, kind, colours);
  }
  context.globalAlpha = 1;
  for (const place of changed) {
    outline(context, rectOf(view, place), colours.ink, colours.ground, 0);
  }
  tiles.forEach((tile, place) => {
    if (tile.worst > 1) {
      cross(context, rectOf(view, place), colours);
    }
  });
  if (cursor !== null) {
    outline(context, rectOf(view, cursor), colours.regular, colours.ground, 2);
  }
}
