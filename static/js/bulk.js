// Ticking rows of a table: the bar with the actions shows while something is
// ticked and says how many; the box in the head ticks all.
export function bulkSelection(root) {
  const bar = () => root.querySelector("[data-bulk-bar]");
  const boxes = () => [...root.querySelectorAll("[data-bulk-row]")];

  function update() {
    if (!bar()) return;
    const all = boxes();
    const ticked = all.filter((box) => box.checked).length;
    bar().hidden = ticked === 0;
    const count = bar().querySelector("[data-bulk-count]");
    if (count) count.textContent = ticked === 1 ? "1 machine" : `${ticked} machines`;
    const head = root.querySelector("[data-bulk-all]");
    if (head) {
      head.checked = ticked > 0 && ticked === all.length;
      head.indeterminate = ticked > 0 && ticked < all.length;
    }
  }

  root.addEventListener("change", (event) => {
    if (event.target.matches("[data-bulk-all]")) {
      for (const box of boxes()) box.checked = event.target.checked;
    }
    if (event.target.matches("[data-bulk-all], [data-bulk-row]")) update();
  });
  root.addEventListener("click", (event) => {
    if (!event.target.closest("[data-bulk-clear]")) return;
    for (const box of boxes()) box.checked = false;
    update();
  });
  root.addEventListener("htmx:afterSettle", update);
  addEventListener("pageshow", update);
  update();
}
