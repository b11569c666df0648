// Charts of plain pages: lines or stacked bars over time, from data-chart; and the alert form's fields by kind.
"use strict";

(() => {
  // Bars stand on those of the series before, so that the last series drawn is the sum.
  function stacked(data) {
    const sums = data.x.map(() => 0);
    return data.series.map((one) => one.values.map((value, i) => (sums[i] += value || 0)));
  }

  function draw(place) {
    const data = JSON.parse(place.dataset.chart);
    if (!window.uPlot || !data.x.length) return;
    const columns = data.stacked ? stacked(data) : data.series.map((one) => one.values);
    const wide = data.width || (data.x.length > 1 ? data.x[1] - data.x[0] : 60);
    const end = data.x[data.x.length - 1] + (data.stacked ? wide : 0);
    const bars = uPlot.paths.bars({ align: 1, size: [0.9, 100] });
    const series = data.series.map((one) => ({
      label: one.label,
      stroke: colour(one.colour),
      width: data.stacked ? 0 : 1.5,
      fill: data.stacked ? colour(one.colour) : undefined,
      paths: data.stacked ? bars : undefined,
      points: { show: !data.stacked && data.x.length < 40 },
    }));
    // What stands on top is drawn first, so that those below it stay seen.
    if (data.stacked) {
      series.reverse();
      columns.reverse();
    }
    const axis = { stroke: colour("soft"), font: "11px system-ui", grid: { stroke: colour("line"), width: 0.5 }, ticks: { show: false } };
    const counts = columns.flat().filter((n) => n !== null);
    const most = Math.max(data.limit ?? 0, ...counts);
    const least = Math.min(0, data.limit ?? 0, ...counts);
    const room = (most - least) * 0.05 || 1;
    const told = $("[data-told]", place.parentElement);
    plotted(place, [data.x, ...columns], {
      x: [data.x[0], Math.max(end, data.x[0] + 1)],
      y: [least, most + room],
      cursor: { y: false, drag: { x: false, y: false } },
      axes: [{ ...axis, size: 26, values: (u, all) => all.map((one) => tick(one, end - data.x[0])) }, { ...axis, size: 46, values: (u, all) => all.map(short) }],
      series: [{}, ...series],
      hooks: {
        draw: [(u) => limit(u, data.limit)],
        setCursor: [(u) => tell(u, data, told)],
      },
    });
  }

  function limit(u, at) {
    if (at === undefined || at === null) return;
    const y = u.valToPos(at, "y", true);
    u.ctx.save();
    u.ctx.strokeStyle = colour("error");
    u.ctx.setLineDash([6, 4]);
    u.ctx.beginPath();
    u.ctx.moveTo(u.bbox.left, y);
    u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
    u.ctx.stroke();
    u.ctx.restore();
  }

  function tell(u, data, told) {
    if (!told) return;
    const i = u.cursor.idx;
    if (i === null || i === undefined) {
      told.textContent = "";
      return;
    }
    const values = data.series.filter((one) => one.values[i]).map((one) => `${one.label} ${short(one.values[i])}`);
    told.textContent = `${moment(data.x[i]).slice(0, 16)}  ${values.join(", ") || "nothing"}`;
  }

  function drawAll(within = document) {
    for (const place of within.querySelectorAll("[data-chart]")) draw(place);
  }

  document.addEventListener("htmx:afterSettle", (event) => drawAll(event.detail.elt.parentElement || document));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  document.addEventListener("change", (event) => {
    if (event.target.name === "kind" && event.target.form.dataset.kind) event.target.form.dataset.kind = event.target.value;
  });
  drawAll();
})();
