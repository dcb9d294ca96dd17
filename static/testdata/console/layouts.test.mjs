// A guest with a layout turns what is sent back into the text. The guest's
// side is QEMU's own keymaps (Debian's qemu-system-data), made from the
// layouts of X and not from ours.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { LAYOUTS } from "../../console/layouts.js";
import { compile, plan, press } from "../../console/strokes.js";

const KEYMAPS = "/usr/share/qemu/keymaps";
const SCANCODES = {
  Backquote: 0x29, Minus: 0x0c, Equal: 0x0d, BracketLeft: 0x1a, BracketRight: 0x1b, Semicolon: 0x27, Quote: 0x28, Backslash: 0x2b,
  IntlBackslash: 0x56, Comma: 0x33, Period: 0x34, Slash: 0x35, Space: 0x39, Enter: 0x1c, Tab: 0x0f,
};
for (const [at, n] of [..."1234567890"].entries()) SCANCODES[`Digit${n}`] = 2 + at;
for (const [row, base] of [["QWERTYUIOP", 0x10], ["ASDFGHJKL", 0x1e], ["ZXCVBNM", 0x2c]]) {
  for (const [at, letter] of [...row].entries()) SCANCODES[`Key${letter}`] = base + at;
}

const NAMES = {
  exclam: "!", quotedbl: '"', numbersign: "#", dollar: "$", percent: "%", ampersand: "&", apostrophe: "'", parenleft: "(", parenright: ")", asterisk: "*",
  plus: "+", comma: ",", minus: "-", period: ".", slash: "/", colon: ":", semicolon: ";", less: "<", equal: "=", greater: ">", question: "?", at: "@",
  bracketleft: "[", backslash: "\\", bracketright: "]", asciicircum: "^", underscore: "_", grave: "`", braceleft: "{", bar: "|", braceright: "}", asciitilde: "~",
  exclamdown: "¡", sterling: "£", currency: "¤", brokenbar: "¦", section: "§", notsign: "¬", degree: "°", twosuperior: "²", threesuperior: "³",
  acute: "´", diaeresis: "¨", mu: "µ", periodcentered: "·", ordfeminine: "ª", masculine: "º", questiondown: "¿", ssharp: "ß", EuroSign: "€",
  agrave: "à", egrave: "è", eacute: "é", ugrave: "ù", ccedilla: "ç", Ccedilla: "Ç", ntilde: "ñ", Ntilde: "Ñ", adiaeresis: "ä", Adiaeresis: "Ä",
  odiaeresis: "ö", Odiaeresis: "Ö", udiaeresis: "ü", Udiaeresis: "Ü", space: " ",
};
const DEAD = { dead_grave: "`", dead_acute: "´", dead_circumflex: "^", dead_tilde: "~", dead_diaeresis: "¨" };

// keymap reads what each key makes: "scancode level" → character, or dead key.
function keymap(name) {
  const keys = new Map();
  for (const line of readFileSync(`${KEYMAPS}/${name}`, "utf8").split("\n")) {
    const [symbol, code, ...modifiers] = line.trim().split(/\s+/);
    if (!/^0x/.test(code ?? "")) continue;
    const char = symbol.length === 1 ? symbol : NAMES[symbol];
    const level = modifiers.join(" ");
    if (char) keys.set(`${Number(code)} ${level}`, { char });
    else if (DEAD[symbol]) keys.set(`${Number(code)} ${level}`, { dead: DEAD[symbol] });
  }
  return keys;
}

