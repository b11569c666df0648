// The page of one error: its hours as a chart. Without it the page works as plain HTML.
"use strict";

(() => {
  const place = $("[data-hours]");
  if (!window.uPlot) return;
  const [starts, counts] = JSON.parse(place.dataset.hours);
  const end = starts[starts.length - 1] + 3600;
  const most = Math.max(1, ...counts);
  const box = document.createElement("div");
  box.className = "plot";
  $("svg", place).replaceWith(box);
  $(".for", place).textContent = `the last ${Math.round(starts.length / 24)} days`;

  function draw() {
    plotted(box, [starts, counts], {
      x: [starts[0], end],
      y: [0, most * 1.04],
      axes: axes(() => end - starts[0], () => most),
      series: [{}, { fill: colour("accent"), width: 0, paths: uPlot.paths.bars({ size: [1, 60, 1], align: 1 }), points: { show: false } }],
      hooks: { setCursor: [tell] },
    });
  }

  function tell(u) {
    const i = u.cursor.idx;
    $("output", place).textContent = i === null || i === undefined ? "" : `${moment(starts[i]).slice(0, 16)} UTC: ${counts[i]}`;
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
