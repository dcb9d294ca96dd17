// The keyboard of a phone. It opens for a text field only, and tells what was
// typed by that field's text: keys have no codes there, and corrections come
// as deletions. So a field out of sight holds some text, and what becomes of
// it is typed.
import { KEYSYM, keysymOf } from "./strokes.js";

const HELD = "\u00a0".repeat(64); // something to delete

// difference says how to come from one text to another at its end: how many
// characters to take off, and what to add.
export function difference(before, after) {
  const from = [...before];
  const to = [...after];
  let same = 0;
  while (same < from.length && same < to.length && from[same] === to[same]) same++;
  return { erase: from.length - same, add: to.slice(same) };
}

export class TouchKeyboard {
  #field;
  #row;
  #send;
  #before = HELD;
  #held = new Set(); // modifiers that the next key takes along

  // send(keysym, code, down); chord(name) presses one of the row's keys.
  constructor({ field, row, send, keyOf }) {
    this.#field = field;
    this.#row = row;
    this.#send = send;
    this.keyOf = keyOf;
    field.addEventListener("input", () => this.#changed());
    field.addEventListener("keydown", (event) => this.#keydown(event));
    row.addEventListener("click", (event) => this.#pressed(event));
    // The field keeps the focus, or the keyboard would close.
    row.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  get open() { return !this.#row.hidden; }

  toggle(on = !this.open) {
    this.#row.hidden = !on;
    this.#letGo();
    if (on) {
      this.#reset();
      this.#field.focus();
    } else {
      this.#field.blur();
    }
  }

  #reset() {
    this.#field.value = this.#before = HELD;
    this.#field.setSelectionRange(HELD.length, HELD.length);
  }

  #changed() {
    const { erase, add } = difference(this.#before, this.#field.value);
    this.#before = this.#field.value;
    for (let i = 0; i < erase; i++) this.#tap(KEYSYM.backspace, "Backspace");
    for (const char of add) {
      if (char === "\n") this.#tap(KEYSYM.enter, "Enter");
      // By its name alone: which key it is depends on the guest.
      else this.#tap(keysymOf(char), null);
    }
    const length = this.#field.value.length;
    if (length < 16 || length > 200) this.#reset();
  }

  // Keys of a real keyboard that are no text.
  #keydown(event) {
    const name = { Escape: "esc", Tab: "tab", ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" }[event.key];
    if (!name) return;
    event.preventDefault();
    const { keysym, code } = this.keyOf(name);
    this.#tap(keysym, code);
  }

  #pressed(event) {
    const button = event.target.closest("button[data-touch-key]");
    if (!button) return;
    const { keysym, code } = this.keyOf(button.dataset.touchKey);
    if (button.hasAttribute("aria-pressed")) {
      const down = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(down));
      this.#send(keysym, code, down);
      if (down) this.#held.add(button);
      else this.#held.delete(button);
      return;
    }
    this.#tap(keysym, code);
  }

  #tap(keysym, code) {
    this.#send(keysym, code, true);
    this.#send(keysym, code, false);
    this.#letGo();
  }

  #letGo() {
    for (const button of this.#held) {
      const { keysym, code } = this.keyOf(button.dataset.touchKey);
      this.#send(keysym, code, false);
      button.setAttribute("aria-pressed", "false");
    }
    this.#held.clear();
  }
}
