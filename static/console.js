// The console page: a machine's screen, that comes back by itself.
//
//	ticket ──▶ socket ──▶ RFB ──▶ picture
//	  ▲                     │
//	  └── wait, jittered ◀──┤ lost, portal or hypervisor restarted
//	                        ├─ machine off ──▶ say so, look again until it runs
//	                        └─ anything else ─▶ say so, offer what helps
//
// The socket is made here and not by noVNC: noVNC hides close codes and calls
// a lost connection clean. Whatever listens on the socket before noVNC gets it
// is asked first; text messages are between portal and page, and noVNC, which
// would take them for picture data, never sees one.
const TICKET_PATIENCE_MS = 15_000;
const STEADY_MS = 10_000; // a connection that held so long was a good one
const LOOK_MS = 5_000; // how often to see whether a machine that is off runs
const LOOK_SOON_MS = 1_000; // the same, after Start was pressed
const SOON_FOR_MS = 120_000;

// Close codes after which a fresh ticket is all it takes. 4401: ours came too
// late, behind a slow network.
const COMES_BACK = new Set([1001, 1006, 1012, 1013, 4401, 4503]);

const OFF = 4409;

// What else a socket ends by, told to the user.
const ENDINGS = {
  4403: ["You may not use this console any more", "You were signed out, or your role was changed.", ["sign-in", "machines"]],
  4404: ["The machine is gone", "It was deleted, or taken out of its cloud. The history says by whom.", ["machines"]],
  4429: ["Too many consoles are open", "Close one that you don't need, then reconnect.", ["reconnect", "machine"]],
  4502: ["The screen can't be reached", "The machine's host does not answer just now. The machine itself may be well.", ["reconnect", "machine"]],
};
const BROKEN = ["The screen was closed", "Something on the way did not understand the picture.", ["reconnect", "machine"]];

// What the portal may answer in place of a ticket.
const REFUSALS = {
  401: ["You are signed out", "Sign in again to go on where you were.", ["sign-in"]],
  403: ["You may not open this console", "Your role in this org does not open consoles.", ["machine"]],
  404: ENDINGS[4404],
  429: ENDINGS[4429],
};

class Refusal extends Error {
  constructor(status) {
    super(`the portal answers ${status}`);
    this.status = status;
  }
}

