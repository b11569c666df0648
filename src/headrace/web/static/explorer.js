// The log explorer beyond plain HTML: the histogram and its brush, stepping through events, what is done with one.
"use strict";

const eventRows = () => [...document.querySelectorAll("#events tbody tr[data-id]")];

// What live mode needs of the rest.
const explorer = {};

(() => {
  const LEVELS = ["debug", "info", "warning", "error", "critical"];
  const narrow = () => matchMedia("(max-width: 820px)").matches;
  const UTC = (seconds) => new Date(seconds * 1000).toISOString();
  let plot = null;
  let around = false;  // The event that opens next shows what is around it.

  // -- period ----------------------------------------------------------------------------------------------------

  function choose(from, to) {
    const form = $("#search");
    for (const radio of form.querySelectorAll("[name=period]")) radio.checked = false;
    // With their zone: an hour that a clock shows twice is one.
    form.elements.from.value = UTC(from);
    form.elements.to.value = UTC(to);
    form.requestSubmit();
  }

  document.addEventListener("change", (event) => {
    if (event.target.name !== "period" || !event.target.closest("#time")) return;
    const form = event.target.form;
    form.elements.from.value = form.elements.to.value = "";
    $("#time").open = false;
    form.requestSubmit();
  });
  document.addEventListener("input", (event) => {
    if (!["from", "to"].includes(event.target.name) || !event.target.closest("#time")) return;
    for (const radio of event.target.form.querySelectorAll("[name=period]")) radio.checked = false;
  });
  // An address says only what is not empty.
  document.addEventListener("formdata", (event) => {
    if (event.target.id !== "search") return;
    for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
    if (!event.formData.has("from") && !event.formData.has("to")) event.formData.delete("zone");
  });

  // -- histogram -------------------------------------------------------------------------------------------------

  function bars(u, index, first, last) {
    const path = new Path2D();
    const [times, rows, below] = [u.data[0], u.data[index], shape.below[index]];
    const wide = u.valToPos(times[0] + shape.data.width, "x", true) - u.valToPos(times[0], "x", true);
    const gap = wide > 4 ? Math.max(1, Math.round(wide * 0.12)) : 0;
    for (let i = first; i <= last; i += 1) {
      const count = rows[i] - below[i];
      if (count <= 0) continue;
      const left = u.valToPos(times[i], "x", true);
      const [bottom, top] = [u.valToPos(below[i], "y", true), u.valToPos(rows[i], "y", true)];
      path.rect(left, Math.min(top, bottom - 1), Math.max(1, wide - gap), Math.max(1, bottom - top));
    }
    return { fill: path, stroke: null };
  }

  // What is drawn, as arrays that a plot keeps: new counts are put into them.
  const ends = { x: [0, 1], y: [0, 1] };
  let shape = null;

  function stack(data) {
    const sums = data.starts.map(() => 0);
    const stacked = [];
    const below = [null];
    for (const level of LEVELS) {
      below.push([...sums]);
      data.series[level].forEach((rows, i) => { sums[i] += rows; });
      stacked.push([...sums]);
    }
    const most = Math.max(1, ...sums);
    [ends.x[0], ends.x[1]] = [data.starts[0], data.starts[data.starts.length - 1] + data.width];
    ends.y[1] = most * 1.04;
    shape = { data, below, most };
    return [data.starts, ...stacked];
  }

  function draw() {
    const place = $("[data-histogram]");
    const data = place && window.uPlot ? JSON.parse(place.dataset.histogram) : null;
    if (!data || !data.starts.length) {
      plot = null;
      return;
    }
    const columns = stack(data);
    plot = plotted($(".plot", place), columns, {
      ...ends,
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      axes: axes(() => ends.x[1] - ends.x[0], () => shape.most),
      series: [{}, ...LEVELS.map((level) => ({ label: level, fill: colour(level), paths: bars, points: { show: false } }))],
      hooks: {
        setCursor: [(u) => tell(u, shape.data)],
        setSelect: [(u) => brush(u)],
      },
    });
    plot.over.addEventListener("click", (event) => pick(event, shape.data));
  }

  // Put new counts into the plot that stands: no flicker, and the cursor stays where it is.
  function redraw(counts) {
    const place = $("[data-histogram]");
    place.dataset.histogram = counts;
    const data = JSON.parse(counts);
    if (!plot || !place.contains(plot.root) || !data.starts.length) draw();
    else plot.setData(stack(data));
  }

  function at(left, data) {
    return Math.floor((plot.posToVal(left, "x") - data.starts[0]) / data.width);
  }

  function tell(u, data) {
    const index = u.cursor.left >= 0 ? at(u.cursor.left, data) : -1;
    const place = $("#bucket");
    if (!place) return;
    if (index < 0 || index >= data.starts.length) {
      place.textContent = "";
      return;
    }
    const rows = LEVELS.filter((level) => data.series[level][index]).map((level) => `${level} ${data.series[level][index]}`);
    place.textContent = `${moment(data.starts[index])}  ${rows.join(", ") || "no events"}`;
  }

  // With Shift held, a brushed stretch is compared with all that the histogram shows.
  let compared = false;
  document.addEventListener("mousedown", (event) => { compared = event.shiftKey; }, true);
  function differ(from, to, u) {
    const [first, last] = [u.scales.x.min, u.scales.x.max];
    const query = new URLSearchParams({ from: UTC(from), to: UTC(to), base_from: UTC(first), base_to: UTC(last) });
    if ($("#q").value) query.set("q", $("#q").value);
    location.assign(`${$("#explorer").dataset.path.replace(/logs$/, "differences")}?${query}`);
  }

  let brushed = false;
  function brush(u) {
    if (u.select.width < 4) return;
    brushed = true;
    const [from, to] = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
    if (compared) differ(Math.floor(from), Math.ceil(to), u);
    else choose(Math.floor(from), Math.ceil(to));
  }

  function pick(event, data) {
    if (brushed) {
      brushed = false;
      return;
    }
    const index = at(event.offsetX, data);
    if (index >= 0 && index < data.starts.length && data.width > 1) {
      choose(data.starts[index], data.starts[index] + data.width - 1);
    }
  }

  // -- events ----------------------------------------------------------------------------------------------------

  const rows = eventRows;

  function mark(row) {
    for (const one of document.querySelectorAll("#events tr.here")) one.classList.remove("here");
    if (row) {
      row.classList.add("here");
      row.scrollIntoView({ block: "nearest" });
    }
  }

  function openRow(row) {
    mark(row);
    $("a.open", row).click();
  }

  function step(by) {
    const all = rows();
    const now = all.findIndex((row) => row.classList.contains("here"));
    const next = all[Math.min(all.length - 1, Math.max(0, now + by))];
    if (!next) return;
    if ($("#drawer .drawer")) openRow(next);
    else {
      mark(next);
      $("a.open", next).focus({ preventScroll: true });
    }
  }

  function close() {
    const link = $("#drawer [data-close]");
    if (!link) return false;
    history.pushState(history.state, "", link.href);
    $("#drawer").replaceChildren();
    return true;
  }

  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    if (event.target.closest("[data-close]")) {
      event.preventDefault();
      close();
      return;
    }
    const row = event.target.closest(".events tbody tr[data-id]");
    if (!row) return;
    if (row.closest("#events")) mark(row);
    if (!event.target.closest("a") && !getSelection().toString()) $("a", row).click();
  });

  document.addEventListener("keydown", (event) => {
    if (!$("#explorer")) return;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && !$("dialog[open]")) withControl(event);
    if (event.target.closest("input, textarea, select, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!singleKeys() && event.key !== "Escape") return;
    const acts = {
      "/": () => $("#q").focus(),
      s: () => $("#q").focus(),
      d: () => { $("#time").open = true; $("#time input:checked, #time input[name=from]").focus(); },
      j: () => step(1),
      k: () => step(-1),
      ArrowDown: () => step(1),
      ArrowUp: () => step(-1),
      Escape: close,
      f: whole,
      w: () => wrap(true),
    };
    if (event.key === "Escape" && $("details.menu[open]")) return;
    const act = acts[event.key];
    if (!act || (event.key.startsWith("Arrow") && !$("#events tr.here"))) return;
    event.preventDefault();
    act();
  });

  function withControl(event) {
    if (event.key === "/") {
      event.preventDefault();
      fold();
    }
    // Pressed again in the box, it is the browser's own search.
    if (event.key.toLowerCase() === "f" && $("#events") && !event.target.closest("#find")) {
      event.preventDefault();
      $("#find").hidden = false;
      $("#find input").select();
    }
  }

  function fold() {
    const all = [...document.querySelectorAll("#facets .facet")];
    const unfolds = all.every((one) => !one.open);
    // Counting each attribute costs a question; those that are open stay, the others open by themselves.
    for (const one of all) one.open = unfolds && !one.hasAttribute("hx-get");
  }

  function whole() {
    const chart = $(".histogram");
    if (document.fullscreenElement) document.exitFullscreen();
    else if (chart && chart.requestFullscreen) chart.requestFullscreen();
  }

  // How this browser likes it: long lines whole, and the fields beside the list or folded away.
  const WRAPPED = "headrace-wrapped";
  const RAIL = "headrace-rail";

  function wrap(turned) {
    const on = (localStorage.getItem(WRAPPED) === "on") !== turned;
    if (turned) localStorage.setItem(WRAPPED, on ? "on" : "off");
    if ($("#events")) $("#events").classList.toggle("wrapped", on);
    const button = $("[data-wrap]");
    if (button) button.setAttribute("aria-pressed", String(on));
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-fold]")) {
      event.preventDefault();  // It stands in a summary.
      fold();
    }
    if (event.target.closest("[data-whole]")) whole();
    if (event.target.closest("[data-wrap]")) wrap(true);
    const by = event.target.closest("[data-step]");
    if (by) step(Number(by.dataset.step));
  });
  document.addEventListener("click", (event) => {
    const summary = event.target.closest(".rail > summary");
    if (!summary || event.defaultPrevented || narrow()) return;
    localStorage.setItem(RAIL, summary.parentElement.open ? "folded" : "open");  // It turns after this.
  });

  // -- what is done with one line ----------------------------------------------------------------------------------

  // One set of buttons for all lines: it stands in the line that is pointed at, or that has the focus.
  const acts = $("#line-acts") && $("#line-acts").content.firstElementChild;

  function offerActs(event) {
    const row = event.target.closest && event.target.closest("#events tbody tr[data-id]");
    if (row && acts && acts.parentElement !== row.lastElementChild) row.lastElementChild.append(acts);
  }
  document.addEventListener("pointerover", offerActs);
  document.addEventListener("focusin", offerActs);

  const AROUND = 15 * 60;

  function permalink(row) {
    const time = Date.parse($("time", row).getAttribute("datetime")) / 1000;
    const query = new URLSearchParams({ from: UTC(time - AROUND), to: UTC(time + AROUND), event: row.dataset.id });
    return `${location.origin}${$("#explorer").dataset.path}?${query}`;
  }

  function act(event) {
    const button = event.target.closest("[data-line]");
    if (!button) return;
    event.preventDefault();
    event.stopPropagation();
    const row = button.closest("tr");
    if (button.dataset.line === "text") {
      const time = $("time", row).getAttribute("datetime");
      copy([time, ...[...row.cells].slice(1).map((cell) => cell.textContent.trim())].filter(Boolean).join("  "));
    } else if (button.dataset.line === "link") copy($(".project", row) ? $("a.open", row).href : permalink(row));
    else {
      around = true;
      openRow(row);
    }
  }
  document.addEventListener("click", act, true);

  // -- find in what is loaded ------------------------------------------------------------------------------------

  let looked = "";

  function find(by) {
    const text = $("#find input").value.toLowerCase();
    const fitting = text ? rows().filter((row) => row.textContent.toLowerCase().includes(text)) : [];
    const before = fitting.findIndex((row) => row.classList.contains("found"));
    for (const row of rows()) row.classList.remove("found");
    $("#find output").textContent = text && !fitting.length ? "none" : "";
    if (!fitting.length) return;
    const place = text === looked && before >= 0 ? (before + by + fitting.length) % fitting.length : 0;
    looked = text;
    fitting[place].classList.add("found");
    fitting[place].scrollIntoView({ block: "center" });
    $("#find output").textContent = `${place + 1} of ${fitting.length}`;
  }

  document.addEventListener("input", (event) => { if (event.target.closest("#find")) find(0); });
  document.addEventListener("keydown", (event) => {
    if (!event.target.closest("#find")) return;
    if (event.key === "Enter") {
      event.preventDefault();
      find(event.shiftKey ? -1 : 1);
    }
    if (event.key === "Escape") {
      $("#find").hidden = true;
      for (const row of rows()) row.classList.remove("found");
    }
  });

  // -- pieces that come and go -----------------------------------------------------------------------------------

  // The browser knows what is local here; a page without script offers UTC and what was chosen before.
  function offerZone() {
    const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const button = $("[data-local-zone]");
    if (!button || button.value || !local || ["UTC", UTC_ZONE].includes(local)) return;
    button.value = local;
    button.textContent = `${local} (local)`;
    button.hidden = false;
  }

  function settle() {
    draw();
    offerZone();
    const id = new URLSearchParams(location.search).get("event");
    const row = id && rows().find((one) => one.dataset.id === id);
    if (row) row.classList.add("here");
    wrap(false);
    for (const one of document.querySelectorAll("[data-wrap], [data-step]")) one.hidden = false;
    // On a narrow page the fields stand above the results: they open when asked for.
    const rail = $("#facets .rail");
    if (rail && (narrow() || localStorage.getItem(RAIL) === "folded")) rail.open = false;
  }

  document.addEventListener("htmx:afterSettle", (event) => {
    const target = event.detail.elt;
    if (target.id === "explorer" || target.matches(".histogram") || $("[data-histogram]", target)) settle();
    if (target.id === "drawer") {
      const drawer = $(".drawer", target);
      for (const button of target.querySelectorAll("[data-step]")) button.hidden = false;
      if (around && $("details.lazy", target)) {
        $("details.lazy", target).open = true;
        $("details.lazy", target).scrollIntoView();
      }
      around = false;
      if (drawer && !document.activeElement.closest("#events")) drawer.focus({ preventScroll: true });
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("popstate", () => {
    const id = new URLSearchParams(location.search).get("event");
    if (!id && $("#drawer")) $("#drawer").replaceChildren();
  });
  Object.assign(explorer, { redraw, close });
  settle();
})();