// guest types what is sent to it, as a machine with the keymap would. soft:
// keys that are dead in the layout and not so in QEMU's variant of it.
function guest(keys, soft) {
  const held = new Set();
  let text = "";
  let dead = "";
  const marks = { "`": "\u0300", "´": "\u0301", "^": "\u0302", "~": "\u0303", "¨": "\u0308" };
  const send = (_, code, down) => {
    if (code === "ShiftLeft" || code === "AltRight") {
      if (down) held.add(code);
      else held.delete(code);
      return;
    }
    if (!down) return;
    if (code === "Enter" || code === "Tab") {
      text += code === "Enter" ? "\n" : "\t";
      return;
    }
    const level = [held.has("ShiftLeft") && "shift", held.has("AltRight") && "altgr"].filter(Boolean).join(" ");
    const made = code === "Space" ? { char: " " } : keys.get(`${SCANCODES[code]} ${level}`);
    assert.ok(made, `nothing on ${code} ${level}`);
    const isDead = made.dead ?? (soft.includes(made.char) && level !== "altgr" ? made.char : "");
    if (isDead) dead = isDead;
    else if (dead) {
      text += made.char === " " ? dead : (made.char + marks[dead]).normalize("NFC");
      dead = "";
    } else text += made.char;
  };
  return { send, text: () => text };
}

const GUESTS = { us: ["en-us", ""], uk: ["en-gb", ""], de: ["de", "^´`"], fr: ["fr", "^¨"], es: ["es", ""], "de-ch": ["de-ch", ""], "fr-ch": ["fr-ch", ""] };

for (const [name, [map, soft]] of Object.entries(GUESTS)) {
  test(`${name}: every character that the layout has arrives in a ${map} guest`, () => {
    const keys = keymap(map);
    const table = compile(LAYOUTS[name]);
    for (const char of table.keys()) {
      const there = guest(keys, soft);
      for (const one of table.get(char)) press(one, there.send, true);
      assert.equal(there.text(), char);
    }
  });
}

test("every layout types what scripts and passwords are made of", () => {
  const ascii = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("") + "\n\t";
  for (const [name, layout] of Object.entries(LAYOUTS)) {
    const { missing } = plan(ascii, compile(layout));
    assert.deepEqual([...missing.keys()], [], `${name} lacks them`);
  }
});

const keysOf = (text, layout) => plan(text, compile(LAYOUTS[layout])).chars.flat().map((s) => `${s.shift ? "⇧" : ""}${s.altgr ? "⌥" : ""}${s.code}`).join(" ");

test("keys stand where the layout has them", () => {
  assert.equal(keysOf("yz", "us"), "KeyY KeyZ");
  assert.equal(keysOf("yz", "de"), "KeyZ KeyY");
  assert.equal(keysOf("aA", "fr"), "KeyQ ⇧KeyQ");
  assert.equal(keysOf("@\\", "de"), "⌥KeyQ ⌥Minus");
  assert.equal(keysOf("@", "de-ch"), "⌥Digit2");
  assert.equal(keysOf("é", "de"), "Equal KeyE");
  assert.equal(keysOf("ê", "fr"), "BracketLeft KeyE");
  assert.equal(keysOf("Ü", "de-ch"), "BracketRight ⇧KeyU");
  assert.equal(keysOf("~", "es-windows"), "⌥Digit4 Space");
  assert.equal(keysOf("^", "de"), "Backquote Space");
});

test("a screen that takes names alone gets those of a US keyboard", () => {
  const names = (text, layout, physical) => {
    const sent = [];
    for (const one of plan(text, compile(LAYOUTS[layout])).chars.flat()) press(one, (keysym, _, down) => down && sent.push(keysym), physical);
    return sent;
  };
  assert.deepEqual(names("z", "de", false), ["y".charCodeAt(0)]);
  assert.deepEqual(names("z", "de", true), ["z".charCodeAt(0)]);
  assert.deepEqual(names("/", "de", false), [0xffe1, "&".charCodeAt(0)]);
});

test("what can't be typed is counted, line ends are one Enter", () => {
  const { chars, missing } = plan("a\r\nb\rあcあ", compile(LAYOUTS.us));
  assert.deepEqual([...missing], [["あ", 2]]);
  assert.equal(chars.flat().map((s) => s.code).join(" "), "KeyA Enter KeyB Enter KeyC");
  assert.equal(plan("e\u0301", compile(LAYOUTS.fr)).missing.size, 0, "a letter and its accent are one character");
});
