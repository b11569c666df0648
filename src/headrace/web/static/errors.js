// The pages of errors: the list by keyboard, the hours of one error as a chart. Without it both work as plain HTML.
"use strict";

(() => {
  const list = document.querySelector("[data-errors]");
  if (list) {
    const rows = [...list.querySelectorAll("tbody tr")];
    const tick = (row) => row.querySelector("input[type=checkbox]");
    const all = list.querySelector("[data-tick-all]");
    let at = -1;

    const count = () => {
      const ticked = rows.filter((row) => tick(row).checked).length;
      list.querySelector("[data-ticked]").textContent = ticked ? `${ticked} ticked` : "";
      all.checked = ticked === rows.length;
    };
    const go = (next) => {
      if (rows[at]) rows[at].classList.remove("here");
      at = Math.max(0, Math.min(rows.length - 1, next));
      rows[at].classList.add("here");
      rows[at].scrollIntoView({ block: "nearest" });
      rows[at].querySelector("a.title").focus({ preventScroll: true });
    };
    all.hidden = false;
    all.addEventListener("change", () => {
      for (const row of rows) tick(row).checked = all.checked;
      count();
    });
    list.addEventListener("change", count);
    count();

    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      const press = {
        j: () => go(at + 1),
        k: () => go(at - 1),
        ArrowDown: () => go(at + 1),
        ArrowUp: () => go(at - 1),
        x: () => { if (rows[at]) { tick(rows[at]).checked = !tick(rows[at]).checked; count(); } },
        o: () => { if (rows[at]) rows[at].querySelector("a.title").click(); },
        "/": () => document.querySelector("[data-search]").focus(),
      }[event.key];
      const button = list.querySelector(`[data-bulk="${CSS.escape(event.key)}"]`);
      if (!press && !button) return;
      event.preventDefault();
      if (press) {
        press();
        return;
      }
      // With nothing ticked, the row that one stands on is meant.
      if (!rows.some((row) => tick(row).checked) && rows[at]) tick(rows[at]).checked = true;
      if (rows.some((row) => tick(row).checked)) button.click();
      else say("Tick the errors first");
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== "[" && event.key !== "]") return;
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const link = document.querySelector(`a[data-key="${event.key}"]`);
    if (link) link.click();
  });

  const place = document.querySelector("[data-hours]");
  if (!place || !window.uPlot) return;
  const [starts, counts] = JSON.parse(place.dataset.hours);
  const box = document.createElement("div");
  box.className = "plot";
  place.querySelector("svg").replaceWith(box);
  place.querySelector(".for").textContent = `the last ${Math.round(starts.length / 24)} days`;
  const said = place.querySelector("output");

  // A canvas knows no variables: an element that wears the colour tells it.
  const colour = (name) => {
    const probe = document.createElement("i");
    probe.className = `ink-${name}`;
    place.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const draw = () => {
    const axis = { stroke: colour("soft"), font: "11px system-ui", grid: { show: false }, ticks: { stroke: colour("line"), size: 4 } };
    const most = Math.max(1, ...counts);
    return new uPlot({
      width: box.clientWidth,
      height: box.clientHeight,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      padding: [6, 16, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { range: () => [starts[0], starts[starts.length - 1] + 3600] }, y: { range: () => [0, most * 1.04] } },
      axes: [
        { ...axis, size: 26, values: (u, all) => all.map((seconds) => new Date(seconds * 1000).toISOString().slice(5, 10)) },
        { ...axis, size: 44, splits: () => [0, most], values: (u, all) => all.map((n) => Intl.NumberFormat("en", { notation: "compact" }).format(n)) },
      ],
      series: [{}, { fill: colour("accent"), width: 0, paths: uPlot.paths.bars({ size: [1, 60, 1], align: 1 }), points: { show: false } }],
      hooks: {
        setCursor: [(u) => {
          const index = u.cursor.idx;
          said.textContent = index === null || index === undefined ? "" : `${new Date(starts[index] * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC: ${counts[index]}`;
        }],
      },
    }, [starts, counts], box);
  };
  const plot = draw();
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box);
})();
