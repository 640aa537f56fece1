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
