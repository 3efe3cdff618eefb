// Draws the charts of a page with uPlot, and follows a run that is being written. Their texts stand in figures.py and
// comparison.py.

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
  const { kind, digits, labels, names, at } = figures;
  const bars = kind === "bars";
  const points = kind === "points";
  const axis = { stroke: colour("--ink"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const hues = names.map((_, number) => colour(COLOURS[number % COLOURS.length]));
  const series = names.map((name, number) => {
    // Once the hues are used up they come again with other dashes.
    const dash = points ? [] : DASHES[(number + Math.floor(number / COLOURS.length)) % DASHES.length];
    const paths = points ? () => null : bars ? uPlot.paths.stepped({ align: 1 }) : undefined;
    const dots = !points && (at.length < 2 || (kind === "line" && Boolean(figures.bounds?.length)));
    const value = (_, shown) => (shown === null || shown === undefined ? "–" : shown.toFixed(digits));
    return { label: name, stroke: hues[number], width: 2, dash, paths, value, points: { show: dots } };
  });
  const named = labels?.length ? { splits: () => at, values: () => labels.map((label) => label.replaceAll(" ", "\n")), size: 64, grid: { show: false } } : {};
  const ranges = { bars: edges, points: (_, low, high) => [low - 0.5, high + 0.5] };
  const chart = new uPlot({
    width: place.clientWidth,
    height: HEIGHT,
    scales: {
      x: { time: figures.axis === "time", range: ranges[kind] ?? (figures.bounds?.length ? apart : undefined) },
      y: { range: (_, __, high) => [0, top(figures, high)] },
    },
    axes: [
      figures.axis === "time" ? axis : { ...axis, label: figures.axis, labelSize: 20, incrs: bars ? WHOLE : undefined, ...named },
      { ...axis, label: figures.unit, labelSize: 20, incrs: digits ? undefined : WHOLE, size: 60 },
    ],
    series: [{ label: figures.axis, value: (_, shown) => labels?.[shown] ?? shown?.toLocaleString() ?? "–" }, ...series],
    hooks: { drawAxes: [(u) => shades(u, figures, hues)], draw: points ? [(u) => dots(u, figures, hues)] : [] },
  }, data(figures), place);
  drawn.set(place, { chart, figures });
}

const edges = (_, low, high) => [low, high];
const apart = (_, low, high) => [low - 0.03 * (high - low || 1), high + 0.03 * (high - low || 1)];
const top = ({ digits, bounds, chance }, high) =>
  Math.max(1.05 * Math.max(high ?? 0, ...(bounds ?? []).flat(2), ...(chance ?? []).flat()), digits ? 0.01 : 1);

// Between the bounds of each line.
function shades(u, { kind, at, bounds }, hues) {
  if (kind !== "line") return;
  (bounds ?? []).forEach((pairs, number) => {
    const there = at.map((x, place) => [u.valToPos(x, "x", true), pairs[place]]).filter(([, pair]) => pair);
    u.ctx.save();
    u.ctx.globalAlpha = 0.15;
    u.ctx.fillStyle = hues[number];
    u.ctx.beginPath();
    for (const [x, [low]] of there) u.ctx.lineTo(x, u.valToPos(low, "y", true));
    for (const [x, [, high]] of there.reverse()) u.ctx.lineTo(x, u.valToPos(high, "y", true));
    u.ctx.fill();
    u.ctx.restore();
  });
}

// Each value as a dot, its bounds as a bar through it, what chance comes to as a dash; series beside each other.
function dots(u, { at, values, bounds, chance }, hues) {
  const room = Math.abs(u.valToPos(1, "x", true) - u.valToPos(0, "x", true)) * 0.8 / values.length;
  const step = Math.min(room, 22 * devicePixelRatio);
  const y = (value) => u.valToPos(value, "y", true);
  u.ctx.save();
  u.ctx.lineWidth = 2 * devicePixelRatio;
  values.forEach((series, number) => {
    u.ctx.strokeStyle = u.ctx.fillStyle = hues[number];
    series.forEach((value, place) => {
      if (value === null) return;
      const x = u.valToPos(at[place], "x", true) + (number - (values.length - 1) / 2) * step;
      const stroke = (...ends) => { u.ctx.beginPath(); ends.forEach(([across, up]) => u.ctx.lineTo(across, up)); u.ctx.stroke(); };
      const pair = bounds?.[number]?.[place];
      const level = chance?.[number]?.[place] ?? null;
      if (pair) stroke([x, y(pair[0])], [x, y(pair[1])]);
      if (level !== null) stroke([x - step * 0.4, y(level)], [x + step * 0.4, y(level)]);
      u.ctx.beginPath();
      u.ctx.arc(x, y(value), 4 * devicePixelRatio, 0, 2 * Math.PI);
      u.ctx.fill();
    });
  });
  u.ctx.restore();
}

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
  live.textContent = `${traces.toLocaleString()} ${traces === 1 ? "trace" : "traces"}, ${pending.toLocaleString()} not finished.`;
  for (const [place] of drawn) {
    const figures = charts[place.dataset.title];
    if (figures) draw(place, figures);
  }
  if (pending) setTimeout(look, EVERY);
}
if (live?.dataset.figures) setTimeout(look, EVERY);
