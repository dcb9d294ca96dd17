// The console page: puts its parts together. Each knows nothing of the others:
//
//	connection  ticket, socket, picture; comes back by itself
//	machine     state, power, what the portal says of it
//	picture     size, quality, last frame, screenshot
//	paste, keys, touch   what is typed
//	people      who else is here
//	notice      what stands in the middle when there is no picture
import { Connection } from "./connection.js";
import { refusalOf } from "./endings.js";
import { keyOf, sendChord } from "./keys.js";
import { Machine, toast } from "./machine.js";
import { Media } from "./media.js";
import { menus } from "./menus.js";
import { Notice } from "./notice.js";
import { Paste } from "./paste.js";
import { People } from "./people.js";
import { download, Picture, screenshotName, toggleFullScreen } from "./picture.js";
import { keepSettings, layoutOfLanguage, readSettings } from "./settings.js";
import { TouchKeyboard } from "./touch.js";

const LOOK_MS = 5_000; // how often to look at a machine that is off, should no event come
const LOOK_SOON_MS = 1_000; // the same, while it is on its way up

function consolePage(root) {
  const part = (name) => root.querySelector(`[data-console-${name}]`);
  const view = part("view");
  const screen = part("screen");
  const settings = readSettings(localStorage);
  settings.layout ||= layoutOfLanguage(navigator.language);
  const keep = () => keepSettings(localStorage, settings);

  const picture = new Picture({ view, screen, last: part("last") });
  const machine = new Machine(root);
  const people = new People(root);
  const notice = new Notice({ root, picture });
  let sleeping = 0; // the timer of a machine that is off
  let watching = false; // nothing is shown, and the machine's run is waited for

  const connection = new Connection({
    ticketURL: root.dataset.ticketUrl, novnc: root.dataset.novnc, screen,
    hooks: {
      keep: () => picture.keep(),
      connecting: (again) => notice.busy(again ? "Reconnecting…" : "Connecting…"),
      connected: shown,
      picture: (awayMs) => {
        picture.forget();
        if (awayMs) root.dataset.resumedMs = String(Math.round(awayMs));
      },
      lost: () => {
        tools(false);
        people.latency(null);
      },
      // The event stream went over the same line.
      weeded: () => document.body.dispatchEvent(new CustomEvent("mw:reopen")),
      trying: (ms, long) => notice.trying(ms, long),
      over,
      off,
      forbidden,
      occupied,
      viewers: (list) => people.show(list),
      notice: ({ kind, text }) => { if (kind !== "taken_over" && kind !== "closed_by") toast(root, "warn", text); },
      latency: (ms) => people.latency(ms),
    },
  });

  // --- what happens

  function shown(client, mode) {
    watching = false;
    picture.apply(client, settings);
    root.dataset.mode = mode;
    notice.clear(mode === "view" ? "Watching only" : "Connected");
    tools(true);
    const focused = document.activeElement;
    // Whoever is in a menu or a dialog stays there.
    if (mode !== "view" && (!focused || focused === document.body || view.contains(focused))) client.focus();
    machine.look().catch(() => {});
  }

  function over(ending) {
    watching = false;
    // What one has no right to see any more doesn't stay on the screen.
    if (ending.icon === "lock") picture.forget();
    tools(false);
    people.show([]);
    notice.show(ending);
    // While it is being deleted, the portal still says by whom.
    machine.look().catch(() => {}).finally(() => {
      if (ending.icon === "gone") notice.show(byWhom(ending));
    });
  }

  // off: the machine doesn't run, says the portal. first: it has just been so,
  // and the portal's own view may lag behind.
  async function off(first) {
    connection.rest();
    clearTimeout(sleeping);
    watching = true;
    tools(false);
    people.show([]);
    try {
      const runs = await machine.look();
      if (!watching) return;
      if (runs) {
        watching = false;
        if (first) connection.soon();
        else connection.ask();
        return;
      }
      picture.forget();
      tools(false); // there is nothing to take a screenshot of any more
      notice.off();
    } catch (error) {
      if (!watching) return;
      const refusal = refusalOf(error.status, error.sentence, error.reason);
      if (refusal) {
        over(byWhom(refusal));
        return;
      }
    }
    sleeping = setTimeout(() => off(false), part("view").querySelector("[role=progressbar]") ? LOOK_SOON_MS : LOOK_MS);
  }

  // byWhom names who deleted the machine, where the page has heard of it in time.
  function byWhom(ending) {
    return ending.icon === "gone" && machine.state === "deleting" && machine.words ? { ...ending, text: `${machine.words} Its history stays.` } : ending;
  }

  // forbidden: the socket was closed for want of a right. Which, the portal
  // says when asked again.
  async function forbidden() {
    try {
      await machine.look();
      connection.soon(); // the right is back
    } catch (error) {
      over(byWhom(refusalOf(error.status, error.sentence, error.reason) ?? refusalOf(403)));
    }
  }

  async function occupied(viewers) {
    notice.busy("Waiting for your choice");
    const choice = await people.askToShare(viewers);
    if (choice === "watch") operate(false);
    else if (choice === "take-over") operate(true, true);
    else notice.show({ title: "Somebody else is at this console", text: "You may watch, or take over.", offers: ["watch", "take-over", "machine"], icon: "person" });
  }

  function operate(on, takeover = false) {
    connection.ask({ mode: on ? "operate" : "view", takeover });
    reflect();
  }

  // --- the bar

  function tools(on) {
    const keys = on && connection.given !== "view";
    for (const tool of root.querySelectorAll("[data-console-tool]")) {
      tool.disabled = !keys;
      const menu = tool.popoverTargetElement;
      if (!keys && menu?.matches(":popover-open")) menu.hidePopover();
    }
    part("shot").disabled = !on && !picture.kept;
    part("operate").hidden = !on || connection.given !== "view";
    if (!keys && touch.open) touch.toggle(false);
  }

  // reflect ticks what is set.
  function reflect() {
    for (const item of root.querySelectorAll("[data-console-set]")) {
      item.setAttribute("aria-checked", String(settings[item.dataset.consoleSet] === item.dataset.value));
    }
    part("viewonly").setAttribute("aria-checked", String(connection.mode === "view"));
  }

  const send = (keysym, code, down) => connection.client?.sendKey(keysym, code, down);
  const touch = new TouchKeyboard({ field: root.querySelector("[data-touch-field]"), row: root.querySelector("[data-touch-row]"), send, keyOf });

  const close = (target) => {
    for (let menu = target.closest("[popover]"); menu; menu = menu.parentElement.closest("[popover]")) {
      if (menu.matches(":popover-open")) menu.hidePopover();
    }
  };

  const acts = [
    ["[data-console-keys]", (target) => {
      close(target);
      sendChord(target.dataset.consoleKeys, send);
      connection.client?.focus();
    }],
    ["[data-console-op]", (target) => {
      close(target);
      if (!target.dataset.dialogOpen) power(target.dataset.consoleOp);
    }],
    ["[data-console-set]", (target) => {
      settings[target.dataset.consoleSet] = target.dataset.value;
      keep();
      reflect();
      if (connection.client) picture.apply(connection.client, settings);
    }],
    ["[data-console-viewonly]", (target) => {
      close(target);
      operate(connection.mode === "view");
    }],
    ["[data-console-operate]", () => operate(true)],
    ["[data-console-shot]", async (target) => {
      close(target);
      await download(await picture.png(), screenshotName(root.dataset.machineName));
    }],
    ["[data-console-touch]", (target) => {
      close(target);
      touch.toggle();
      target.setAttribute("aria-pressed", String(touch.open));
    }],
    ["[data-console-full]", async (target) => {
      close(target);
      await toggleFullScreen();
      connection.client?.focus();
    }],
    ["[data-console-offer=reconnect]", () => connection.ask()],
    ["[data-console-offer=watch]", () => operate(false)],
    ["[data-console-offer=take-over]", () => operate(true, true)],
  ];
  root.addEventListener("click", (event) => {
    const act = acts.find(([selector]) => event.target.closest(selector));
    const target = act && event.target.closest(act[0]);
    if (target && !target.disabled) act[1](target);
  });

  async function power(op) {
    if (!await machine.power(op)) return;
    if (watching) off(false);
    else machine.look().catch(() => {});
  }

  // Power forms, in dialogs and in place of the picture: one stays here.
  root.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-sysrq]")) {
      sendChord(`sysrq-${form.elements.key.value}`, send);
      return;
    }
    if (new URL(form.action).pathname !== root.dataset.powerUrl || form.method !== "post") return;
    event.preventDefault();
    event.stopPropagation();
    form.closest("dialog")?.close();
    power(form.elements.op.value);
  });

  part("full").hidden = !document.fullscreenEnabled; // as on an iPhone
  document.addEventListener("fullscreenchange", () => {
    const full = Boolean(document.fullscreenElement);
    if (!full) navigator.keyboard?.unlock?.();
    part("full").setAttribute("aria-pressed", String(full));
  });

  // --- keyboard

  // The screen takes every key, Tab included. One chord leads out of it.
  addEventListener("keydown", (event) => {
    if (event.ctrlKey && event.altKey && event.shiftKey && screen.contains(document.activeElement)) {
      part("bar").querySelector("a").focus();
    }
  }, true);
  screen.addEventListener("focus", () => connection.client?.focus());
  // noVNC releases the keys that are down when the window loses the focus.
  // When only its canvas does, they would stay down in the machine.
  screen.addEventListener("focusout", () => dispatchEvent(new Event("blur")));

  // --- the tab and the network

  const back = () => {
    if (document.hidden) return;
    if (watching) off(false);
    else connection.hurry();
  };
  document.addEventListener("visibilitychange", back);
  for (const name of ["online", "offline"]) addEventListener(name, back);
  addEventListener("pageshow", (event) => { if (event.persisted) start(); });

  // The portal says that the machine has changed (static/js/live.js).
  for (const name of [`mw:machine-${root.dataset.machineId}`, "mw:all"]) {
    document.body.addEventListener(name, () => {
      if (watching) off(false);
      else machine.look().catch(() => {});
    });
  }

  menus(root);
  new Media(root, machine);
  new Paste({ root, connection, settings, keep });
  reflect();

  async function start() {
    try {
      // Not connect and see: a machine that is off is no refusal to be told
      // of in the history.
      if (await machine.look()) connection.ask();
      else off(false);
    } catch {
      connection.ask();
    }
  }
  start();
}

for (const root of document.querySelectorAll("[data-console]")) consolePage(root);
