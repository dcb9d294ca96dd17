// Native dialogs. Without script a link to #id shows one (:target); with it the
// same link opens it modal. A form in one can ask for a typed word:
// data-must-equal="word" on its field holds the submit button back until then.
function open(dialog) {
  dialog.showModal();
  // What can't be taken back is not what Enter does at once.
  dialog.querySelector("[autofocus], input:not([type=hidden]), [data-dialog-close], button")?.focus();
  guard(dialog);
}

function guard(dialog) {
  for (const field of dialog.querySelectorAll("[data-must-equal]")) {
    const button = field.form?.querySelector("button[type=submit]");
    if (button) button.disabled = field.value.trim() !== field.dataset.mustEqual;
  }
}

export function dialogs(root) {
  root.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog-open]");
    if (opener) {
      const dialog = root.getElementById(opener.dataset.dialogOpen);
      if (!dialog) return;
      event.preventDefault();
      opener.closest("[popover]")?.hidePopover();
      opener.closest("details[open]")?.removeAttribute("open");
      open(dialog);
      return;
    }
    const closer = event.target.closest("[data-dialog-close]");
    if (closer) {
      event.preventDefault();
      closer.closest("dialog").close();
      return;
    }
    if (event.target instanceof HTMLDialogElement) event.target.close(); // the backdrop
  });
  // A link that acts as a button is pressed by Space as well.
  root.addEventListener("keydown", (event) => {
    if (event.key !== " " || !event.target.matches("a[role=button]")) return;
    event.preventDefault();
    event.target.click();
  });
  root.addEventListener("input", (event) => {
    const dialog = event.target.closest("dialog");
    if (dialog) guard(dialog);
  });
  // A refused form comes back with its dialog marked to be shown again.
  const again = root.querySelector("dialog[data-dialog-shown]");
  if (again) open(again);
}
