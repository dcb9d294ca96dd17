// Menus of the bar by keyboard, as menus of programs are: arrows, Home, End,
// first letters, Esc. The bar itself is walked by left and right.
const FOCUSABLE = "button:not([disabled]):not([hidden]), a[href]";

const seen = (element) => element.checkVisibility?.() ?? element.offsetParent !== null;

export function itemsOf(menu) {
  return [...menu.querySelectorAll("[role^=menuitem]")].filter((item) => !item.disabled && seen(item));
}

// step is the next index in a ring, -1 for a key that doesn't walk.
export function step(key, at, count, [back, forth]) {
  if (!count) return -1;
  if (key === forth) return (at + 1) % count;
  if (key === back) return (at - 1 + count) % count;
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  return -1;
}

function byLetter(items, at, letter) {
  const order = [...items.slice(at + 1), ...items.slice(0, at + 1)];
  return order.find((item) => item.textContent.trim().toLowerCase().startsWith(letter.toLowerCase()));
}

export function menus(root) {
  root.addEventListener("toggle", (event) => {
    const menu = event.target;
    if (!menu.matches?.("[role=menu]")) return;
    const opener = root.querySelector(`[popovertarget="${CSS.escape(menu.id)}"]`);
    opener?.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState === "open") itemsOf(menu)[0]?.focus();
  }, true);

  root.addEventListener("keydown", (event) => {
    const menu = event.target.closest("[role=menu]");
    if (menu) {
      walk(event, itemsOf(menu), ["ArrowUp", "ArrowDown"]);
      if (event.key === "Tab") menu.hidePopover();
      else if (event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.altKey && !event.metaKey) {
        const items = itemsOf(menu);
        byLetter(items, items.indexOf(event.target), event.key)?.focus();
      }
      return;
    }
    const bar = event.target.closest("[role=toolbar]");
    if (!bar) return;
    if (event.key === "ArrowDown" && event.target.matches("[aria-haspopup=menu]")) {
      event.preventDefault();
      root.querySelector(`#${CSS.escape(event.target.getAttribute("popovertarget"))}`).showPopover({ source: event.target });
      return;
    }
    const tools = [...bar.querySelectorAll(FOCUSABLE)].filter((tool) => !tool.closest("[role=menu]") && seen(tool));
    walk(event, tools, ["ArrowLeft", "ArrowRight"]);
  });
}

function walk(event, items, keys) {
  const next = step(event.key, items.indexOf(event.target), items.length, keys);
  if (next < 0) return;
  event.preventDefault();
  items[next].focus();
}
