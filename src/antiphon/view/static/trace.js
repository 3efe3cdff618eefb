// Traces: what hovering and focus tell, keys from span to span, marks, what was rolled back, scrolling together.

const bar = document.getElementById("detail");
const told = bar.querySelector("div");
const details = new Map(); // of each sheet, once it is asked for

function detailsOf(sheet) {
  if (!details.has(sheet)) details.set(sheet, JSON.parse(sheet.querySelector("script.details").textContent));
  return details.get(sheet);
}

const spansOf = (sheet) => [...sheet.querySelectorAll(".response > .p")];
const numbers = new WeakMap(); // of spans in their response

function numberOf(span) {
  if (!numbers.has(span)) spansOf(span.closest(".sheet")).forEach((each, number) => numbers.set(each, number));
  return numbers.get(span);
}

function line(text, className = "") {
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  paragraph.className = className;
  return paragraph;
}

function tellSpan(span) {
  const { models, spans } = detailsOf(span.closest(".sheet"));
  const number = numberOf(span);
  const [end, confidence, words, idsFrom, reencoded, ids] = spans[number];
  const [, author, kind] = span.classList;
  const model = author === "none" ? "no model" : models[author] ?? "model not recorded";
  const lines = [line(`Span ${number + 1} of ${spans.length}: ${author === "none" ? "nobody" : author}, ${kind}` +
    `${span.classList.contains("forced") ? ", forced" : ""}; ${model}`)];
  const sure = confidence === null ? "" : `; confidence of the cut ${confidence}`;
  lines.push(line(`Ended: ${end}${sure}${words ? `; ${words} words judged` : ""}`));
  if (ids.length) {
    lines.push(line(`${ids.length} ids, ${idsFrom}${reencoded ? ", the last encoded anew after a cut inside a token" : ""}: ` +
      `${ids.slice(0, 200).join(" ")}${ids.length > 200 ? " …" : ""}`, "ids"));
  } else {
    lines.push(line("no token ids", "ids"));
  }
  tell(lines);
}

function tellBack(mark) {
  const { turn, count, text } = mark.dataset;
  tell([line(`Turn ${turn}: ${count} tokens of the ${mark.classList[1]} were rolled back here`),
    text ? line(text, "text") : line("their text was not kept", "ids")]);
}

function tell(lines) {
  told.replaceChildren(...lines);
  bar.hidden = false;
}

function tellOf(target) {
  const found = target.closest?.(".response .back, .response > .p");
  if (!found) return;
  if (found.classList.contains("back")) tellBack(found);
  else tellSpan(found);
}

document.addEventListener("pointerover", (event) => tellOf(event.target));
document.addEventListener("focusin", (event) => tellOf(event.target));
document.addEventListener("click", (event) => {
  const span = event.target.closest(".response > .p");
  if (span && getSelection().isCollapsed) go(span);
});
bar.querySelector("button").addEventListener("click", () => { bar.hidden = true; });

// One span of a page can be reached with Tab, the others from there with keys.
let current = null;

function go(span) {
  if (!span) return;
  if (current) current.tabIndex = -1;
  current = span;
  span.tabIndex = 0;
  span.focus({ preventScroll: true });
  span.scrollIntoView({ block: "nearest" });
  history.replaceState(null, "", `#${span.closest(".sheet").id}.${numberOf(span) + 1}`);
}

const shownSheets = () => [...document.querySelectorAll(".sheet")].filter((sheet) => sheet.checkVisibility());

function step(by, author = null) {
  const sheet = current?.checkVisibility() ? current.closest(".sheet") : shownSheets()[0];
  if (!sheet) return;
  const spans = spansOf(sheet);
  let at = current && spans.includes(current) ? numberOf(current) : -1;
  do at += by; while (author && spans[at] && !spans[at].classList.contains(author));
  go(spans[at]);
}

function nextSheet() {
  const sheets = shownSheets();
  const at = current ? sheets.indexOf(current.closest(".sheet")) : -1;
  const sheet = sheets[(at + 1) % sheets.length];
  if (sheet) go(spansOf(sheet)[0]);
}

function toggle(button, name) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  for (const each of document.querySelectorAll(`.toggle-${name}`)) each.setAttribute("aria-pressed", pressed);
  document.body.classList.toggle(`show-${name}`, pressed);
}

for (const name of ["marks", "back"]) {
  for (const button of document.querySelectorAll(`.toggle-${name}`)) button.addEventListener("click", () => toggle(button, name));
}

const press = (name) => [...document.querySelectorAll(`.toggle-${name}`)].find((found) => found.checkVisibility())?.click();
const KEYS = {
  j: () => step(1), k: () => step(-1), t: () => step(1, "teacher"), s: () => step(1, "student"),
  c: nextSheet, m: () => press("marks"), r: () => press("back"), Escape: () => { bar.hidden = true; },
};
document.addEventListener("key", (event) => {
  if (!KEYS[event.detail]) return;
  event.preventDefault();
  KEYS[event.detail]();
});

// Side by side: the others follow the one that is scrolled, by the part of its length that is above.
let leader = null;
for (const type of ["pointerenter", "focusin", "wheel", "touchstart"]) {
  for (const response of document.querySelectorAll(".several .response")) {
    response.addEventListener(type, () => { leader = response; }, { passive: true });
  }
}
for (const response of document.querySelectorAll(".several .response")) {
  response.addEventListener("scroll", () => {
    if (leader && leader !== response) return;
    const room = response.scrollHeight - response.clientHeight;
    for (const other of response.closest(".sheets").querySelectorAll(".response")) {
      if (other !== response) other.scrollTop = (response.scrollTop / room) * (other.scrollHeight - other.clientHeight);
    }
  }, { passive: true });
}

// A deep link: #sheet.span
function follow() {
  const [sheet, span] = decodeURIComponent(location.hash.slice(1)).split(".");
  if (span) go(spansOf(document.getElementById(sheet) ?? document.createElement("p"))[span - 1]);
}
addEventListener("hashchange", follow);
follow();
