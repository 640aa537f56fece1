// <page-map>: every page of a file on a canvas. Without it, the drawing that
// the server put inside remains.

import {
  centredOn, gutterOf, hit, moved, nextFlagged, pageOf, scrolledTo, spansOf, stepThatFits, tileOf, tilesOf,
  unpacked, viewOf,
} from "./map-layout.js";
import { colours, paint, paintRuler } from "./map-paint.js";
import { freshScreen, swapParts } from "./screen.js";

/** What the buttons do, in groups: action, text, what it is called in full. */
const TOOLS = [
  [
    ["out", "−", "Zoom out"],
    ["in", "+", "Zoom in"],
    ["fit", "Fit", "Show the whole file"],
  ],
  [
    ["home", "First", "First page"],
    ["up", "↑ Screen", "One screen back"],
    ["down", "Screen ↓", "One screen on"],
    ["end", "Last", "Last page"],
  ],
  [
    ["previous", "← Problem", "Previous page with a problem"],
    ["next", "Problem →", "Next page with a problem"],
  ],
  [
    ["go", "Go to…", "Go to a page by its number"],
    ["open", "Open", "Open the page under the cursor"],
  ],
];

/** The most tiles that are asked for at a time. */
const PART = 65_536;

/** Changed tiles that are less than this apart are asked for together. */
const GAP = 2048;

/** The most questions about what changed; where more would be needed, all is asked for. */
const QUESTIONS_MAX = 6;

/** From one question to the next while the check or the decoder is not done, in milliseconds. */
const UNFINISHED = 1000;

/** How far a wheel is turned for one step of the zoom, in pixels. */
const WHEEL = 60;

/** What the server says again with each state. */
const SAID = ["flagged", "kinds", "unfinished", "asking"];

const number = new Intl.NumberFormat("en");

class PageMap extends HTMLElement {
  #view = null;
  #tiles = [];
  #changed = [];
  #details = null;
  /** What is to be asked for: spans of tiles, or "all". */
  #wanted = null;
  #asking = null;
  /** Where the cursor was when the pointer went down. */
  #before = null;
  #goesOn = null;

  connectedCallback() {
    if (this.#view || !(this.pages > 0)) {
      return;
    }
    this.#goOn();
    this.cursor = this.#numberOf("sel") ?? this.flagged[0] ?? 0;
    this.cursor = Math.min(this.cursor, this.pages - 1);
    this.#build();
    const given = this.#numberOf("z");
    this.z = given ?? stepThatFits(this.pages, this.width, this.height);
    this.first = this.#numberOf("first") ?? 0;
    if (this.#numberOf("sel") !== null && given === null) {
      this.first = 0;
    }
    this.#lay();
    new ResizeObserver(() => this.#lay()).observe(this.stage);
    document.addEventListener("themechange", () => this.#draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    document.addEventListener("filechange", (event) => this.#refresh(event.detail));
    // The form works without script; with it the choice counts at once.
    document.querySelector(".filters [name=kind]")?.addEventListener("change", (event) => {
      this.setAttribute("kind", event.target.value);
      this.#draw();
      this.#remember();
    });
  }

  /** Takes what the server says of a state. */
  take(fresh) {
    const known = this.getAttribute("kinds");
    for (const name of SAID) {
      const text = fresh.getAttribute(name);
      if (text === null) {
        this.removeAttribute(name);
      } else {
        this.setAttribute(name, text);
      }
    }
    if (this.getAttribute("kinds") !== known) {
      this.#draw();
    }
    this.#buttons();
    this.#goOn();
  }

  /** While the server finds out more it is asked again. */
  #goOn() {
    clearTimeout(this.#goesOn);
    if (!this.hasAttribute("unfinished")) {
      return;
    }
    this.#goesOn = setTimeout(async () => {
      const fresh = document.hidden ? null : await freshScreen();
      const now = fresh?.querySelector("page-map");
      if (now) {
        // A check that goes on changes no tile but by what it finds.
        const same = !this.hasAttribute("asking")
          && ["flagged", "kinds"].every((name) => this.getAttribute(name) === now.getAttribute(name));
        swapParts("[data-live]", fresh);
        this.take(now);
        if (!same) {
          this.#wanted = "all";
          this.#ask();
        }
      } else {
        this.#goOn();
      }
    }, UNFINISHED);
  }

  /** The kinds of pages: code, name, drawing, and a letter where several are drawn alike. */
  get kinds() {
    return JSON.parse(this.getAttribute("kinds"));
  }

  get pages() {
    return Number(this.getAttribute("pages"));
  }

