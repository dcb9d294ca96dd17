// Turns the server's UTC texts into the reader's own time, and keeps "12 min
// ago" and elapsed counters true while the page stays open.
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const steps = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [604800, "day", 86400]];

export function ago(then, now) {
  const seconds = Math.round((then - now) / 1000);
  if (Math.abs(seconds) < 5) return "just now";
  for (const [below, unit, size] of steps) {
    if (Math.abs(seconds) < below) return relative.format(Math.trunc(seconds / size), unit);
  }
  return minute.format(then);
}

export function elapsed(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function refresh(root) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-time]")) {
    const then = new Date(element.dateTime);
    if (Number.isNaN(then.getTime())) continue;
    if (element.dataset.time === "ago") put(element, ago(then, now));
    if (element.dataset.time === "clock") put(element, clock.format(then));
    if (element.dataset.time === "minute") put(element, minute.format(then));
    element.title = full.format(then);
  }
  for (const element of root.querySelectorAll("[data-elapsed-since]")) {
    put(element, elapsed((now - Date.parse(element.dataset.elapsedSince)) / 1000));
  }
}

export function times(root) {
  refresh(root);
  setInterval(() => {
    if (!document.hidden) refresh(root);
  }, 1000);
  root.addEventListener("htmx:afterSettle", () => refresh(root));
}
