// What every page has: the characters that HTML cannot carry, the theme, the keys that lead elsewhere.

// NUL and lone surrogates; see marking.py.
for (const mark of document.querySelectorAll(".ctl[data-code]")) {
  mark.textContent = String.fromCharCode(mark.dataset.code).repeat(mark.dataset.times);
}

const THEMES = ["system", "light", "dark"];
const themeButton = document.getElementById("theme");

function remembered() {
  try { return localStorage.getItem("antiphon-theme"); } catch { return null; } // a file may have no storage
}

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  themeButton.querySelector("span").textContent = theme;
  try { localStorage.setItem("antiphon-theme", theme); } catch { /* as above */ }
  document.dispatchEvent(new Event("themechange"));
}

const before = remembered();
setTheme(THEMES.includes(before) ? before : "system");
themeButton.addEventListener("click", () => {
  const now = themeButton.querySelector("span").textContent;
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});

const help = document.getElementById("help");
document.getElementById("help-button").addEventListener("click", () => help.showModal());

const visible = (selector) => [...document.querySelectorAll(selector)].find((found) => found.checkVisibility());
const follow = (selector) => visible(selector)?.click();
const KEYS = {
  "?": () => help.showModal(),
  "/": () => visible("#search")?.focus(),
  n: () => follow('a[rel="next"]'),
  p: () => follow('a[rel="prev"]'),
  l: () => follow("header.top nav a:nth-child(2), header.top .home"),
};
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  // What is no key of every page may be one of its other scripts'.
  const handled = KEYS[event.key] ? (KEYS[event.key](), true) : !document.dispatchEvent(new CustomEvent("key", { detail: event.key, cancelable: true }));
  if (handled) event.preventDefault();
});
