// Who else has this console open, how far away the portal is, and who stands
// in the way.

// summary is what the bar's button says aloud.
export function summary(viewers) {
  const others = viewers.filter((viewer) => !viewer.you);
  if (!others.length) return "Only you have this console open";
  const names = others.map((viewer) => `${viewer.name} ${viewer.mode === "view" ? "watches" : "operates"}`);
  return `${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
}

export class People {
  #root;

  constructor(root) {
    this.#root = root;
  }

  #part(name) { return this.#root.querySelector(`[data-${name}]`); }

  show(viewers) {
    const button = this.#part("console-viewers");
    const others = viewers.some((viewer) => !viewer.you);
    button.hidden = !others;
    if (!others) this.#root.querySelector("#console-viewers").hidePopover();
    this.#part("console-viewers-count").textContent = String(viewers.length);
    // The name begins with what is seen, for those who speak to their browser.
    button.setAttribute("aria-label", `${viewers.length}: ${summary(viewers)}`);
    button.title = summary(viewers);
    const rows = viewers.map((viewer) => {
      const row = this.#part("console-viewer").content.firstElementChild.cloneNode(true);
      row.querySelector("[data-viewer-name]").textContent = viewer.you ? `${viewer.name} (you)` : viewer.name;
      row.querySelector("[data-viewer-mode]").textContent = viewer.mode === "view" ? "watches" : "operates";
      return row;
    });
    this.#part("console-viewers-list").replaceChildren(...rows);
  }

  latency(ms) {
    const place = this.#part("console-latency");
    place.hidden = ms === null;
    if (ms !== null) place.textContent = `${Math.max(1, Math.round(ms))} ms`;
  }

  // askToShare resolves to "watch", "take-over" or "" for neither.
  askToShare(viewers) {
    const dialog = this.#root.querySelector("#console-occupied");
    const names = viewers.map((viewer) => viewer.name);
    this.#part("occupied-title").textContent = `${names.join(" and ") || "Somebody"} is at this console`;
    this.#part("occupied-list").replaceChildren(...viewers.map((viewer) => {
      const row = this.#part("occupied-person").content.firstElementChild.cloneNode(true);
      row.querySelector("[data-person-name]").textContent = viewer.name;
      const since = row.querySelector("[data-person-since]");
      since.dateTime = viewer.since;
      since.textContent = new Date(viewer.since).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      return row;
    }));
    if (!dialog.open) dialog.showModal();
    return new Promise((resolve) => {
      const choose = (event) => {
        const choice = event.target.closest("[data-occupied]")?.dataset.occupied;
        if (choice) dialog.close(choice);
      };
      dialog.addEventListener("click", choose);
      dialog.addEventListener("close", () => {
        dialog.removeEventListener("click", choose);
        const { returnValue } = dialog;
        dialog.returnValue = "";
        resolve(returnValue);
      }, { once: true });
    });
  }
}
