// The one-file page: which part is shown, by the address; filters and order without a server. One of a comparison has
// the comparison in the place of the list, and neither filters nor charts of a run.

const list = document.getElementById("list");
const charts = document.getElementById("charts");
const problems = [...document.querySelectorAll(".problem")];

function route() {
  const id = decodeURIComponent(location.hash.slice(1)).split(".")[0];
  const target = id ? document.getElementById(id) : null;
  const problem = target?.closest(".problem") ?? null;
  list.hidden = Boolean(problem) || (charts && target === charts);
  if (charts) charts.hidden = target !== charts;
  for (const each of problems) each.hidden = each !== problem;
  if (problem) {
    const sheets = [...problem.querySelectorAll(".sheet")];
    const only = target.classList.contains("sheet");
    for (const sheet of sheets) sheet.hidden = only && sheet !== target;
    problem.querySelector(".sheets").classList.toggle("several", sheets.length > 1 && !only);
  }
  // After the browser has scrolled to the target; a span's place is found by trace.js.
  if (!location.hash.includes(".")) requestAnimationFrame(() => scrollTo({ top: 0, behavior: "instant" }));
}
addEventListener("hashchange", route);
route();

const filters = document.getElementById("filters");
const found = document.getElementById("found");
const entries = [...document.querySelectorAll(".entry")].map((entry, order) => ({
  entry,
  order,
  traces: [...entry.querySelectorAll(".traces > li")],
  section: document.getElementById(entry.dataset.problem.slice(1)),
}));

function words(text) {
  return [...text.toLowerCase().matchAll(/"([^"]+)"|(\S+)/g)].map(([, phrase, word]) => phrase ?? word);
}

// As the server has it: all words in the question, or all in the response.
function holds(texts, wanted) {
  return texts.some((text) => wanted.every((word) => text.toLowerCase().includes(word)));
}

function apply() {
  const asked = new FormData(filters);
  const among = (name, value) => !asked.getAll(name).length || asked.getAll(name).includes(value);
  const between = (name, value) => (!asked.get(`${name}_from`) || value >= Number(asked.get(`${name}_from`))) &&
    (!asked.get(`${name}_to`) || value <= Number(asked.get(`${name}_to`)));
  const share = ({ dataset }) => parseInt(dataset[asked.get("author")], 10);
  const wanted = words(asked.get("search"));
  let count = 0;
  let problemCount = 0;
  for (const { traces, entry, section } of entries) {
    const question = section.querySelector(".question").textContent + section.querySelector("h1").textContent;
    let left = 0;
    for (const trace of traces) {
      const { variant, status, verdict, tokens } = trace.dataset;
      const response = document.getElementById(trace.querySelector("a").hash.slice(1)).querySelector(".response")?.textContent ?? "";
      trace.hidden = !(among("variant", variant) && among("status", status) && among("verdict", verdict) &&
        between("share", share(trace)) && between("tokens", Number(tokens)) && (!wanted.length || holds([question, response], wanted)));
      left += !trace.hidden;
    }
    entry.hidden = !left;
    count += left;
    problemCount += left > 0;
  }
  const tokens = ({ dataset }) => Number(dataset.tokens);
  const key = {
    order: () => 0,
    longest: (traces) => -Math.max(...traces.map(tokens)),
    shortest: (traces) => Math.min(...traces.map(tokens)),
    most: (traces) => -Math.max(...traces.map(share)),
    least: (traces) => Math.min(...traces.map(share)),
    newest: (traces) => -Math.max(...traces.map(({ dataset }) => Number(dataset.finished))),
  }[asked.get("sort")];
  const value = ({ traces }) => key(traces.filter((trace) => !trace.hidden));
  entries.sort((a, b) => value(a) - value(b) || a.order - b.order);
  entries[0]?.entry.parentNode.append(...entries.map(({ entry }) => entry));
  found.textContent = `${problemCount} problem${problemCount === 1 ? "" : "s"}, ${count} trace${count === 1 ? "" : "s"}`;
}
filters?.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
filters?.addEventListener("change", apply);
