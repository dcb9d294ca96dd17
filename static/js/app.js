// The page's own behaviour. Every part works by delegation from document, so
// that what htmx swaps in needs no wiring; a part that fails leaves a page that
// still works as plain HTML.
import { bulkSelection } from "./bulk.js";
import { dialogs } from "./dialogs.js";
import { fragments } from "./fragments.js";
import { live } from "./live.js";
import { menus } from "./menus.js";
import { network } from "./network.js";
import { times } from "./times.js";
import { toasts } from "./toasts.js";

for (const part of [times, toasts, dialogs, menus, bulkSelection, fragments, live, network]) {
  part(document);
}
