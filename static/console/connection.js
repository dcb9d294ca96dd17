// Brings the picture, and brings it back.
//
//	ticket ──▶ socket ──▶ RFB ──▶ picture
//	  ▲                     │
//	  └── wait, jittered ◀──┤ lost, silent, portal or hypervisor restarted
//	                        ├─ off ───▶ hooks.off
//	                        └─ else ──▶ hooks.over
//
// The socket is made here and not by noVNC: noVNC hides close codes and calls
// a lost connection clean. Whatever listens on the socket before noVNC gets it
// is asked first; text messages are between portal and page, and noVNC, which
// would take them for picture data, never sees one.
import * as endings from "./endings.js";
import { Heartbeat } from "./heartbeat.js";

const PATIENCE_MS = 15_000; // for a ticket, and for a picture after it
const FEW = 5; // tries that need no words in the middle of the screen
const STEADY_MS = 1_000; // a connection that held so long was a good one: the portal's ticket rate bounds the rest
const CROWDED_MS = 10_000;
const SPARE = 5; // connections that a browser keeps to one portal, beside the event stream's
const SPARE_MS = 2_000; // for each of them to answer, once the line has been silent

class Refusal extends Error {
  constructor(status, told, retryAfter) {
    super(`the portal answers ${status}`);
    this.status = status;
    this.told = told;
    this.retryAfterMs = retryAfter * 1000 || 0;
  }
}

export class Connection {
  client = null; // the RFB, while there is a picture
  mode = "operate"; // what is asked for
  given = ""; // what the ticket allows
  #hooks;
  #screen;
  #ticketURL;
  #novnc;
  #socket = null;
  #turn = 0; // of connecting; what belongs to an earlier one is void
  #tries = 0; // since the last good connection
  #steadySince = 0;
  #lostAt = 0; // when the picture went, to tell how long it was away
  #timer = 0;
  #deadline = 0;
  #waiting = null; // what the timer will do; now() does it at once
  #told = {}; // the last notice
  #id = ""; // of our console at the portal: what a resume puts an end to
  #takeover = false;
  #suspect = false; // the line was silent; what else goes over it may be dead
  #heart;

