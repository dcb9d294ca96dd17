// Keyboard layouts as data: which physical key, with which modifier, makes a
// character in a guest that is set to the layout.
//
// A layout has three levels of four rows each. A row's n-th character is what
// its n-th key makes; a space makes nothing. dead names the keys that make
// nothing by themselves and mark the next letter: [key, level].
export const ROWS = [
  ["Backquote", "Digit1", "Digit2", "Digit3", "Digit4", "Digit5", "Digit6", "Digit7", "Digit8", "Digit9", "Digit0", "Minus", "Equal"],
  ["KeyQ", "KeyW", "KeyE", "KeyR", "KeyT", "KeyY", "KeyU", "KeyI", "KeyO", "KeyP", "BracketLeft", "BracketRight"],
  ["KeyA", "KeyS", "KeyD", "KeyF", "KeyG", "KeyH", "KeyJ", "KeyK", "KeyL", "Semicolon", "Quote", "Backslash"],
  ["IntlBackslash", "KeyZ", "KeyX", "KeyC", "KeyV", "KeyB", "KeyN", "KeyM", "Comma", "Period", "Slash"],
];

const us = {
  name: "US",
  plain: ["`1234567890-=", "qwertyuiop[]", "asdfghjkl;'\\", " zxcvbnm,./"],
  shift: ["~!@#$%^&*()_+", "QWERTYUIOP{}", "ASDFGHJKL:\"|", " ZXCVBNM<>?"],
  altgr: [],
  dead: {},
};

const uk = {
  name: "UK",
  plain: ["`1234567890-=", "qwertyuiop[]", "asdfghjkl;'#", "\\zxcvbnm,./"],
  shift: ["¬!\"£$%^&*()_+", "QWERTYUIOP{}", "ASDFGHJKL:@~", "|ZXCVBNM<>?"],
  altgr: ["    €"],
  dead: {},
};

const german = {
  name: "German",
  plain: [" 1234567890ß", "qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-"],
  shift: ["°!\"§$%&/()=?", "QWERTZUIOPÜ*", "ASDFGHJKLÖÄ'", ">YXCVBNM;:_"],
  altgr: ["  ²³   {[]}\\", "@ €        ~", "", "|      µ"],
  dead: { "^": ["Backquote", "plain"], "´": ["Equal", "plain"], "`": ["Equal", "shift"] },
};

const french = {
  name: "French",
  plain: ["²&é\"'(-è_çà)=", "azertyuiop $", "qsdfghjklmù*", "<wxcvbn,;:!"],
  shift: [" 1234567890°+", "AZERTYUIOP £", "QSDFGHJKLM%µ", ">WXCVBN?./§"],
  altgr: ["  ~#{[|`\\^@]}", "  €        ¤"],
  dead: { "^": ["BracketLeft", "plain"], "¨": ["BracketLeft", "shift"] },
};

const spanish = {
  name: "Spanish",
  plain: ["º1234567890'¡", "qwertyuiop +", "asdfghjklñ ç", "<zxcvbnm,.-"],
  shift: ["ª!\"·$%&/()=?¿", "QWERTYUIOP *", "ASDFGHJKLÑ Ç", ">ZXCVBNM;:_"],
  altgr: ["\\|@#~ ¬", "  €       []", "          {}"],
  dead: { "`": ["BracketLeft", "plain"], "^": ["BracketLeft", "shift"], "´": ["Quote", "plain"], "¨": ["Quote", "shift"] },
};

const swissDead = { "^": ["Equal", "plain"], "`": ["Equal", "shift"], "~": ["Equal", "altgr"], "´": ["Minus", "altgr"], "¨": ["BracketRight", "plain"] };
const swissGerman = {
  name: "Swiss (German)",
  plain: ["§1234567890'", "qwertzuiopü", "asdfghjklöä$", "<yxcvbnm,.-"],
  shift: ["°+\"*ç%&/()=?", "QWERTZUIOPè!", "ASDFGHJKLéà£", ">YXCVBNM;:_"],
  altgr: ["  @#  ¬|", "  €       []", "          {}", "\\"],
  dead: swissDead,
};
const swissFrench = {
  ...swissGerman,
  name: "Swiss (French)",
  plain: ["§1234567890'", "qwertzuiopè", "asdfghjkléà$", "<yxcvbnm,.-"],
  shift: ["°+\"*ç%&/()=?", "QWERTZUIOPü!", "ASDFGHJKLöä£", ">YXCVBNM;:_"],
};

// On Windows the tilde and the accent behind AltGr are dead as well.
const frenchWindows = {
  ...french,
  name: "French (Windows)",
  altgr: ["   #{[| \\^@]}", "  €        ¤"],
  dead: { ...french.dead, "~": ["Digit2", "altgr"], "`": ["Digit7", "altgr"] },
};
const spanishWindows = {
  ...spanish,
  name: "Spanish (Windows)",
  altgr: ["\\|@#  ¬", "  €       []", "          {}"],
  dead: { ...spanish.dead, "~": ["Digit4", "altgr"] },
};

export const LAYOUTS = {
  us, uk, de: german, fr: french, "fr-windows": frenchWindows, es: spanish, "es-windows": spanishWindows,
  "de-ch": swissGerman, "fr-ch": swissFrench,
};

// DEAD: what a dead key is called on the wire, what it does to a letter, and
// the letters that every system lets it mark.
export const DEAD = {
  "`": { keysym: 0xfe50, mark: "\u0300", letters: "aeiouAEIOU" },
  "´": { keysym: 0xfe51, mark: "\u0301", letters: "aeiouyAEIOUY" },
  "^": { keysym: 0xfe52, mark: "\u0302", letters: "aeiouAEIOU" },
  "~": { keysym: 0xfe53, mark: "\u0303", letters: "anoANO" },
  "¨": { keysym: 0xfe57, mark: "\u0308", letters: "aeiouyAEIOU" },
};

// With Space these stand by themselves, on every system.
export const DEAD_ALONE = "^`~";
