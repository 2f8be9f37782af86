// The keyboard of a phone covers half of the page. Where the browser does not make the page smaller itself (Safari), its
// height follows the part that can be seen.

export function fitKeyboard() {
  const { visualViewport: view } = globalThis;
  if (!view) return;
  const root = document.documentElement;
  const fit = () => {
    if (view.scale > 1.01) return; // somebody zooms: that is not a keyboard
    const isCovered = view.height < window.innerHeight - 1;
    if (isCovered) root.style.setProperty("--height", `${view.height}px`);
    else root.style.removeProperty("--height");
    if (isCovered) window.scrollTo(0, 0);
  };
  view.addEventListener("resize", fit);
  view.addEventListener("scroll", fit);
}
