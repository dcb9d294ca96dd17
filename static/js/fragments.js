// What htmx leaves to the page: a fragment whose subject is gone or whose
// session has ended, and an error that the user should hear of.
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
  // What the reader has opened or ticked is theirs: a refresh leaves it alone.
  const morph = globalThis.Idiomorph?.defaults.callbacks;
  if (morph) {
    morph.beforeAttributeUpdated = (name, element) =>
      !(name === "open" && element.matches("details, dialog")) && !(name === "checked" && element.matches("[data-bulk-row]"));
  }
}
