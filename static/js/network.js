import { qr } from "./qr.js";

// VPN Connect: the device's key pair is made here and the private half never
// leaves. The form sends the public half; the page that answers has a place
// for the private one, which waits in this tab's own storage meanwhile. A
// browser without X25519 sends none, and the portal makes the key.
const WAITING = "millwright-vpn-key";

const base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)));

async function keyPair() {
  const pair = await crypto.subtle.generateKey({ name: "X25519" }, true, ["deriveBits"]);
  const [secret, open] = await Promise.all([
    crypto.subtle.exportKey("pkcs8", pair.privateKey),
    crypto.subtle.exportKey("raw", pair.publicKey),
  ]);
  return { secret: base64(secret.slice(-32)), open: base64(open) };
}

function form(root) {
  const element = root.querySelector("[data-vpn-form]");
  if (!element || !globalThis.crypto?.subtle) return;
  const note = element.querySelector("[data-vpn-key-note]");
  let ready = null;
  keyPair().then((pair) => {
    ready = pair;
    if (note) note.textContent = "The key is made in this browser; the portal never sees its private half.";
  }).catch(() => {}); // the portal makes it
  element.addEventListener("submit", () => {
    if (!ready) return;
    sessionStorage.setItem(WAITING, JSON.stringify(ready)); // refused, the portal makes the key
    element.elements.public_key.value = ready.open;
  });
}

const SVG = "http://www.w3.org/2000/svg";

function draw(text) {
  const rows = qr(text);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `-4 -4 ${rows.length + 8} ${rows.length + 8}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "QR code of the configuration");
  const ground = document.createElementNS(SVG, "rect");
  for (const [name, value] of [["x", -4], ["y", -4], ["width", rows.length + 8], ["height", rows.length + 8]]) ground.setAttribute(name, value);
  ground.setAttribute("class", "qr-light");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("class", "qr-dark");
  path.setAttribute("d", rows.map((row, y) => row.map((on, x) => (on ? `M${x} ${y}h1v1h-1z` : "")).join("")).join(""));
  svg.append(ground, path);
  return svg;
}

function device(root) {
  const page = root.querySelector("[data-vpn-device]");
  if (!page) return;
  const config = page.querySelector("[data-vpn-config]");
  const waiting = sessionStorage.getItem(WAITING);
  sessionStorage.removeItem(WAITING);
  const own = waiting && config.textContent.includes(page.dataset.vpnPlaceholder);
  if (own) config.textContent = config.textContent.replace(page.dataset.vpnPlaceholder, JSON.parse(waiting).secret);
  // The file before the picture: that one may not come to be, and the key is
  // nowhere else.
  page.querySelector("[data-vpn-download]").href = URL.createObjectURL(new Blob([config.textContent], { type: "application/octet-stream" }));
  if (!own) return;
  const code = page.querySelector("[data-vpn-qr]");
  try {
    code.replaceChildren(draw(config.textContent));
  } catch {
    const scan = page.querySelector("[data-vpn-scan]");
    scan.textContent = scan.dataset.vpnTooLong;
    code.hidden = true;
  }
}

// Firewall rules are dragged to their place; the buttons do the same.
function sorting(root) {
  const ruleAt = (event) => event.target.closest?.("#rule-rows tr[data-move-url]");
  let dragged = null;
  let home = null; // the row that it stood before
  let dropped = false;
  root.addEventListener("dragstart", (event) => {
    dragged = ruleAt(event);
    if (!dragged) return;
    [home, dropped] = [dragged.nextSibling, false];
    event.dataTransfer.effectAllowed = "move";
    dragged.parentNode.dataset.held = ""; // a refresh would pull it out of the hand
    dragged.classList.add("is-held");
  });
  root.addEventListener("dragover", (event) => {
    const over = ruleAt(event);
    if (!dragged || !over) return;
    event.preventDefault();
    if (over === dragged) return;
    const { top, height } = over.getBoundingClientRect();
    over.parentNode.insertBefore(dragged, event.clientY < top + height / 2 ? over : over.nextSibling);
  });
  root.addEventListener("drop", (event) => {
    if (!dragged) return;
    event.preventDefault();
    dropped = Boolean(ruleAt(event));
  });
  root.addEventListener("dragend", () => {
    if (!dragged) return;
    const rows = dragged.parentNode;
    delete rows.dataset.held;
    dragged.classList.remove("is-held");
    // Escape, or let go elsewhere: the order is as it was.
    if (!dropped) rows.insertBefore(dragged, home);
    const to = [...rows.querySelectorAll("tr[data-move-url]")].indexOf(dragged) + 1;
    if (String(to) !== dragged.dataset.position) {
      const send = root.createElement("form");
      send.method = "post";
      send.action = dragged.dataset.moveUrl;
      const field = root.createElement("input");
      [field.type, field.name, field.value] = ["hidden", "to", to];
      send.append(field);
      root.body.append(send);
      send.submit();
    }
    dragged = null;
  });
}

export function network(root) {
  form(root);
  device(root);
  sorting(root);
}
