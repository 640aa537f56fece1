// What every screen loads: the elements, and the switch between themes.

import "./page-map.js";
import "./hex-view.js";
import "./live-status.js";

const THEMES = ["auto", "light", "dark"];
const button = document.querySelector("[data-theme-switch]");

function show() {
  button.textContent = `Theme: ${document.documentElement.dataset.theme ?? "auto"}`;
}

if (button) {
  button.hidden = false;
  show();
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? "auto";
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    if (next === "auto") {
      delete document.documentElement.dataset.theme;
    } else {
      document.documentElement.dataset.theme = next;
    }
    try {
      localStorage.setItem("pagebox-theme", next);
    } catch {
      // It lasts for this screen.
    }
    show();
    document.dispatchEvent(new Event("themechange"));
  });
}

// Where there is no room for all tabs, the one of this screen is seen.
const tabs = document.querySelector(".tabs");
const tab = tabs?.querySelector("[aria-current]");
if (tab) {
  tabs.scrollLeft = tab.offsetLeft - (tabs.clientWidth - tab.offsetWidth) / 2;
}

// A list of files that is open closes like a menu.
const files = document.querySelector("details.files");
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && files?.open) {
    files.open = false;
    files.querySelector("summary").focus();
  }
});
document.addEventListener("click", (event) => {
  if (files?.open && !files.contains(event.target)) {
    files.open = false;
  }
});

// Text to be taken elsewhere.
class CopyText extends HTMLElement {
  connectedCallback() {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const text = this.querySelector("code").textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        // Only a secure context has a clipboard: then the text is selected.
        getSelection().selectAllChildren(this.querySelector("code"));
        button.textContent = "Selected: press Ctrl-C";
      }
    });
    this.append(button);
  }
}

customElements.define("copy-text", CopyText);

// Keys that mean the same on every screen. The map has its own besides.
const TYPING = "input, select, textarea, [contenteditable]";

function go(link) {
  if (link) {
    location.assign(link.href);
  }
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || target.matches?.(TYPING)) {
    return;
  }
  if (/^[1-9]$/.test(key)) {
    go(document.querySelectorAll(".tabs a")[Number(key) - 1]);
  } else if (key === "n" || key === "p") {
    go(document.querySelector(`main [rel=${key === "n" ? "next" : "prev"}]`));
  } else if (key === "[" || key === "]") {
    go(document.querySelector(key === "[" ? "[data-earlier]" : "[data-later]"));
  } else if (key === "/" || key === "g") {
    const field = document.querySelector("main .filters input:not([type=hidden])");
    if (field?.offsetParent) {
      event.preventDefault();
      field.focus();
      field.select();
    }
  } else if (key === "?") {
    location.assign(`${document.querySelector("a[data-about]").href}#keys`);
  }
});

// Paper says when it was printed.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("[data-time]")) {
    part.textContent = ` \u00b7 ${new Date().toISOString().slice(0, 19)}Z`;
  }
});
