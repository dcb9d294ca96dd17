// The little conveniences around menus, forms and keys.
function themeButtons(root) {
  const choice = document.documentElement.dataset.themeChoice;
  for (const button of root.querySelectorAll("[data-theme-set]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeSet === choice));
  }
}

function typing(target) {
  return target.closest("input, textarea, select, [contenteditable], dialog[open], canvas");
}

export function menus(root) {
  themeButtons(root);
  root.addEventListener("click", (event) => {
    const theme = event.target.closest("[data-theme-set]");
    if (theme) {
      dispatchEvent(new CustomEvent("mw:theme", { detail: theme.dataset.themeSet }));
      themeButtons(root);
    }
    for (const menu of root.querySelectorAll("details.details-menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      navigator.clipboard.writeText(copy.dataset.copy).then(() => {
        root.dispatchEvent(new CustomEvent("mw:toast", { detail: { tone: "good", text: `Copied ${copy.dataset.copied ?? copy.dataset.copy}` } }));
      });
    }
  });
  root.addEventListener("click", (event) => {
    const filler = event.target.closest("[data-fill]");
    if (!filler) return;
    const field = root.getElementById(filler.dataset.fill);
    field.value = filler.dataset.fillValue;
    const next = field.form.querySelector("input[type=password]");
    (next ?? field).focus();
  });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const menu = event.target.closest("details.details-menu[open]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    }
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !typing(event.target)) {
      const search = root.querySelector("[data-search]");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
  });
  // A filter takes effect when chosen; without script its button applies it.
  root.addEventListener("change", (event) => {
    if (event.target.matches("form[data-auto-submit] select, form[data-auto-submit] input[type=date]")) {
      event.target.form.requestSubmit();
    }
  });
  root.addEventListener("submit", (event) => {
    const form = event.target;
    // Empty filters stay out of the address.
    if (form.method === "get") {
      for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
      setTimeout(() => { for (const field of form.elements) field.disabled = false; });
      return;
    }
    // One click, one order. The button stays enabled until the request has
    // taken its value along.
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-disabled", "true");
  });
  addEventListener("pageshow", () => {
    for (const form of root.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
    }
  });
}
