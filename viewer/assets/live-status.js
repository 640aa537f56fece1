// <live-status>: follows the file's states, keeps the screen current, says
// when it cannot.

import { LiveSource } from "./live-source.js";
import { freshScreen, swapParts } from "./screen.js";

/** The least time from one redrawing to the next, in milliseconds. */
const REDRAW = 400;

/** The same for what is beside the map, which is larger and changes less. */
const REDRAW_BESIDE = 2000;

/** From one sign of life to the next: see the worker. */
const SIGN_OF_LIFE = 5000;

/** From one drawing to the next of a screen with ages and rates, in milliseconds. */
const AGES = 1000;

/** After how long without a commit such a screen is drawn less often. */
const QUIET = 15_000;

/** What cannot be taken away from somebody who is in it. */
const ENTERED = "input:not([type=checkbox]), select, textarea";

/** Follows a file through the worker that windows share; alone where there is none. */
function followed(address, tell) {
  const alone = () => new LiveSource(address, tell, { mayStream: false });
  let worker;
  try {
    worker = new SharedWorker(new URL("./live-worker.js", import.meta.url), { type: "module" });
  } catch {
    return alone();
  }
  const { port } = worker;
  const life = setInterval(() => port.postMessage({}), SIGN_OF_LIFE);
  let source = {
    close() {
      clearInterval(life);
      port.postMessage({ leave: true });
      port.close();
    },
  };
  let closed = false;
  port.onmessage = ({ data: { kind, data } }) => closed || tell(kind, data);
  worker.onerror = () => {
    if (!closed) {
      source.close();
      source = alone();
    }
  };
  port.postMessage({ follow: address });
  return {
    close() {
      closed = true;
      source.close();
    },
  };
}

class LiveStatus extends HTMLElement {
  #source = null;
  #paused = false;
  #pending = null;
  #redrawn = 0;
  #drawing = false;
  #seen = null;
  /** The generation that the screen shows, where there is one. */
  #drawn = null;
  /** Whether there is something newer than the screen shows. */
  #behind = false;
  /** What changed since the map was drawn: runs of pages, and whether those are all. */
  #changes = { runs: [], complete: true, any: false };
  #beside = 0;
  /** When something changed last. */
  #changed = 0;
  #clock = null;

  connectedCallback() {
    this.pulse = document.createElement("span");
    this.pulse.className = "pulse";
    this.pulse.setAttribute("aria-hidden", "true");
    this.text = document.createElement("span");
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.addEventListener("click", () => this.#pause(!this.#paused));
    this.append(this.pulse, this.text, this.button);
    this.title = "As in the page cache; not proof of durability";
    this.#drawn = this.#numberOf(this);
    // A hidden window listens to nothing.
    document.addEventListener("visibilitychange", () => this.#follow());
    addEventListener("pagehide", () => this.#close());
    addEventListener("pageshow", () => this.#follow());
    // What could not be drawn because somebody was at it is drawn afterwards.
    for (const name of ["focusout", "selectionchange", "change"]) {
      document.addEventListener(name, () => this.#behind && this.#redraw());
    }
    this.#clock = setInterval(() => this.#tick(), AGES);
    this.#say("connecting", "");
    this.#pause(false);
  }

  disconnectedCallback() {
    clearInterval(this.#clock);
    this.#close();
  }

  #numberOf(element) {
    const text = element?.getAttribute("generation") ?? null;
    return text === null ? null : Number(text);
  }

  #pause(paused) {
    this.#paused = paused;
    this.button.textContent = paused ? "Resume" : "Pause";
    if (paused) {
      this.#close();
      this.#say(`paused${this.#generation(" at ", this.#drawn)}`, "paused");
    }
    this.#follow();
  }

  /** A generation in words; nothing where it is not known. */
  #generation(before, number = this.#seen ? this.#seen.state.generation : this.#drawn) {
    return number === null ? "" : `${before}generation ${number}`;
  }

  #close() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#pending);
    this.#pending = null;
  }

  #follow() {
    if (document.hidden || this.#paused) {
      this.#close();
    } else if (!this.#source) {
      const address = new URL(this.getAttribute("src"), location).href;
      this.#source = followed(address, (kind, data) => this.#told(kind, data));
    }
  }

  #told(kind, data) {
    if (kind === "state") {
      this.#state(data);
    } else if (kind === "recovered") {
      this.#live();
    } else if (kind === "problem") {
      this.#say(`stale: ${data}`, "stale");
    } else {
      this.#say(`stale: not connected${this.#generation(", ")}`, "stale");
    }
  }

