// <live-status>: follows the file's events, keeps the screen current, says
// when it cannot.

/** The least time from one redrawing to the next, in milliseconds. */
const REDRAW = 400;

class LiveStatus extends HTMLElement {
  #events = null;
  #paused = false;
  #pending = null;
  #redrawn = 0;
  #seen = null;

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
    // A hidden screen leaves its stream to others: there are only eight.
    document.addEventListener("visibilitychange", () => this.#follow());
    addEventListener("pagehide", () => this.#close());
    addEventListener("pageshow", () => this.#follow());
    this.#say("connecting", "");
    this.#pause(false);
  }

  disconnectedCallback() {
    this.#close();
  }

  #pause(paused) {
    this.#paused = paused;
    this.button.textContent = paused ? "Resume" : "Pause";
    if (paused) {
      this.#close();
      this.#say(`paused${this.#generation(" at ")}`, "paused");
    }
    this.#follow();
  }

  /** The generation in words; nothing where there is none. */
  #generation(before) {
    const { state } = this.#seen ?? {};
    const known = state?.verdict === "clean" || state?.generation > 0;
    const generation = state ? known && state.generation : this.getAttribute("generation");
    return generation === null || generation === false ? "" : `${before}generation ${generation}`;
  }

  #close() {
    this.#events?.close();
    this.#events = null;
    clearTimeout(this.#pending);
    this.#pending = null;
  }

  #follow() {
    if (document.hidden || this.#paused) {
      this.#close();
      return;
    }
    if (this.#events) {
      return;
    }
    const events = new EventSource(this.getAttribute("src"));
    this.#events = events;
    events.addEventListener("state", (event) => this.#state(JSON.parse(event.data)));
    events.addEventListener("recovered", () => this.#live());
    events.addEventListener("problem", (event) => this.#say(`stale: ${event.data}`, "stale"));
    events.addEventListener("error", () => {
      this.#say(`stale: not connected${this.#generation(", ")}`, "stale");
      // After a refusal the browser does not try again by itself.
      if (events.readyState === EventSource.CLOSED && this.#events === events) {
        this.#close();
        this.#pending = setTimeout(() => this.#follow(), 3000);
      }
    });
  }

  #state(snapshot) {
    const drawn = this.#seen?.state.generation ?? Number(this.getAttribute("generation"));
    const changed = snapshot.state.generation !== drawn || (this.#seen !== null);
    this.#seen = snapshot;
    this.#live();
    if (changed) {
      this.classList.remove("beat");
      void this.offsetWidth;
      this.classList.add("beat");
      this.#redraw();
    }
  }

  #live() {
    this.#say(`live${this.#generation(" · ")}`, "");
  }

  #say(text, state) {
    this.text.textContent = text;
    this.classList.toggle("paused", state === "paused");
    this.classList.toggle("stale", state === "stale");
  }

  /** Not more often than can be read. */
  #redraw() {
    if (this.#pending) {
      return;
    }
    const wait = Math.max(0, this.#redrawn + REDRAW - performance.now());
    this.#pending = setTimeout(() => {
      this.#pending = null;
      this.#redrawn = performance.now();
      this.#fetch();
    }, wait);
  }

  /** Takes what the server draws now, around what the reader is doing. */
  async #fetch() {
    const main = document.querySelector("main");
    const map = document.querySelector("page-map");
    if (map) {
      document.dispatchEvent(new CustomEvent("filechange", { detail: this.#seen }));
      const fresh = await this.#fresh();
      map.setAttribute("flagged", fresh?.querySelector("page-map")?.getAttribute("flagged") ?? "");
      this.#swap("[data-live]", fresh);
      return;
    }
    if (main.contains(document.activeElement) && document.activeElement !== main
      || getSelection()?.isCollapsed === false) {
      return;
    }
    const fresh = await this.#fresh();
    const now = fresh?.querySelector("main");
    if (now && !this.#paused) {
      main.replaceChildren(...now.childNodes);
      this.#swap("[data-live]", fresh);
    }
  }

  async #fresh() {
    try {
      const answer = await fetch(location, { headers: { accept: "text/html" } });
      return new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      return null;
    }
  }

  #swap(selector, fresh) {
    const now = fresh?.querySelectorAll(selector) ?? [];
    const old = document.querySelectorAll(selector);
    now.forEach((part, place) => {
      if (old[place] && !old[place].contains(document.activeElement)) {
        old[place].replaceWith(part);
      }
    });
  }
}

customElements.define("live-status", LiveStatus);