  /** The pages that something is wrong with, in order. */
  get flagged() {
    return this.getAttribute("flagged").split(" ").filter(Boolean).map(Number);
  }

  get gutter() {
    return gutterOf(this.pages, this.stage.clientWidth);
  }

  get width() {
    return this.stage.clientWidth - this.gutter;
  }

  get height() {
    return Math.round(Math.min(640, Math.max(256, innerHeight * 0.55)) / 64) * 64;
  }

  #numberOf(name) {
    const text = this.getAttribute(name);
    return text === null || text === "" || !/^\d+$/.test(text) ? null : Number(text);
  }

  #build() {
    const fallback = [...this.childNodes];
    for (const node of fallback) {
      node.remove();
    }
    this.tools = document.createElement("div");
    this.tools.className = "tools";
    this.tools.setAttribute("role", "group");
    this.tools.setAttribute("aria-label", "Map controls");
    for (const tools of TOOLS) {
      const group = document.createElement("span");
      group.className = "group";
      for (const [action, text, label] of tools) {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.action = action;
        button.textContent = text;
        button.title = label;
        if (/[^\w …]/.test(text)) {
          button.setAttribute("aria-label", label);
        }
        group.append(button);
      }
      this.tools.append(group);
    }
    this.tools.append(this.#buildForm());
    this.scale = document.createElement("span");
    this.scale.className = "scale";
    this.tools.append(this.scale);
    this.stage = document.createElement("div");
    this.stage.className = "stage";
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "application");
    this.stage.setAttribute("aria-label", "Map of pages. Arrows move, plus and minus zoom, g goes to a page, n finds the next problem, Enter opens.");
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.stage.append(this.canvas);
    this.readout = document.createElement("p");
    this.readout.className = "readout";
    this.readout.setAttribute("aria-live", "polite");
    this.append(this.tools, this.stage, this.readout);
    this.tools.addEventListener("click", (event) => {
      const action = event.target.closest("button")?.dataset.action;
      if (action && !event.target.closest("form")) {
        this.#act(action);
      }
    });
    this.stage.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("mousemove", (event) => this.#point(event));
    // Before a touch counts as a click it counts as a move of the mouse.
    this.canvas.addEventListener("pointerdown", () => {
      this.#before = this.cursor;
    });
    // Two fingers on a touchpad are the wheel with Ctrl, and many small turns of it.
    let turned = 0;
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) {
        return;
      }
      event.preventDefault();
      turned += event.deltaY;
      if (Math.abs(turned) < WHEEL) {
        return;
      }
      const z = this.z + Math.sign(turned);
      turned = 0;
      if (z >= 0 && z <= stepThatFits(this.pages, this.width, this.height)) {
        this.#point(event);
        this.#zoomTo(z);
      }
    }, { passive: false });
    this.canvas.addEventListener("click", (event) => {
      this.#point(event);
      // A finger cannot point without touching: its first touch does that alone.
      if (event.pointerType !== "touch" || this.cursor === this.#before) {
        this.#act("open");
      }
    });
  }

  /** Fits the view to its size, step and place, and asks for its tiles. */
  #lay() {
    const { pages, width, height, z, first } = this;
    if (width <= 0) {
      return;
    }
    const view = viewOf({ pages, width, height, z, first });
    this.first = view.first;
    const used = Math.ceil(view.tiles / view.columns) * view.edge;
    this.drawnHeight = Math.max(64, Math.min(height, used));
    const before = this.#view;
    this.#view = view;
    const same = before && ["per", "first", "tiles"].every((name) => before[name] === view[name]);
    this.#buttons();
    this.#readOut();
    if (same) {
      this.#draw();
    } else {
      this.#fetch();
    }
  }

  /** Everything anew, for a view that is not the one before. */
  #fetch() {
    this.#asking?.abort();
    this.#wanted = "all";
    this.#ask();
  }

  /** Asks for what is wanted until nothing is, one question at a time. */
  async #ask() {
    if (this.#asking) {
      return;
    }
    while (this.#wanted) {
      const wanted = this.#wanted;
      this.#wanted = null;
      this.#asking = new AbortController();
      try {
        await this.#take(this.#view, wanted, this.#asking.signal);
        this.#problem = null;
      } catch (error) {
        if (error.name !== "AbortError") {
          // What is drawn stays; the next state brings what is missing.
          this.#problem = `The map could not be read: ${error.message}`;
          this.#missed = true;
        }
      }
      this.#asking = null;
      this.#readOut();
    }
  }

  async #take(view, wanted, signal) {
    const all = wanted === "all" || this.#tiles.length !== view.tiles;
    const spans = all ? [{ first: 0, count: view.tiles }] : wanted;
    const tiles = all ? [] : [...this.#tiles];
    for (const span of spans) {
      for (let done = 0; done < span.count; done += PART) {
        const first = span.first + done;
        const part = await this.#part(view, first, Math.min(PART, span.count - done), signal);
        part.forEach((tile, place) => {
          tiles[first + place] = tile;
        });
      }
    }
    this.#tiles = tiles;
    this.#draw();
    this.dataset.ready = String(tiles.length);
  }

  async #part(view, tile, count, signal) {
    const query = `first=${pageOf(view, tile)}&per=${view.per}&count=${count}`;
    const answer = await fetch(`${this.getAttribute("src")}${query}`, { signal });
    const part = await answer.json();
    if (!answer.ok) {
      throw new Error(part.error);
    }
    return unpacked(part.tiles);
  }

  /** Whether an answer is missing, so that what changed is not all that is. */
  #missed = false;

  #problem = null;

  #draw() {
    const view = this.#view;
    if (!view) {
      return;
    }
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(this.stage.clientWidth * ratio);
    this.canvas.height = Math.round(this.drawnHeight * ratio);
    // By the object model: a style attribute would be against the policy.
    this.canvas.style.height = `${this.drawnHeight}px`;
    const context = this.canvas.getContext("2d");
    const kinds = new Map(this.kinds.map((kind) => [kind[0], kind]));
    const drawnIn = colours(this, this.kinds.map(([, , drawing]) => drawing));
    const { gutter } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (gutter > 0) {
      paintRuler(context, view, gutter, drawnIn);
    }
    context.setTransform(ratio, 0, 0, ratio, gutter * ratio, 0);
    const only = this.kinds.find(([, name]) => name === this.getAttribute("kind"));
    paint(context, view, this.#tiles, {
      colours: drawnIn,
      nameOf: (code) => kinds.get(code)?.[2] ?? "unknown",
      letterOf: (code) => kinds.get(code)?.[3],
      kind: only ? only[0] : null,
      cursor: tileOf(view, this.cursor),
      changed: tilesOf(view, this.#changed),
      pageOf,
    });
  }

  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    const tile = hit(this.#view, event.clientX - box.left - this.gutter, event.clientY - box.top);
    if (tile !== null && tile !== tileOf(this.#view, this.cursor)) {
      this.#moveTo(pageOf(this.#view, tile));
    }
  }

  #moveTo(page) {
    this.cursor = page;
    this.first = scrolledTo(this.#view, page);
    this.#lay();
    this.#remember();
  }

  #zoomTo(z) {
    this.z = Math.min(stepThatFits(this.pages, this.width, this.height), Math.max(0, z));
    const view = viewOf({ ...this.#view, width: this.width, height: this.height, z: this.z });
    this.first = centredOn(view, this.cursor);
    this.#lay();
    this.#remember();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const to = moved(this.#view, this.cursor, event.key);
    const action = {
      "+": "in", "=": "in", "-": "out", g: "go", n: "next", N: "previous", Enter: "open", 0: "fit",
    }[event.key];
    if (to !== null) {
      this.#moveTo(to);
    } else if (action) {
      this.#act(action);
    } else {
      return;
    }
    event.preventDefault();
  }

  #act(action) {
    const key = { up: "PageUp", down: "PageDown", home: "Home", end: "End" }[action];
    if (key) {
      this.#moveTo(moved(this.#view, this.cursor, key));
    } else if (action === "in") {
      this.#zoomTo(this.z - 1);
    } else if (action === "out") {
      this.#zoomTo(this.z + 1);
    } else if (action === "fit") {
      this.#zoomTo(Infinity);
    } else if (action === "go") {
      this.#goTo();
    } else if (action === "next" || action === "previous") {
      const page = nextFlagged(this.flagged, this.cursor, action === "previous");
      if (page !== null) {
        this.#moveTo(page);
      }
    } else if (action === "open") {
      location.assign(`${this.getAttribute("page")}n=${this.cursor}`);
    }
  }

  /** Asks for a page by its number, in decimal or, after 0x, in hex. */
  #goTo() {
    this.form.hidden = false;
    this.form.number.value = "";
    this.form.number.setCustomValidity("");
    this.form.number.focus();
  }

  #buildForm() {
    this.form = document.createElement("form");
    this.form.className = "go";
    this.form.hidden = true;
    const input = document.createElement("input");
    input.name = "number";
    input.size = 9;
    input.inputMode = "numeric";
    input.setAttribute("aria-label", "The page to go to");
    const button = document.createElement("button");
    button.textContent = "Go";
    this.form.append(input, button);
    const close = () => {
      this.form.hidden = true;
      this.stage.focus();
    };
    input.addEventListener("input", () => input.setCustomValidity(""));
    input.addEventListener("keydown", (event) => event.key === "Escape" && close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = input.value.replaceAll(",", "").trim();
      const page = text === "" ? NaN : Number(text);
      if (Number.isInteger(page) && page >= 0 && page < this.pages) {
        this.#moveTo(page);
        close();
      } else {
        input.setCustomValidity(`A number from 0 to ${number.format(this.pages - 1)}, or 0x\u2026 in hex`);
        input.reportValidity();
      }
    });
    return this.form;
  }

  #buttons() {
    const fits = stepThatFits(this.pages, this.width, this.height);
    const none = this.flagged.length === 0;
    const off = {
      in: this.z === 0, out: this.z >= fits, fit: this.z >= fits, next: none, previous: none,
    };
    for (const button of this.tools.querySelectorAll("button[data-action]")) {
      button.disabled = off[button.dataset.action] ?? false;
    }
    const { per } = this.#view;
    this.scale.textContent = per === 1 ? "one tile is one page" : `one tile is ${number.format(per)} pages`;
  }

  /** Says what is under the cursor; details of a single page a moment later. */
  #readOut() {
    const view = this.#view;
    const tile = this.#tiles[tileOf(view, this.cursor)];
    const offset = this.cursor * Number(this.getAttribute("page-size"));
    const kind = this.kinds.find(([code]) => code === tile?.kind)?.[1].replaceAll("-", " ");
    const last = Math.min(this.pages, this.cursor + view.per) - 1;
    const parts = [
      last > this.cursor
        ? `pages ${number.format(this.cursor)} to ${number.format(last)}`
        : `page ${number.format(this.cursor)}`,
      `byte ${number.format(offset)} (0x${offset.toString(16)})`,
    ];
    if (kind) {
      parts.push(last > this.cursor ? `${this.getAttribute("pooled")} ${kind}` : kind);
    }
    this.readout.replaceChildren(...parts.map((text) => {
      const span = document.createElement("span");
      span.textContent = text;
      return span;
    }));
    this.#say(this.#problem ?? ["", "", "a warning here", "an error here"][tile?.worst ?? 0]);
    clearTimeout(this.#details);
    if (view.per === 1) {
      this.#details = setTimeout(() => this.#detail(this.cursor), 150);
    }
  }

  #say(text) {
    if (text) {
      const said = document.createElement("span");
      said.className = "said";
      said.textContent = text;
      this.readout.append(said);
    }
  }

  async #detail(page) {
    const answer = await fetch(`${this.getAttribute("detail")}n=${page}&len=16&brief=true`).catch(() => null);
    if (!answer?.ok || page !== this.cursor) {
      return;
    }
    const info = await answer.json();
    if (page !== this.cursor) {
      return;
    }
    if (info.protected !== null) {
      const owner = document.createElement("span");
      owner.textContent = `of protected page ${number.format(info.protected)}`;
      this.readout.append(owner);
    }
    if (info.findings.length > 0) {
      this.readout.querySelector(".said")?.remove();
      this.#say(info.findings.map((finding) => finding.message).join("; "));
    }
  }

  /** The view is in the address, so that it can be sent and gone back to. */
  #remember() {
    const address = new URL(location);
    address.searchParams.set("z", this.z);
    address.searchParams.set("first", this.first);
    address.searchParams.set("sel", this.cursor);
    address.searchParams.delete("per");
    address.searchParams.delete("kind");
    if (this.getAttribute("kind")) {
      address.searchParams.set("kind", this.getAttribute("kind"));
    }
    history.replaceState(null, "", address);
  }

  /** The file has another state: `runs` changed, which may not be `complete`. */
  #refresh({ state, runs, complete }) {
    const same = state.pages === this.pages;
    this.setAttribute("pages", state.pages);
    this.#changed = runs;
    if (!same) {
      const fits = stepThatFits(this.pages, this.width, this.height);
      this.z = Math.min(this.z, fits);
      this.#view = null;
      this.#lay();
      return;
    }
    const spans = spansOf(tilesOf(this.#view, runs), GAP);
    const all = !complete || this.#missed || spans.length > QUESTIONS_MAX || this.#wanted === "all";
    this.#missed = false;
    this.#wanted = all ? "all" : [...this.#wanted ?? [], ...spans];
    if (this.#wanted.length === 0) {
      // What changed is not in view.
      this.#wanted = null;
      this.#draw();
    }
    this.#ask();
  }
}

customElements.define("page-map", PageMap);
