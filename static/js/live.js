// Live pages. One event stream per page, at body[data-events]; it carries ids
// only: {"kind": "machine", "id": "…"}. Each becomes an event on body that
// fragments name in hx-trigger, and htmx fetches them anew:
//
//	mw:machine-<id>, mw:task-<id>, mw:event-<id>   that row changed
//	mw:machine, mw:task, mw:event                  some row of the kind did
//	mw:machine-new, mw:task-new                    one that this page doesn't show yet
//	mw:all                                         we may have missed something
//
// Changes are gathered for a moment, so that a busy task costs a few requests
// a second at most. While the tab is hidden the stream is closed. A script that
// finds the portal's connections dead has it opened anew by mw:reopen.
const GATHER_MS = 400;
const AGAIN_MS = 5_000; // after an answer that is no stream: a balancer's, say

export function live(root) {
  const url = root.body.dataset.events;
  if (!url) return;
  let source = null;
  let timer = 0;
  let again = 0;
  const changed = new Map();

  const tell = (name) => root.body.dispatchEvent(new CustomEvent(name));

  function flush() {
    timer = 0;
    const kinds = new Set();
    const fresh = new Set();
    for (const { kind, id } of changed.values()) {
      kinds.add(kind);
      tell(`mw:${kind}-${id}`);
      if (!root.querySelector(`[data-${kind}-id="${CSS.escape(id)}"]`)) fresh.add(kind);
    }
    changed.clear();
    for (const kind of kinds) tell(`mw:${kind}`);
    for (const kind of fresh) tell(`mw:${kind}-new`);
  }

  function onMessage(event) {
    const { kind, id } = JSON.parse(event.data);
    if (kind === "all") {
      tell("mw:all");
      return;
    }
    if (!/^[a-z]+$/.test(kind) || !id) return;
    changed.set(`${kind} ${id}`, { kind, id });
    timer ||= setTimeout(flush, GATHER_MS);
  }

  function open() {
    if (source) return;
    source = new EventSource(url);
    source.onmessage = onMessage;
    source.onopen = () => {
      // Whatever changed between the page's own queries and this moment, or
      // during a gap, was told to nobody.
      tell("mw:all");
    };
    // A broken stream the browser opens again by itself, a refused one never.
    source.onerror = () => {
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      again = setTimeout(() => { if (!root.hidden) open(); }, AGAIN_MS);
    };
  }

  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
  }

  root.body.addEventListener("mw:reopen", () => {
    if (!source) return;
    close();
    open();
  });

  root.addEventListener("visibilitychange", () => (root.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => {
    if (!root.hidden) open();
  });
  if (!root.hidden) open();
}
