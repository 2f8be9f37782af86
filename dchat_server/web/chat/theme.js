// Before anything is painted: the look that was chosen here, if one was. Not a module, so that it comes in time.

(() => {
  try {
    const chosen = localStorage.getItem("dchat.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage is refused: the device's look is as good.
  }
})();
