// Before anything is painted: the theme that was chosen here, and that scripts run at all.
"use strict";
document.documentElement.classList.add("js");
(function () {
  let theme = null;
  try { theme = localStorage.getItem("edgecam.theme"); } catch { /* storage is forbidden: auto */ }
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
})();
