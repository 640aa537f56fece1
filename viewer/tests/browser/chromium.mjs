// The browser that screens are tested and photographed in: Debian's chromium,
// or $PAGEBOX_CHROMIUM, told not to talk to anybody but the viewer.

import { chromium } from "playwright-core";

const ARGUMENTS = [
  // In a container everybody is root, and root has no sandbox. All that it
  // loads is ours.
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
];

/** Starts it. */
export function launch() {
  const executablePath = process.env.PAGEBOX_CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ARGUMENTS });
}
