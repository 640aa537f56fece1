// <hex-view>: a field's bytes and its line light up each other.

class HexView extends HTMLElement {
  connectedCallback() {
    for (const row of this.querySelectorAll(".fields tbody tr")) {
      row.tabIndex = 0;
    }
    for (const name of ["mouseover", "focusin"]) {
      this.addEventListener(name, (event) => this.#light(event.target));
    }
    for (const name of ["mouseleave", "focusout"]) {
      this.addEventListener(name, () => this.#light(null));
    }
    this.querySelector(".hex")?.addEventListener("click", (event) => {
      const field = event.target.closest("[data-f]")?.dataset.f;
      const row = field && this.querySelector(`tr[data-f="${field}"]`);
      if (row) {
        row.focus();
        row.scrollIntoView({ block: "nearest" });
      }
    });
  }

  #light(target) {
    const field = target?.closest?.("[data-f]")?.dataset.f;
    for (const part of this.querySelectorAll(".lit")) {
      part.classList.remove("lit");
    }
    if (field !== undefined) {
      for (const part of this.querySelectorAll(`[data-f="${field}"]`)) {
        part.classList.add("lit");
      }
    }
  }
}

customElements.define("hex-view", HexView);
