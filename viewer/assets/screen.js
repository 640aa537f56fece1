// This screen as the server has it now, and taking parts of it.

/** This screen as it is now; none where the answer is an error. */
export async function freshScreen() {
  try {
    const answer = await fetch(location, { headers: { accept: "text/html" } });
    const text = await answer.text();
    return answer.ok ? new DOMParser().parseFromString(text, "text/html") : null;
  } catch {
    return null;
  }
}

/** Takes the parts of a fresh screen that a selector finds, but not from under somebody. */
export function swapParts(selector, fresh) {
  const now = fresh.querySelectorAll(selector);
  const old = document.querySelectorAll(selector);
  now.forEach((part, place) => {
    if (old[place] && !old[place].contains(document.activeElement)) {
      old[place].replaceWith(part);
    }
  });
}