  #state(snapshot) {
    const before = this.#seen;
    this.#seen = snapshot;
    const again = before?.sequence === snapshot.sequence && before.at === snapshot.at;
    const isNew = before ? !again : snapshot.state.generation !== this.#drawn;
    if (isNew) {
      const next = before !== null && snapshot.sequence === before.sequence + 1;
      this.#changed = performance.now();
      this.#changes.any = true;
      this.#changes.runs.push(...snapshot.changed);
      this.#changes.complete &&= next && snapshot.changes_complete;
      this.#behind = true;
      this.classList.remove("beat");
      void this.offsetWidth;
      this.classList.add("beat");
      this.#redraw();
    }
    this.#live();
  }

  /** Ages grow and rates fall while nothing changes. */
  #tick() {
    const isQuiet = performance.now() - this.#changed > QUIET;
    const least = isQuiet ? 10 * AGES : AGES;
    if (document.querySelector("main [data-ages]") && performance.now() - this.#redrawn >= least) {
      this.#redraw();
    }
  }

  #live() {
    const held = this.#behind && this.#isHeld()
      ? `, shown${this.#generation(": ", this.#drawn)}, while you are in it`
      : "";
    this.#say(`live${this.#generation(" · ")}${held}`, "");
  }

  #say(text, state) {
    this.text.textContent = text;
    this.classList.toggle("paused", state === "paused");
    this.classList.toggle("stale", state === "stale");
  }

  /** Not more often than can be read, and one at a time. */
  #redraw(least = 0) {
    if (this.#pending || this.#drawing || this.#paused || !this.#source) {
      return;
    }
    const wait = Math.max(least, this.#redrawn + REDRAW - performance.now());
    this.#pending = setTimeout(async () => {
      this.#pending = null;
      if (this.#isHeld()) {
        this.#live();
        return;
      }
      this.#drawing = true;
      this.#redrawn = performance.now();
      // What comes while this is drawn makes it fall behind again.
      this.#behind = false;
      const done = await this.#draw();
      this.#drawing = false;
      this.#behind ||= !done;
      if (this.#behind) {
        this.#redraw(done ? 0 : 1000);
      }
    }, wait);
  }

  /** Whether somebody is in the midst of something that drawing would undo. */
  #isHeld() {
    const main = document.querySelector("main");
    if (document.querySelector("page-map")) {
      return false;
    }
    const selection = getSelection();
    const selects = selection && !selection.isCollapsed && main.contains(selection.anchorNode);
    return selects || (main.contains(document.activeElement) && document.activeElement.matches(ENTERED));
  }

  /** Takes what the server draws now. Returns whether it was an answer. */
  async #draw() {
    const map = document.querySelector("page-map");
    if (map) {
      return this.#drawMap(map);
    }
    const fresh = await freshScreen();
    if (!fresh) {
      return false;
    }
    if (this.#paused || this.#isHeld()) {
      this.#behind = true;
      return true;
    }
    const main = document.querySelector("main");
    const kept = remember(main);
    main.replaceChildren(...fresh.querySelector("main").childNodes);
    restore(main, kept);
    this.#took(fresh);
    return true;
  }

  /** The map draws itself; the lists beside it are taken now and then. */
  async #drawMap(map) {
    if (this.#changes.any) {
      const detail = { ...this.#seen, ...this.#changes };
      this.#changes = { runs: [], complete: true, any: false };
      document.dispatchEvent(new CustomEvent("filechange", { detail }));
    }
    if (performance.now() - this.#beside < REDRAW_BESIDE) {
      // The lists of the last state are taken, too, only later.
      clearTimeout(this.later);
      this.later = setTimeout(() => {
        this.#behind = true;
        this.#redraw();
      }, REDRAW_BESIDE);
      return true;
    }
    this.#beside = performance.now();
    const fresh = await freshScreen();
    const now = fresh?.querySelector("page-map");
    if (!now) {
      return false;
    }
    map.take(now);
    this.#took(fresh);
    return true;
  }

  #took(fresh) {
    this.#drawn = this.#numberOf(fresh.querySelector("live-status"));
    document.title = fresh.title;
    const icon = document.querySelector("link[rel=icon]");
    const { href } = fresh.querySelector("link[rel=icon]");
    // A browser asks for it anew with each change.
    if (icon.href !== href) {
      icon.href = href;
    }
    swapParts("[data-live]", fresh);
    this.#live();
  }
}

/** What tells an element of a screen from the others of its kind. */
function nameOf(element) {
  return element.id || element.getAttribute("aria-label") || element.getAttribute("href") || element.textContent;
}

/** Where somebody is in a screen: what is open, scrolled and has the focus. */
function remember(main) {
  const active = main.contains(document.activeElement) ? document.activeElement : null;
  return {
    active: active && active !== main && [active.localName, nameOf(active)],
    open: [...main.querySelectorAll("details[open] > summary")].map(nameOf),
    scrolled: new Map([...main.querySelectorAll(".scroll")]
      .map((part) => [nameOf(part), [part.scrollLeft, part.scrollTop]])),
  };
}

/** Puts somebody back there. */
function restore(main, { active, open, scrolled }) {
  for (const summary of main.querySelectorAll("details > summary")) {
    summary.parentElement.open ||= open.includes(nameOf(summary));
  }
  for (const part of main.querySelectorAll(".scroll")) {
    [part.scrollLeft, part.scrollTop] = scrolled.get(nameOf(part)) ?? [0, 0];
  }
  if (active) {
    const [kind, name] = active;
    const same = [...main.querySelectorAll(kind)].find((element) => nameOf(element) === name);
    (same ?? main).focus({ preventScroll: true });
  }
}

customElements.define("live-status", LiveStatus);
