// The machine's virtual CD. What can be mounted is the portal's to say: the
// menu is fetched when it opens, and after each change.
import { toast } from "./machine.js";

const PATIENCE_MS = 60_000; // vCenter mounts while the request waits

export class Media {
  #root;
  #place;

  constructor(root) {
    this.#root = root;
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
    const body = new URLSearchParams(new FormData(form, event.submitter));
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    try {
      const answer = await fetch(this.#root.dataset.mediaUrl, {
        method: "POST", body, headers: { Accept: "application/json" },
        redirect: "manual", signal: AbortSignal.timeout(PATIENCE_MS), // to a page that isn't wanted here
      });
      if (answer.type !== "opaqueredirect" && !answer.ok) throw new Error(await sentence(answer));
      toast(this.#root, "good", body.has("eject") ? "The disc is out." : "The disc is in.");
    } catch (error) {
      toast(this.#root, "bad", error.message);
    }
    await this.#load();
  }
}

async function sentence(answer) {
  const told = await answer.json().catch(() => ({}));
  return told.message || (answer.status === 404 ? "This machine has no virtual CD here." : "That did not work. Try again.");
}
