// What charts share: the theme's colours, numbers and moments as text, a plot that fits its box.
"use strict";

// A canvas knows no variables: an element that wears the colour tells it.
function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const short = (n) => Intl.NumberFormat("en", { notation: "compact" }).format(n);

// Times are UTC, but in the explorer in the zone that its page says.
const UTC_ZONE = "Etc/UTC";
const zone = () => $("#explorer")?.dataset.zone || UTC_ZONE;
const parts = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
const writers = new Map();

function moment(seconds) {
  const name = zone();
  if (name === UTC_ZONE) return new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
  if (!writers.has(name)) writers.set(name, new Intl.DateTimeFormat("sv-SE", { timeZone: name, hourCycle: "h23", ...parts }));
  return writers.get(name).format(new Date(seconds * 1000));
}

// The part of a moment that tells the ticks of an axis apart; days stand where they begin.
function tick(seconds, span) {
  const text = moment(seconds);
  if (span <= 2 * 86400) return text.slice(11, span < 600 ? 19 : 16);
  return text.slice(5, span > 10 * 86400 || text.endsWith("00:00:00") ? 10 : 16);
}

// Axes of plain bars: moments below, nothing and the most beside them. Both are functions: what is drawn may grow.
function axes(span, most) {
  const axis = { stroke: colour("soft"), font: "11px system-ui", grid: { show: false }, ticks: { stroke: colour("line"), size: 4 } };
  return [
    { ...axis, size: 26, values: (u, all) => all.map((one) => tick(one, span())) },
    { ...axis, size: 44, splits: () => [0, most()], values: (u, all) => all.map(short) },
  ];
}

const plots = new Map();
const fit = new ResizeObserver((resized) => {
  for (const { target } of resized) plots.get(target)?.setSize({ width: target.clientWidth, height: target.clientHeight });
});

// Draw into a box, in place of what is there; `x` and `y` are the ends of the scales. Null without the library.
function plotted(box, columns, { x, y, ...options }) {
  for (const [one, plot] of plots) {
    if (one !== box && one.isConnected) continue;
    plot.destroy();
    plots.delete(one);
    fit.unobserve(one);
  }
  if (!window.uPlot) return null;
  const plot = new uPlot({
    width: box.clientWidth,
    height: box.clientHeight,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone()),
    padding: [6, 20, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: { x: { range: () => x }, y: { range: () => y } },
    ...options,
  }, columns, box);
  plots.set(box, plot);
  fit.observe(box);
  return plot;
}
