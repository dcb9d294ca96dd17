// The dialog of "Paste as keystrokes", and the strip that shows how far it is.
import { LAYOUTS } from "./layouts.js";
import { compile, plan, press } from "./strokes.js";
import { RATES, sendText } from "./typist.js";

const TOLD = 12; // characters named one by one

const NAMES = { "\u00a0": "no-break space", "\u200b": "zero-width space" };

// missingText names what can't be typed.
export function missingText(missing) {
  const named = [...missing].slice(0, TOLD).map(([char, count]) => {
    const point = char.codePointAt(0);
    const name = NAMES[char] ?? (point < 0x20 || point === 0x7f ? `U+${point.toString(16).toUpperCase().padStart(4, "0")}` : `“${char}”`);
    return count > 1 ? `${name} ×${count}` : name;
  });
  const more = missing.size - TOLD;
  return `It has no ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}. They would be left out.`;
}

export class Paste {
  #root;
  #connection;
  #settings;
  #keep;
  #tables = new Map();
  #typing = null; // its AbortController

  // keep() remembers the settings.
  constructor({ root, connection, settings, keep }) {
    this.#root = root;
    this.#connection = connection;
    this.#settings = settings;
    this.#keep = keep;
    const dialog = root.querySelector("#console-paste");
    this.form = dialog.querySelector("form");
    this.layout = dialog.querySelector("[name=layout]");
    this.rate = dialog.querySelector("[name=rate]");
    this.text = this.#part("paste-text");
    this.layout.value = settings.layout;
    this.rate.value = settings.rate;
    for (const name of ["input", "change"]) this.form.addEventListener(name, () => this.#look());
    this.form.addEventListener("submit", (event) => this.#submit(event, dialog));
    dialog.addEventListener("close", () => {
      if (dialog.open) return; // the event comes late: it was opened again
      this.text.value = ""; // it may be a password
      this.#look();
    });
    this.#part("typing-stop").addEventListener("click", () => this.stop());
  }

  #part(name) { return this.#root.querySelector(`[data-${name}]`); }

  #table(name) {
    if (!this.#tables.has(name)) this.#tables.set(name, compile(LAYOUTS[name]));
    return this.#tables.get(name);
  }

  #plan() { return plan(this.text.value, this.#table(this.layout.value)); }

  // #look says before anything is sent what can't be.
  #look() {
    const { chars, missing } = this.#plan();
    this.#part("paste-missing").hidden = !missing.size;
    if (missing.size) this.#part("paste-missing-text").textContent = missingText(missing);
    const send = this.#part("paste-send");
    send.disabled = !chars.length;
    send.textContent = missing.size && chars.length ? "Type it without them" : "Type it";
    const seconds = Math.ceil(chars.length / RATES[this.rate.value]);
    this.#part("paste-count").textContent = chars.length ? `${chars.length} characters, ${seconds} s` : "";
    Object.assign(this.#settings, { layout: this.layout.value, rate: this.rate.value });
    this.#keep();
  }

  #submit(event, dialog) {
    event.preventDefault();
    const { chars } = this.#plan();
    if (!chars.length) return;
    this.text.value = ""; // it may be a password
    dialog.close();
    this.#connection.client?.focus();
    this.#type(chars);
  }

  stop() { this.#typing?.abort(); }

  // #type goes on as long as the same picture is there: after a resume nobody
  // knows what had arrived.
  async #type(chars) {
    this.stop();
    const typing = this.#typing = new AbortController();
    const { client, physical } = this.#connection;
    const strip = this.#part("typing");
    const bar = this.#part("typing-bar");
    bar.max = chars.length;
    const show = (done) => {
      bar.value = done;
      this.#part("typing-text").textContent = `${done} of ${chars.length}`;
    };
    show(0);
    strip.hidden = false;
    const send = (keysym, code, down) => client.sendKey(keysym, code, down);
    const done = await sendText({
      chars, perSecond: RATES[this.rate.value], signal: typing.signal, progress: show,
      write: (strokes) => { for (const one of strokes) press(one, send, physical); },
      ready: () => (this.#connection.client !== client || client.viewOnly ? "no" : this.#connection.congested ? "wait" : "yes"),
    });
    if (this.#typing === typing) {
      this.#typing = null;
      strip.hidden = true;
    }
    const whole = done === chars.length;
    this.#root.dispatchEvent(new CustomEvent("mw:toast", { bubbles: true, detail: whole
      ? { tone: "good", text: `${done} characters typed.` }
      : { tone: "warn", text: `Stopped after ${done} of ${chars.length} characters.` } }));
  }
}
