// Draws the charts of a page with uPlot, and follows a run that is being written. Their texts stand in figures.py.

const COLOURS = ["--student", "--teacher", "--unknown", "--good", "--bad", "--link"];
const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3], [1, 4], [12, 5]];
const HEIGHT = 260;
const EVERY = 3000; // milliseconds between looks at a run

const colour = (name) => {
  // uPlot paints on a canvas, which knows no light-dark(): let the browser work it out.
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

const WHOLE = [1, 2, 5].flatMap((step) => Array.from({ length: 8 }, (_, power) => step * 10 ** power)).sort((a, b) => a - b);
const drawn = new Map(); // of each place: the chart and what it shows

function draw(place, figures) {
  drawn.get(place)?.chart.destroy();
  const bars = figures.kind === "bars";
  const axis = { stroke: colour("--ink"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const series = figures.names.map((name, number) => {
    const hue = colour(COLOURS[number % COLOURS.length]);
    const dash = DASHES[number % DASHES.length];
    const paths = bars ? uPlot.paths.stepped({ align: 1 }) : undefined;
    return { label: name, stroke: hue, width: 2, dash, paths, points: { show: figures.at.length < 2 } };
  });
  const chart = new uPlot({
    width: place.clientWidth,
    height: HEIGHT,
    scales: { x: { time: figures.axis === "time", range: bars ? edges : undefined }, y: { range: (_, __, high) => [0, Math.max(high * 1.05, 1)] } },
    axes: [
      figures.axis === "time" ? axis : { ...axis, label: figures.axis, labelSize: 20, incrs: WHOLE },
      { ...axis, label: "traces", labelSize: 20, incrs: WHOLE, size: 60 },
    ],
    series: [{ label: figures.axis }, ...series],
  }, data(figures), place);
  drawn.set(place, { chart, figures });
}

const edges = (_, low, high) => [low, high];

function data({ at, values, kind }) {
  if (kind !== "bars") return [at, ...values];
  // The last bin needs a right edge too.
  const width = at.length > 1 ? at[1] - at[0] : 1;
  return [[...at, at.at(-1) + width], ...values.map((counts) => [...counts, counts.at(-1)])];
}

for (const place of document.querySelectorAll(".plot")) {
  draw(place, JSON.parse(place.querySelector("script").textContent));
}

const redraw = () => drawn.forEach(({ figures }, place) => draw(place, figures));
document.addEventListener("themechange", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const { chart } = drawn.get(target);
    const width = target.clientWidth;
    if (width && width !== chart.width) chart.setSize({ width, height: HEIGHT });
  }
});
for (const place of drawn.keys()) sizes.observe(place);

const live = document.getElementById("live");
async function look() {
  const answer = await fetch(live.dataset.figures);
  if (!answer.ok) return;
  const { pending, traces, charts } = await answer.json();
  live.textContent = `${traces.toLocaleString()} traces, ${pending.toLocaleString()} not finished.`;
  for (const [place] of drawn) {
    const figures = charts[place.dataset.title];
    if (figures) draw(place, figures);
  }
  if (pending) setTimeout(look, EVERY);
}
if (live?.dataset.figures) setTimeout(look, EVERY);
