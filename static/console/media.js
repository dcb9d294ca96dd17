// The machine's virtual CD. What can be mounted is the portal's to say: the
// menu is fetched when it opens.
const PATIENCE_MS = 30_000; // vCenter is asked what is there

export class Media {
  #root;
  #place;
  #machine;

  constructor(root, machine) {
    this.#root = root;
    this.#machine = machine;
    this.#place = root.querySelector("[data-console-media]");
    const menu = this.#place.closest("[popover]");
    menu.addEventListener("beforetoggle", (event) => { if (event.newState === "open") this.#load(); });
    this.#place.addEventListener("submit", (event) => this.#submit(event));
  }

  async #load() {
    if (!this.#place.childElementCount) this.#note("Looking what is there…");
    try {
      const answer = await fetch(`${this.#root.dataset.mediaUrl}?part=menu`, {
        headers: { "HX-Request": "true", Accept: "application/json" }, redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (!answer.ok) throw new Error(await sentence(answer));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      this.#place.replaceChildren(...document.adoptNode(page.body).childNodes);
      if (!this.#place.contains(document.activeElement)) this.#place.querySelector("button, select, input, a")?.focus();
    } catch (error) {
      this.#note(error.message || "The portal does not answer.");
    }
  }

  #note(text) {
    const p = document.createElement("p");
    p.className = "menu-note";
    p.textContent = text;
    this.#place.replaceChildren(p);
  }

  async #submit(event) {
    event.preventDefault();
    event.stopPropagation();
    const form = event.target;
    if (await this.#machine.ask(this.#root.dataset.mediaUrl, new FormData(form, event.submitter))) form.closest("[popover]").hidePopover();
  }
}

async function sentence(answer) {
  const told = await answer.json().catch(() => ({}));
  return told.message || (answer.status === 404 ? "This machine has no virtual CD here." : "That did not work. Try again.");
}
