// Lays the third-party browser code that the portal embeds into static/vendor:
// exactly the files it uses, with their licences. Run by `task assets` after
// `npm ci`; the versions come from package-lock.json.
//
// The folder is made beside its final place and swapped in at the end, so that
// an interrupted run never leaves a half-filled one behind.
import { cp, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "..", "node_modules");
const vendor = join(here, "vendor");
const fresh = join(here, "vendor.new");
const placeholder = "README.md";

// from: below node_modules; to: below static/vendor. A folder is copied whole.
const files = [
  ["@tabler/core/dist/css/tabler.min.css", "tabler.min.css"],
  ["htmx.org/dist/htmx.min.js", "htmx.min.js"],
  ["idiomorph/dist/idiomorph-ext.min.js", "idiomorph-ext.min.js"],
  ["@novnc/novnc/core", "novnc/core"],
  ["@novnc/novnc/vendor/pako", "novnc/vendor/pako"],
  ["@fontsource-variable/inter/files/inter-latin-wght-normal.woff2", "inter-latin.woff2"],
  ["@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2", "inter-latin-ext.woff2"],
  ["@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2", "jetbrains-mono-latin.woff2"],
];

const licences = {
  "@fontsource-variable/inter": "LICENSE",
  "@fontsource-variable/jetbrains-mono": "LICENSE",
  "@novnc/novnc": "LICENSE.txt",
  "@tabler/core": null, // ships none: its notice is the head of its style sheet
  "@tabler/icons": "LICENSE",
  "htmx.org": "LICENSE",
  "idiomorph": "LICENSE",
};

async function copy(from, to) {
  const target = join(fresh, to);
  await mkdir(dirname(target), { recursive: true });
  await cp(join(modules, from), target, { recursive: true });
}

async function iconNames() {
  const text = await readFile(join(here, "icons.txt"), "utf8");
  return text.split("\n").map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
}

async function licence(name, file) {
  const target = join(fresh, "licenses", name.replace("@", "").replace("/", "-") + ".txt");
  await mkdir(dirname(target), { recursive: true });
  if (file) return cp(join(modules, name, file), target);
  const sheet = await readFile(join(modules, name, "dist/css/tabler.min.css"), "utf8");
  const notice = sheet.slice(sheet.indexOf("/*!"), sheet.indexOf("*/") + 2);
  return writeFile(target, notice + "\n");
}

async function version(name) {
  return JSON.parse(await readFile(join(modules, name, "package.json"), "utf8")).version;
}

await rm(fresh, { recursive: true, force: true });
await mkdir(fresh, { recursive: true });
for (const [from, to] of files) await copy(from, to);

const icons = await iconNames();
for (const name of icons) await copy(`@tabler/icons/icons/outline/${name}.svg`, `icons/${name}.svg`);

const packages = {};
for (const [name, file] of Object.entries(licences)) {
  await licence(name, file);
  packages[name] = await version(name);
}
await writeFile(join(fresh, "manifest.json"), JSON.stringify({ packages, icons: icons.length }, null, 2) + "\n");

// Everything but the committed placeholder gives way to the fresh files.
await mkdir(vendor, { recursive: true });
for (const entry of await readdir(vendor)) {
  if (entry !== placeholder) await rm(join(vendor, entry), { recursive: true });
}
const laid = (await readdir(fresh)).filter((entry) => entry !== "manifest.json");
for (const entry of [...laid, "manifest.json"]) await rename(join(fresh, entry), join(vendor, entry));
await rm(fresh, { recursive: true });
console.log(`static/vendor: ${Object.keys(packages).length} packages, ${icons.length} icons`);
