// What this browser remembers of how its user likes consoles. Never what was
// pasted, nor who may do what.
const KEY = "mw.console";
const KNOWN = {
  scaling: ["fit", "one", "drag"],
  quality: ["sharp", "balanced", "frugal"],
  layout: null, // any: an unknown one is not chosen
  rate: ["slow", "normal", "fast"],
};
const FIRST = { scaling: "fit", quality: "balanced", layout: "", rate: "normal" };

export function readSettings(storage) {
  let kept = {};
  try {
    kept = JSON.parse(storage.getItem(KEY) ?? "{}") ?? {};
  } catch { /* spoilt or forbidden: as new */ }
  const settings = { ...FIRST };
  for (const [name, values] of Object.entries(KNOWN)) {
    const value = kept[name];
    if (typeof value === "string" && (!values || values.includes(value))) settings[name] = value;
  }
  return settings;
}

export function keepSettings(storage, settings) {
  try {
    storage.setItem(KEY, JSON.stringify(settings));
  } catch { /* a private window: for this page then */ }
}

// layoutOfLanguage guesses the layout for the first time.
export function layoutOfLanguage(language) {
  const tag = language.toLowerCase();
  const exact = { "en-gb": "uk", "de-ch": "de-ch", "fr-ch": "fr-ch", "de-li": "de-ch" }[tag];
  return exact ?? { de: "de", fr: "fr", es: "es" }[tag.split("-")[0]] ?? "us";
}
