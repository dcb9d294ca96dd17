// From text to strokes. A stroke is a physical key with its modifiers, and two
// names of it: keysym, what the key makes in the guest's layout, and usKeysym,
// what the same key makes on a US keyboard.
//
// Which of the two is sent depends on the other end. One that takes physical
// keys (QEMU's extension) ignores the name; it is there for screens that only
// look at names. ESXi takes names alone and turns them back into keys as if
// they came from a US keyboard: only the US name reaches the right key there.
import { DEAD, DEAD_ALONE, LAYOUTS, ROWS } from "./layouts.js";

export const KEYSYM = {
  backspace: 0xff08, tab: 0xff09, enter: 0xff0d, escape: 0xff1b, print: 0xff61, delete: 0xffff, insert: 0xff63,
  home: 0xff50, left: 0xff51, up: 0xff52, right: 0xff53, down: 0xff54, pageUp: 0xff55, pageDown: 0xff56, end: 0xff57,
  f1: 0xffbe, shift: 0xffe1, control: 0xffe3, alt: 0xffe9, super: 0xffeb, altgr: 0xfe03, space: 0x20,
};

export function keysymOf(char) {
  const point = char.codePointAt(0);
  if ((point >= 0x20 && point <= 0x7e) || (point >= 0xa0 && point <= 0xff)) return point;
  return char === "€" ? 0x20ac : 0x01000000 + point; // € is older than the rule
}

function* keysOf(layout) {
  for (const level of ["plain", "shift", "altgr"]) {
    for (const [row, chars] of layout[level].entries()) {
      for (const [at, char] of [...chars].entries()) {
        if (char !== " ") yield { char, code: ROWS[row][at], level };
      }
    }
  }
}

const usNames = new Map();
for (const { char, code, level } of keysOf(LAYOUTS.us)) usNames.set(`${level} ${code}`, keysymOf(char));

function stroke(code, level, keysym) {
  const usLevel = level === "shift" ? "shift" : "plain";
  return { code, shift: level === "shift", altgr: level === "altgr", keysym, usKeysym: usNames.get(`${usLevel} ${code}`) ?? keysym };
}

const plain = (code, keysym) => ({ code, shift: false, altgr: false, keysym, usKeysym: keysym });
const space = plain("Space", KEYSYM.space);

// compile turns a layout into a map from character to its strokes.
export function compile(layout) {
  const table = new Map([[" ", [space]], ["\n", [plain("Enter", KEYSYM.enter)]], ["\t", [plain("Tab", KEYSYM.tab)]]]);
  for (const { char, code, level } of keysOf(layout)) {
    if (!table.has(char)) table.set(char, [stroke(code, level, keysymOf(char))]);
  }
  for (const [char, [code, level]] of Object.entries(layout.dead)) {
    const { keysym, mark, letters } = DEAD[char];
    const dead = stroke(code, level, keysym);
    if (DEAD_ALONE.includes(char) && !table.has(char)) table.set(char, [dead, space]);
    for (const letter of letters) {
      const marked = (letter + mark).normalize("NFC");
      const base = table.get(letter);
      if (base && !table.has(marked)) table.set(marked, [dead, ...base]);
    }
  }
  return table;
}

// plan says how to type a text, and which of its characters can't be typed:
// missing counts them. Line ends of every kind are one Enter.
export function plan(text, table) {
  const chars = [];
  const missing = new Map();
  for (const char of text.replace(/\r\n?/g, "\n").normalize("NFC")) {
    const strokes = table.get(char);
    if (strokes) chars.push(strokes);
    else missing.set(char, (missing.get(char) ?? 0) + 1);
  }
  return { chars, missing };
}

// press sends one stroke by send(keysym, code, down). physical: the other end
// takes physical keys.
export function press({ code, shift, altgr, keysym, usKeysym }, send, physical) {
  if (shift) send(KEYSYM.shift, "ShiftLeft", true);
  if (altgr) send(KEYSYM.altgr, "AltRight", true);
  const name = physical ? keysym : usKeysym;
  send(name, code, true);
  send(name, code, false);
  if (altgr) send(KEYSYM.altgr, "AltRight", false);
  if (shift) send(KEYSYM.shift, "ShiftLeft", false);
}
