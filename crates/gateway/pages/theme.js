// The theme that was chosen, before anything is drawn: a module would come after the first paint, in the wrong colours.
try {
  const theme = localStorage.getItem("chorus.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's theme is good enough then.
}