  // hooks: connecting(resuming), connected(client, mode), picture(awayMs),
  // lost(), trying(ms, tries), over(ending), off(first), forbidden(told),
  // occupied(viewers), viewers(list), notice(n), latency(ms), keep(), weeded().
  constructor({ ticketURL, novnc, screen, hooks }) {
    this.#ticketURL = ticketURL;
    this.#novnc = novnc;
    this.#screen = screen;
    this.#hooks = hooks;
    this.#heart = new Heartbeat({
      ping: (n) => this.#say({ ping: n }),
      latency: (ms) => this.#hooks.latency(ms),
      silent: () => this.#lose(),
    });
    // Long before it is needed, so that no resume waits for it.
    this.#load().catch(() => {});
  }

  // physical says whether the other end takes physical keys. noVNC has no
  // public name for it.
  get physical() { return Boolean(this.client?._qemuExtKeyEventSupported); }

  get congested() { return (this.#socket?.bufferedAmount ?? 0) > 4096; }

  // ask connects anew, in another mode perhaps; a picture that is there stays
  // on, greyed, until the next one comes.
  ask({ mode = this.mode, takeover = false } = {}) {
    this.mode = mode;
    this.#takeover = takeover;
    this.#tries = 0;
    this.#drop();
    this.#connect();
  }

  // rest ends all trying, until ask.
  rest() {
    this.#drop();
  }

  // hurry is for when network or tab are back.
  hurry() {
    if (this.#waiting) this.#now();
    else this.#heart.hurry();
  }

  // soon connects when it is time for the next try.
  soon() { this.#retry(); }

  #say(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #load() { return import(this.#novnc); }

  #later(what, ms) {
    clearTimeout(this.#timer);
    this.#waiting = what;
    this.#timer = setTimeout(() => this.#now(), ms);
  }

  #now() {
    clearTimeout(this.#timer);
    const what = this.#waiting;
    this.#waiting = null;
    what?.();
  }

  // #drop voids whatever is under way and frees the socket, which may be dead.
  #drop() {
    this.#turn++;
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    this.#waiting = null;
    this.#heart.stop();
    const { client } = this;
    this.client = null;
    if (client) {
      this.#hooks.keep();
      client.disconnect();
    }
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #lose() {
    this.#lostAt ||= performance.now();
    this.#drop();
    this.#suspect = true;
    this.#hooks.lost();
    this.#retry();
  }

  // #weed makes the browser let go of connections that are as dead as the one
  // just lost: it would send a request over one after the other, and each would
  // wait for long. A request that is given up takes its connection along; where
  // all are well, this takes no longer than an answer does.
  #weed() {
    const one = () => fetch(this.#novnc, { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(SPARE_MS) });
    return Promise.allSettled(Array.from({ length: SPARE }, one));
  }

  #retry() {
    this.#drop();
    this.#tries++;
    const ms = endings.retryDelay(this.#tries);
    this.#hooks.trying(ms, this.#tries > FEW);
    this.#later(() => this.#connect(), ms);
  }

  async #askTicket() {
    const form = new URLSearchParams({ mode: this.mode });
    if (this.#takeover) form.set("takeover", "yes");
    if (this.#id) form.set("resume", this.#id);
    const answer = await fetch(this.#ticketURL, {
      method: "POST", body: form, headers: { Accept: "application/json" },
      redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (answer.ok) return answer.json();
    const told = await answer.json().catch(() => ({}));
    throw new Refusal(answer.status, told, Number(answer.headers.get("Retry-After")));
  }

  async #connect() {
    const mine = ++this.#turn;
    this.#hooks.connecting(this.#tries > 0 || this.#lostAt > 0);
    try {
      if (this.#suspect) {
        await this.#weed();
        if (mine !== this.#turn) return;
        this.#suspect = false;
        this.#hooks.weeded();
      }
      const [{ default: RFB }, ticket] = await Promise.all([this.#load(), this.#askTicket()]);
      if (mine !== this.#turn) return;
      this.#takeover = false;
      this.#open(RFB, ticket, mine);
    } catch (error) {
      if (mine === this.#turn) this.#refused(error);
    }
  }

  #refused({ status, told = {}, retryAfterMs }) {
    const refusal = endings.refusalOf(status, told.message, told.reason);
    if (status === 409 && told.code === "occupied") {
      this.#drop();
      this.#hooks.occupied(told.viewers ?? []);
    } else if (status === 409) {
      this.#drop();
      this.#hooks.off(true);
    } else if (status === 429) {
      this.#crowded(refusal, retryAfterMs);
    } else if (refusal) {
      this.#drop();
      this.#hooks.over(refusal);
    } else {
      this.#retry();
    }
  }

  #crowded(ending, ms) {
    this.#drop();
    this.#hooks.over(ending);
    this.#later(() => this.#connect(), Math.max(ms, CROWDED_MS));
  }

  #open(RFB, ticket, mine) {
    const socket = new WebSocket(ticket.url, ["binary", `ticket.${ticket.ticket}`]);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#told = {};
    const view = { connected: false, drawn: false, broken: false };
    // A portal may take the socket and then say nothing.
    this.#deadline = setTimeout(() => { if (mine === this.#turn) this.#lose(); }, 2 * PATIENCE_MS);
    // The portal talks only to those that talk to it.
    socket.addEventListener("open", () => { if (mine === this.#turn) this.#heart.start(); });
    socket.addEventListener("message", (event) => this.#message(event, view, mine));
    socket.addEventListener("close", (event) => { if (mine === this.#turn) this.#closed(event.code, view); });
    this.#attach(new RFB(this.#screen, socket, { shared: true }), ticket.mode, view, mine);
  }

  #message(event, view, mine) {
    if (mine !== this.#turn) return;
    this.#heart.heard();
    if (typeof event.data === "string") {
      event.stopImmediatePropagation();
      this.#control(event.data);
      return;
    }
    if (!view.connected || view.drawn) return;
    view.drawn = true;
    clearTimeout(this.#deadline);
    // noVNC draws what has come now before the second frame from now.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      if (mine !== this.#turn) return;
      const away = this.#lostAt ? performance.now() - this.#lostAt : 0;
      this.#lostAt = 0;
      this.#hooks.picture(away);
    }));
  }

  #control(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (typeof message.pong === "number") this.#heart.pong(message.pong);
    if (Array.isArray(message.viewers)) {
      this.#id = message.viewers.find((viewer) => viewer.you)?.id ?? this.#id;
      this.#hooks.viewers(message.viewers);
    }
    if (message.notice) {
      this.#told = message.notice;
      this.#hooks.notice(message.notice);
    }
  }

  #attach(client, mode, view, mine) {
    this.client = client;
    this.given = mode;
    client.viewOnly = mode === "view";
    client.addEventListener("connect", () => {
      if (mine !== this.#turn) return;
      view.connected = true;
      this.#steadySince = Date.now();
      this.#hooks.connected(client, mode);
    });
    // Not clean: noVNC itself gave up, on an open socket.
    client.addEventListener("disconnect", (event) => { view.broken ||= !event.detail.clean && this.#socket?.readyState === WebSocket.OPEN; });
    client.addEventListener("securityfailure", () => { view.broken = true; });
    client.addEventListener("credentialsrequired", () => {
      view.broken = true;
      client.disconnect();
    });
  }

  #closed(code, view) {
    if (view.drawn) this.#lostAt ||= performance.now();
    if (view.connected && Date.now() - this.#steadySince > STEADY_MS) this.#tries = 0;
    const told = this.#told;
    this.#drop();
    this.#hooks.lost();
    if (view.broken) this.#hooks.over(endings.broken());
    else if (code === endings.OFF) this.#hooks.off(true);
    else if (code === endings.FORBIDDEN) this.#hooks.forbidden(told);
    else if (code === endings.TOO_MANY) this.#crowded(endings.endingOf(code), 0);
    else if (endings.comesBack(code)) this.#retry();
    else {
      this.#id = "";
      this.#hooks.over(endings.endingOf(code, told));
    }
  }
}
