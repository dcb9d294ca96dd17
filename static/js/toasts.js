// Short messages in the corner. They come with the page (flash), with an htmx
// answer (HX-Trigger: {"mw:toast": {"tone": "good", "text": "…"}}), or from
// another script by the same event. Errors stay until dismissed; one that is
// about something takes the place of the last about the same.
const STAY_MS = 6000;

function arm(card) {
  if (card.dataset.tone !== "bad") setTimeout(() => card.remove(), STAY_MS);
}

function show(region, { tone = "good", text = "", about = "" }) {
  const template = region.querySelector(`template[data-toast="${CSS.escape(tone)}"]`);
  if (!template || !text) return;
  const card = template.content.firstElementChild.cloneNode(true);
  card.querySelector("p").textContent = text;
  if (about) {
    region.querySelector(`.toast-card[data-about="${CSS.escape(about)}"]`)?.remove();
    card.dataset.about = about;
  }
  region.append(card);
  arm(card);
}

export function toasts(root) {
  const region = root.querySelector("[data-toasts]");
  if (!region) return;
  for (const card of region.querySelectorAll(".toast-card")) arm(card);
  root.addEventListener("mw:toast", (event) => show(region, event.detail));
  root.addEventListener("click", (event) => event.target.closest("[data-toast-close]")?.closest(".toast-card").remove());
}
