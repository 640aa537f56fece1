// The chosen theme, set before anything is drawn.
"use strict";
try {
  const theme = localStorage.getItem("pagebox-theme");
  if (theme === "light" || theme === "dark") {
    document.documentElement.dataset.theme = theme;
  }
} catch {
  // Storage can be forbidden; then the system's theme it is.
}
