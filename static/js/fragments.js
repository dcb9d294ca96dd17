// What htmx leaves to the page: a fragment whose subject is gone or whose
// session has ended, and an error that the user should hear of.
const FIELDS = "input:not([type=hidden], [data-bulk-row], [data-bulk-all]), textarea, select";
const HOLDERS = `form, [data-held], ${FIELDS}`;

function touched(field) {
  if (field === document.activeElement) return true;
  if (field.matches("select")) {
    const options = [...field.options];
    return field.selectedIndex !== Math.max(0, options.findLastIndex((o) => o.defaultSelected));
  }
  return /^(checkbox|radio)$/.test(field.type) ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
}

// held says whether somebody is filling the form in, or drags the element. A
// form stays as a whole: half of it renewed would be neither theirs nor ours.
function held(element) {
  if (!(element instanceof Element)) return false;
  if (element.matches("form")) return [...element.querySelectorAll(FIELDS)].some(touched);
  return element.matches("[data-held]") || (element.matches(FIELDS) && touched(element));
}

export function fragments(root) {
  root.addEventListener("htmx:responseError", (event) => {
    const { elt, xhr } = event.detail;
    if (xhr.status === 401) {
      location.reload(); // leads to the sign-in page
      return;
    }
    if (xhr.status === 404) {
      if (elt.dataset.goneUrl) location.assign(elt.dataset.goneUrl);
      else if (elt.matches("tr")) elt.remove();
      return;
    }
    root.dispatchEvent(new CustomEvent("mw:toast", {
      detail: { tone: "bad", text: "This part of the page could not be brought up to date. Reload the page to try again." },
    }));
  });
  // What the reader has opened, ticked, typed or taken up is theirs: a refresh
  // leaves it alone.
  const morph = globalThis.Idiomorph?.defaults.callbacks;
  if (morph) {
    morph.beforeNodeMorphed = (element) => !held(element);
    morph.beforeNodeRemoved = (element) => !(held(element) || [...(element.querySelectorAll?.(HOLDERS) ?? [])].some(held));
    morph.beforeAttributeUpdated = (name, element) =>
      !(name === "open" && element.matches("details, dialog")) && !(name === "checked" && element.matches("[data-bulk-row]"));
  }
}