function consolePage(root) {
  const part = (name) => root.querySelector(`[data-console-${name}]`);
  const view = part("view");
  const screen = part("screen");
  const last = part("last");
  const notice = part("notice");

  let rfb = null;
  let fit = true;
  let turn = 0; // of connecting; what belongs to an earlier one is void
  let tries = 0; // since the last good connection
  let steadySince = 0;
  let timer = 0;
  let waiting = null; // what the timer will do; the tab's return does it at once
  let soonUntil = 0;

  // say tells the state of the connection in words, read out by screen readers.
  function say(text) {
    const status = part("status");
    if (status.textContent !== text) status.textContent = text;
  }

  // busy turns while there is no picture and one is asked for.
  function busy(on) {
    part("busy").hidden = !on || !last.hidden;
  }

  function tools(enabled) {
    for (const tool of root.querySelectorAll("[data-console-tool]")) tool.disabled = !enabled;
  }

  function later(what, ms) {
    clearTimeout(timer);
    waiting = what;
    timer = setTimeout(now, ms);
  }

  function now() {
    clearTimeout(timer);
    const what = waiting;
    waiting = null;
    what?.();
  }

  // --- what stands in the middle when there is no picture

  function tell([title, text, offers]) {
    part("title").textContent = title;
    part("text").textContent = text;
    for (const offer of root.querySelectorAll("[data-console-offer]")) {
      offer.hidden = !offers.includes(offer.dataset.consoleOffer);
    }
    const fresh = notice.hidden;
    notice.hidden = false;
    busy(false);
    say(title + ".");
    // The keyboard was on the screen, which is gone; on a button, the user's
    // typing might press it.
    if (fresh && !part("title").contains(document.activeElement)) part("title").focus();
  }

  function over(ending) {
    turn++;
    clearTimeout(timer);
    waiting = null;
    tools(false);
    tell(ending);
  }

  // look fetches the page anew for the machine's state and what it offers.
  async function look() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(TICKET_PATIENCE_MS) });
    if (answer.redirected && new URL(answer.url).pathname !== location.pathname) throw new Refusal(401);
    if (!answer.ok) throw new Refusal(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-console]");
    if (!fresh) throw new Refusal(0);
    for (const name of ["state", "off"]) {
      const selector = `[data-console-part="${name}"]`;
      const old = root.querySelector(selector);
      const next = document.adoptNode(fresh.querySelector(selector));
      // Left alone when nothing changed, so that a focused button stays so.
      if (old.innerHTML !== next.innerHTML) old.replaceWith(next);
    }
    root.dataset.state = fresh.dataset.state;
    return fresh.dataset.state === "running";
  }

  // off waits for the machine to run. first: it has just been told to be off.
  async function off(first) {
    const mine = ++turn;
    tools(false);
    busy(false);
    notice.hidden = true;
    try {
      const runs = await look();
      if (mine !== turn) return;
      if (runs) {
        // Right after the end, portal and hypervisor may still differ: slowly.
        if (first) retry();
        else connect();
        return;
      }
      say("No screen");
    } catch (error) {
      if (mine !== turn) return;
      if (REFUSALS[error.status]) {
        over(REFUSALS[error.status]);
        return;
      }
    }
    if (!document.hidden) later(() => off(false), Date.now() < soonUntil ? LOOK_SOON_MS : LOOK_MS);
    else waiting = () => off(false);
  }

  // --- connecting

  async function askTicket() {
    const answer = await fetch(root.dataset.ticketUrl, {
      method: "POST",
      headers: { Accept: "application/json" },
      redirect: "error",
      signal: AbortSignal.timeout(TICKET_PATIENCE_MS),
    });
    if (!answer.ok) throw new Refusal(answer.status);
    return answer.json();
  }

  async function connect() {
    const mine = ++turn;
    clearTimeout(timer);
    waiting = null;
    if (tries < 3) notice.hidden = true;
    busy(notice.hidden);
    say(tries ? "Reconnecting…" : "Connecting…");
    try {
      const [{ default: RFB }, ticket] = await Promise.all([import(root.dataset.novnc), askTicket()]);
      if (mine === turn) open(RFB, ticket, mine);
    } catch (error) {
      if (mine !== turn) return;
      if (error.status === 409) off(true);
      else if (REFUSALS[error.status]) over(REFUSALS[error.status]);
      else retry();
    }
  }

  function retry() {
    turn++;
    tries++;
    // The first try is at once: a portal that was told to go down is replaced
    // already. All pages of a dead node must not come in the same moment.
    const most = tries === 1 ? 100 : Math.min(10_000, 125 * 2 ** tries);
    say("Connection lost. Reconnecting…");
    if (tries > 3) {
      tell(["Connection lost", "Trying again by itself until it works.", ["reconnect", "machine"]]);
    }
    later(connect, most * (0.5 + Math.random() / 2));
  }

  function open(RFB, ticket, mine) {
    const socket = new WebSocket(ticket.url, ["binary", `ticket.${ticket.ticket}`]);
    socket.binaryType = "arraybuffer";
    let connected = false;
    let drawn = false;
    let broken = false;
    socket.addEventListener("message", (event) => {
      if (typeof event.data === "string") {
        event.stopImmediatePropagation();
        return;
      }
      if (connected && !drawn) {
        drawn = true;
        // noVNC draws what has come now before the second frame from now.
        requestAnimationFrame(() => requestAnimationFrame(() => {
          if (mine === turn) last.hidden = true;
        }));
      }
    });
    socket.addEventListener("close", (event) => {
      if (drawn) keepLastFrame();
      if (mine !== turn) return;
      rfb = null;
      tools(false);
      if (connected && Date.now() - steadySince > STEADY_MS) tries = 0;
      if (event.code === OFF) off(true);
      else if (broken) over(BROKEN);
      else if (COMES_BACK.has(event.code)) retry();
      else over(ENDINGS[event.code] ?? BROKEN);
    });

    const client = new RFB(screen, socket, { shared: true });
    rfb = client;
    client.scaleViewport = fit;
    client.background = "transparent";
    if (ticket.mode === "view") client.viewOnly = true;
    client.addEventListener("connect", () => {
      connected = true;
      steadySince = Date.now();
      notice.hidden = true;
      busy(false);
      say(ticket.mode === "view" ? "Connected, watching only" : "Connected");
      tools(ticket.mode !== "view");
      const focused = document.activeElement;
      // Whoever is in a menu stays there.
      if (!focused || focused === document.body || view.contains(focused)) client.focus();
    });
    // Not clean: noVNC itself gave up, on an open socket.
    client.addEventListener("disconnect", (event) => { broken ||= !event.detail.clean && socket.readyState === WebSocket.OPEN; });
    client.addEventListener("securityfailure", () => { broken = true; });
    client.addEventListener("credentialsrequired", () => {
      broken = true;
      client.disconnect();
    });
  }

  // keepLastFrame copies the picture, that noVNC takes away with its canvas.
  function keepLastFrame() {
    const canvas = screen.querySelector("canvas");
    if (!canvas?.width || !canvas.height) return;
    const at = canvas.getBoundingClientRect();
    const frame = view.getBoundingClientRect();
    last.width = canvas.width;
    last.height = canvas.height;
    last.getContext("2d").drawImage(canvas, 0, 0);
    Object.assign(last.style, {
      left: `${at.left - frame.left}px`, top: `${at.top - frame.top}px`,
      width: `${at.width}px`, height: `${at.height}px`,
      filter: "grayscale(1) brightness(0.55)",
    });
    last.hidden = false;
  }

  // --- the bar

  root.addEventListener("click", (event) => {
    const target = event.target.closest("button");
    if (!target) return;
    if (target.dataset.consoleKeys === "ctrl-alt-del") {
      target.closest("[popover]").hidePopover();
      rfb?.sendCtrlAltDel();
      rfb?.focus();
    } else if (target.matches("[data-console-fit]")) {
      fit = target.dataset.consoleFit === "yes";
      if (rfb) rfb.scaleViewport = fit;
      for (const other of root.querySelectorAll("[data-console-fit]")) {
        other.hidden = (other.dataset.consoleFit === "yes") === fit;
        if (!other.hidden) other.focus();
      }
    } else if (target.matches("[data-console-full]")) {
      fullScreen();
    } else if (target.dataset.consoleOffer === "reconnect") {
      tries = 0;
      notice.hidden = true;
      connect();
    }
  });

  async function fullScreen() {
    await view.requestFullscreen({ navigationUI: "hide" });
    // With the lock, Esc, Alt-Tab and the like go to the machine as well;
    // holding Esc leaves. Only some browsers have it.
    await navigator.keyboard?.lock?.().catch(() => {});
    rfb?.focus();
  }

  document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement) navigator.keyboard?.unlock?.();
  });

  // Start and Resume: pressed here, one stays here.
  root.addEventListener("submit", async (event) => {
    const form = event.target.closest("[data-console-power]");
    if (!form) return;
    event.preventDefault();
    event.stopPropagation();
    const button = form.querySelector("button");
    button.disabled = true;
    say("Asking the machine to run…");
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json" },
        body: new URLSearchParams(new FormData(form)),
        redirect: "manual", // to a page that isn't wanted here
      });
      if (answer.type !== "opaqueredirect" && !answer.ok) {
        const told = await answer.json().catch(() => ({}));
        document.dispatchEvent(new CustomEvent("mw:toast", { detail: { tone: "bad", text: told.message || "That did not work. Try again." } }));
      } else {
        soonUntil = Date.now() + SOON_FOR_MS;
      }
    } catch {
      document.dispatchEvent(new CustomEvent("mw:toast", { detail: { tone: "bad", text: "The portal does not answer. Try again." } }));
    }
    button.disabled = false;
    off(false);
  });

  // --- keyboard

  // The screen takes every key, Tab included. One chord leads out of it.
  addEventListener("keydown", (event) => {
    if (event.ctrlKey && event.altKey && event.shiftKey && screen.contains(document.activeElement)) {
      root.querySelector("header a").focus();
    }
  }, true);

  screen.addEventListener("focus", () => rfb?.focus());

  // noVNC releases the keys that are down when the window loses the focus.
  // When only its canvas does, they would stay down in the machine.
  screen.addEventListener("focusout", () => dispatchEvent(new Event("blur")));

  // --- the tab

  const back = () => {
    if (!document.hidden && waiting) now();
  };
  document.addEventListener("visibilitychange", back);
  addEventListener("online", back);
  addEventListener("pageshow", (event) => {
    if (event.persisted) start();
  });

  function start() {
    if (root.dataset.state === "running") connect();
    else off(false);
  }

  start();
}

for (const root of document.querySelectorAll("[data-console]")) consolePage(root);
