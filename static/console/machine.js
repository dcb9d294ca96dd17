// What the portal says of the machine: its state, what may be done to it, and
// how what was asked for goes on.
const PATIENCE_MS = 15_000;

export class Refused extends Error {
  constructor(status, message = "", reason = "") {
    super(message || `the portal answers ${status}`);
    this.status = status;
    this.sentence = message;
    this.reason = reason;
  }
}

export class Machine {
  state = "";
  words = ""; // who brought it where it is
  #root;
  #asked = new Set(); // Tasks that this page asked for, until they ended
  #looking = null;

  constructor(root) {
    this.#root = root;
  }

  get runs() { return this.state === "running"; }

  // look fetches state, power menu and what stands in place of the picture.
  // Two that come together share one request, but never an older one's answer.
  look() {
    if (this.#looking) {
      this.#looking.again ||= this.#looking.catch(() => {}).then(() => this.look());
      return this.#looking.again;
    }
    const looking = this.#look().finally(() => { this.#looking = null; });
    this.#looking = looking;
    return looking;
  }

  async #look() {
    const answer = await fetch(this.#root.dataset.liveUrl, {
      headers: { "HX-Request": "true", Accept: "application/json" }, redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (!answer.ok) throw await refused(answer);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-console-live]");
    if (!fresh) throw new Refused(0);
    for (const part of fresh.querySelectorAll("[data-console-part]")) {
      const old = this.#root.querySelector(`[data-console-part="${part.dataset.consolePart}"]`);
      // Left alone when nothing changed, so that a focused button stays so.
      if (old && old.innerHTML !== part.innerHTML) replace(old, part);
    }
    this.state = this.#root.dataset.state = fresh.dataset.state;
    this.words = (fresh.dataset.lastWords ?? "").trim();
    this.#tell(fresh.dataset);
    return this.runs;
  }

  // #tell says how a Task ended that was asked for here.
  #tell({ lastId, lastState, lastTold }) {
    if (!lastTold || !this.#asked.delete(lastId)) return;
    const tone = lastState === "succeeded" ? "good" : lastState === "failed" ? "bad" : "warn";
    toast(this.#root, tone, lastTold, lastId);
  }

  // power asks for an operation and stays on the page.
  power(op) { return this.ask(this.#root.dataset.powerUrl, { op }); }

  // ask posts a form that starts a Task; what becomes of it is told when it
  // has ended.
  async ask(url, form) {
    try {
      const answer = await fetch(url, {
        method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(form),
        redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (!answer.ok) throw await refused(answer);
      const { task, message } = await answer.json();
      this.#asked.add(task);
      toast(this.#root, "busy", message, task);
      return true;
    } catch (error) {
      toast(this.#root, "bad", error.sentence || "The portal does not answer. Try again.");
      return false;
    }
  }
}

async function refused(answer) {
  const told = await answer.json().catch(() => ({}));
  return new Refused(answer.status, Object.values(told.fields ?? {})[0] || told.message, told.reason);
}

// replace puts the new in the old's place and keeps the focus on the item at
// the same place, which is how menus are remembered.
function replace(old, part) {
  const items = [...old.querySelectorAll("button, a")];
  const at = items.indexOf(document.activeElement);
  old.replaceChildren(...document.adoptNode(part).childNodes);
  if (at >= 0) [...old.querySelectorAll("button, a")][at]?.focus();
}

// toast says something in passing; of two about the same the later stays.
export function toast(root, tone, text, about = "") {
  if (text) root.dispatchEvent(new CustomEvent("mw:toast", { bubbles: true, detail: { tone, text, about } }));
}
