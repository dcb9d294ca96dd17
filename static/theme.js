// Runs before the first paint, so that a dark page never flashes white: sets
// the colour mode and tells the style sheet that scripts run. Nothing else
// belongs here, for it holds up the page.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("millwright.theme") || "auto";
    } catch {
      return "auto"; // storage is switched off
    }
  };
  const apply = () => {
    const choice = chosen();
    root.dataset.themeChoice = choice;
    root.dataset.bsTheme = choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
  };
  // A transition between two pages that the browser skips, as when the next page
  // comes at once, is nobody's failure: unheard, it would be told as one. The
  // first of the two events comes before any module runs.
  const skipped = ({ viewTransition: t }) => {
    for (const end of [t?.ready, t?.updateCallbackDone, t?.finished]) end?.catch(() => {});
  };
  addEventListener("pagereveal", skipped);
  addEventListener("pageswap", skipped);
  root.dataset.script = "on";
  apply();
  dark.addEventListener("change", apply);
  addEventListener("storage", apply); // chosen in another tab
  addEventListener("mw:theme", (event) => {
    try {
      localStorage.setItem("millwright.theme", event.detail);
    } catch {
      // Nothing to keep it in: it holds for this page.
    }
    apply();
  });
})();
