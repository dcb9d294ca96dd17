// Keys that a browser or its system keeps for itself, sent as chords.
import { KEYSYM, keysymOf } from "./strokes.js";

const key = (keysym, code) => ({ keysym, code });
const CTRL = key(KEYSYM.control, "ControlLeft");
const ALT = key(KEYSYM.alt, "AltLeft");

const NAMED = {
  esc: key(KEYSYM.escape, "Escape"), tab: key(KEYSYM.tab, "Tab"), super: key(KEYSYM.super, "MetaLeft"), print: key(KEYSYM.print, "PrintScreen"),
  delete: key(KEYSYM.delete, "Delete"), del: key(KEYSYM.delete, "Delete"), insert: key(KEYSYM.insert, "Insert"), backspace: key(KEYSYM.backspace, "Backspace"),
  home: key(KEYSYM.home, "Home"), end: key(KEYSYM.end, "End"), pageup: key(KEYSYM.pageUp, "PageUp"), pagedown: key(KEYSYM.pageDown, "PageDown"),
  left: key(KEYSYM.left, "ArrowLeft"), up: key(KEYSYM.up, "ArrowUp"), right: key(KEYSYM.right, "ArrowRight"), down: key(KEYSYM.down, "ArrowDown"),
  enter: key(KEYSYM.enter, "Enter"), ctrl: CTRL, alt: ALT, shift: key(KEYSYM.shift, "ShiftLeft"), altgr: key(KEYSYM.altgr, "AltRight"),
};

// keyOf is one key by its name: "f5", "esc", "b".
export function keyOf(name) {
  const f = /^f([1-9]|1[0-2])$/.exec(name);
  if (f) return key(KEYSYM.f1 + Number(f[1]) - 1, `F${f[1]}`);
  if (/^[a-z]$/.test(name)) return key(keysymOf(name), `Key${name.toUpperCase()}`);
  if (/^[0-9]$/.test(name)) return key(keysymOf(name), `Digit${name}`);
  return NAMED[name] ?? null;
}

// chord is what "ctrl-alt-f2" presses, in order. "sysrq-b" is Alt and Print
// held, and b.
export function chord(text) {
  const names = text.split("-").flatMap((name) => (name === "sysrq" ? ["alt", "print"] : [name]));
  const keys = names.map(keyOf);
  return keys.includes(null) ? [] : keys;
}

// sendChord presses all, then lets go in reverse.
export function sendChord(text, send) {
  const keys = chord(text);
  for (const { keysym, code } of keys) send(keysym, code, true);
  for (const { keysym, code } of keys.reverse()) send(keysym, code, false);
}
