// One for all windows of this viewer: each file is followed once, however many
// windows show it.

import { LiveSource } from "./live-source.js";

/** How long a window may be silent, in milliseconds. One that died says no goodbye. */
const SILENCE_MAX = 20_000;

/** What is followed by its address: the source, who listens, what was told last. */
const followed = new Map();

/** Each window's port: which address it follows, and when it was heard. */
const windows = new Map();

function follow(port, address) {
  leave(port);
  windows.set(port, { address, heard: Date.now() });
  let file = followed.get(address);
  if (!file) {
    file = { ports: new Set(), told: new Map() };
    followed.set(address, file);
    file.ports.add(port);
    file.source = new LiveSource(address, (kind, data) => tell(file, kind, data), { mayStream: true });
    return;
  }
  file.ports.add(port);
  for (const [kind, data] of file.told) {
    port.postMessage({ kind, data });
  }
}

function tell(file, kind, data) {
  // A window that comes later hears the state, and how things are with it.
  if (kind === "state") {
    file.told.clear();
  } else {
    for (const passed of ["recovered", "problem", "lost"]) {
      file.told.delete(passed);
    }
  }
  file.told.set(kind, data);
  for (const port of file.ports) {
    port.postMessage({ kind, data });
  }
}

function leave(port) {
  const file = followed.get(windows.get(port)?.address);
  windows.delete(port);
  file?.ports.delete(port);
  for (const [address, { ports, source }] of followed) {
    if (ports.size === 0) {
      source.close();
      followed.delete(address);
    }
  }
}

addEventListener("connect", ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data.follow) {
      follow(port, data.follow);
    } else if (data.leave) {
      leave(port);
    } else if (windows.has(port)) {
      windows.get(port).heard = Date.now();
    }
  };
});

setInterval(() => {
  for (const [port, { heard }] of windows) {
    if (Date.now() - heard > SILENCE_MAX) {
      leave(port);
    }
  }
}, 5000);
