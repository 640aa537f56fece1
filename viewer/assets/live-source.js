// Where a file's states come from: an event stream where one may be had,
// otherwise by asking again and again. For a page, or for the worker that
// pages share.

/**
 * Event streams at a time. A browser has six connections to a host, and a
 * stream takes one for as long as it is open: the rest is for screens.
 */
const STREAMS_MAX = 3;

/** From one question to the next, in milliseconds. */
const ASKED_EVERY = 700;

let streams = 0;

/**
 * Follows a file until it is closed. `tell` gets `state` with a snapshot,
 * `recovered`, `problem` with a text, or `lost` where nobody answers.
 */
export class LiveSource {
  #address;
  #tell;
  #events = null;
  #timer = null;
  #closed = false;
  #known = null;
  #well = true;

  constructor(address, tell, { mayStream }) {
    this.#address = address;
    this.#tell = tell;
    if (mayStream && streams < STREAMS_MAX) {
      this.#stream();
    } else {
      this.#ask();
    }
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#endStream();
  }

  #endStream() {
    if (this.#events) {
      this.#events.close();
      this.#events = null;
      streams -= 1;
    }
  }

  #stream() {
    streams += 1;
    const events = new EventSource(this.#address);
    this.#events = events;
    events.addEventListener("state", ({ data }) => this.#tell("state", JSON.parse(data)));
    events.addEventListener("recovered", () => this.#tell("recovered"));
    events.addEventListener("problem", ({ data }) => this.#tell("problem", data));
    events.addEventListener("error", () => {
      // One that was refused is not tried again: others have all there are.
      if (events.readyState === EventSource.CLOSED && this.#events === events) {
        this.#endStream();
        this.#ask();
      } else {
        this.#tell("lost");
      }
    });
  }

  async #ask() {
    const asked = new URL("live.json", this.#address);
    try {
      const answer = await fetch(asked, { headers: { accept: "application/json" } });
      const view = await answer.json();
      if (!this.#closed) {
        this.#take(answer.ok, view);
      }
    } catch {
      if (!this.#closed) {
        this.#well = false;
        this.#tell("lost");
      }
    }
    if (!this.#closed) {
      this.#timer = setTimeout(() => this.#ask(), ASKED_EVERY);
    }
  }

  #take(ok, view) {
    if (!ok) {
      this.#well = false;
      this.#tell("problem", view.error);
      return;
    }
    // Watching that began anew counts from the start again.
    const { last } = view;
    const known = last && `${last.sequence} ${last.at}`;
    if (last && known !== this.#known) {
      this.#known = known;
      this.#tell("state", last);
    } else if (!this.#well) {
      this.#tell("recovered");
    }
    this.#well = true;
  }
}
