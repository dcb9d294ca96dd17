// Tells a silent connection from a quiet one. The portal answers {"ping": n}
// with {"pong": n}; what comes between counts as a sign of life too. A browser
// may take a minute or more to notice that the other end is gone, and after a
// laptop's sleep it may never: so the page looks itself.
const EVERY_MS = 4_000;
const PATIENCE_MS = 6_000; // for an answer
const HURRY_MS = 1_500; // the same, where something looks wrong already
const TICK_MS = 500;
const SLEPT_MS = 5_000; // a tick that comes so late says that the computer slept

export class Heartbeat {
  #hooks;
  #now;
  #wall;
  #every;
  #stop;
  #timer = 0;
  #number = 0;
  #sentAt = 0; // of the ping that waits for its pong; 0: none does
  #patience = PATIENCE_MS;
  #lastPing = 0;
  #lastTick = 0;
  #lastWall = 0; // the same by the clock on the wall
  #answers = false; // this portal answers pings at all

  // hooks: ping(n), latency(ms), silent().
  constructor(hooks, { now = () => performance.now(), wall = () => Date.now(), every = (f, ms) => setInterval(f, ms), stop = (timer) => clearInterval(timer) } = {}) {
    this.#hooks = hooks;
    this.#now = now;
    this.#wall = wall;
    this.#every = every;
    this.#stop = stop;
  }

  start() {
    this.stop();
    this.#sentAt = 0;
    this.#lastTick = this.#now();
    this.#lastWall = this.#wall();
    this.#timer = this.#every(() => this.tick(), TICK_MS);
    this.#ping(PATIENCE_MS);
  }

  stop() {
    this.#stop(this.#timer);
    this.#timer = 0;
  }

  // hurry asks at once: the network or the tab has just come back.
  hurry() {
    if (this.#timer) this.#ping(HURRY_MS);
  }

  // heard notes a sign of life.
  heard() {
    if (this.#sentAt) this.#sentAt = this.#now();
  }

  pong(number) {
    if (number !== this.#number || !this.#sentAt) return;
    this.#answers = true;
    this.#hooks.latency(this.#now() - this.#lastPing);
    this.#sentAt = 0;
  }

  tick() {
    const at = this.#now();
    // In some browsers and systems the one clock stands still while the
    // computer sleeps. The other may be set; to ask once too often does no harm.
    const wall = this.#wall();
    const slept = Math.max(at - this.#lastTick, wall - this.#lastWall) > SLEPT_MS;
    this.#lastTick = at;
    this.#lastWall = wall;
    if (slept) {
      this.#ping(HURRY_MS);
    } else if (this.#sentAt) {
      if (at - this.#sentAt > this.#patience && this.#answers) {
        this.stop();
        this.#hooks.silent();
      }
    } else if (at - this.#lastPing >= EVERY_MS) {
      this.#ping(PATIENCE_MS);
    }
  }

  #ping(patience) {
    this.#patience = patience;
    this.#number++;
    this.#sentAt = this.#lastPing = this.#now();
    this.#hooks.ping(this.#number);
  }
}
