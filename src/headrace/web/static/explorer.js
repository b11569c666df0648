// The log explorer beyond plain HTML: the histogram and its brush, completion, stepping through events.
"use strict";

(() => {
  const LEVELS = ["debug", "info", "warning", "error", "critical"];
  const UTC = (seconds) => new Date(seconds * 1000).toISOString();
  let plot = null;

  // -- period ----------------------------------------------------------------------------------------------------

  function choose(from, to) {
    const form = $("#search");
    for (const radio of form.querySelectorAll("[name=period]")) radio.checked = false;
    form.elements.from.value = moment(from);
    form.elements.to.value = moment(to);
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
  });

  // -- histogram -------------------------------------------------------------------------------------------------

  function bars(u, index, first, last) {
    const path = new Path2D();
    const [times, rows, below] = [u.data[0], u.data[index], u.below[index]];
    const wide = u.valToPos(times[0] + u.width_s, "x", true) - u.valToPos(times[0], "x", true);
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

  function draw() {
    plot = null;
    const place = $("[data-histogram]");
    if (!place || !window.uPlot) return;
    const data = JSON.parse(place.dataset.histogram);
    if (!data.starts.length) return;
    const sums = data.starts.map(() => 0);
    const stacked = [];
    const below = [null];
    for (const level of LEVELS) {
      below.push([...sums]);
      data.series[level].forEach((rows, i) => { sums[i] += rows; });
      stacked.push([...sums]);
    }
    const end = data.starts[data.starts.length - 1] + data.width;
    const most = Math.max(1, ...sums);
    plot = plotted($(".plot", place), [data.starts, ...stacked], {
      x: [data.starts[0], end],
      y: [0, most * 1.04],
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      axes: axes(end - data.starts[0], most),
      series: [{}, ...LEVELS.map((level) => ({ label: level, fill: colour(level), paths: bars, points: { show: false } }))],
      hooks: {
        init: [(u) => { u.below = below; u.width_s = data.width; }],
        setCursor: [(u) => tell(u, data)],
        setSelect: [(u) => brush(u)],
      },
    });
    plot.over.addEventListener("click", (event) => pick(event, data));
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

  // -- completion ------------------------------------------------------------------------------------------------

  const SPACE = /[\s(]/;
  let asked = 0;
  const offers = () => [...document.querySelectorAll("#offers li")];

  function word(input) {
    const end = input.selectionStart;
    let start = end;
    while (start > 0 && !SPACE.test(input.value[start - 1])) start -= 1;
    return [start, end];
  }

  function hide() {
    asked += 1;
    const list = $("#offers");
    if (!list) return;
    list.hidden = true;
    list.replaceChildren();
    $("#q").setAttribute("aria-expanded", "false");
  }

  async function offer(input) {
    const [start, end] = word(input);
    const text = input.value.slice(start, end);
    const number = (asked += 1);
    if (text.length < 1 || text.startsWith('"')) {
      hide();
      return;
    }
    const query = new URLSearchParams(location.search);
    const kept = new URLSearchParams({ text });
    for (const name of ["period", "from", "to"]) if (query.get(name)) kept.set(name, query.get(name));
    const answer = await fetch(`${input.dataset.completion}?${kept}`, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!answer || !answer.ok || number !== asked) return;
    const list = $("#offers");
    list.innerHTML = await answer.text();
    const useful = offers().filter((one) => one.dataset.text !== text);
    list.hidden = useful.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
  }

  function take(input, item) {
    const [start, end] = word(input);
    const text = item.dataset.text;
    const tail = text.endsWith(":") ? "" : " ";
    input.setRangeText(text + tail, start, end, "end");
    hide();
    if (text.endsWith(":")) offer(input);
    input.focus();
  }

  function move(step) {
    const all = offers();
    if (!all.length) return;
    const now = all.findIndex((one) => one.getAttribute("aria-selected") === "true");
    const next = (now + step + all.length) % all.length;
    all.forEach((one, i) => one.setAttribute("aria-selected", String(i === next)));
    $("#q").setAttribute("aria-activedescendant", all[next].id);
  }

  document.addEventListener("input", (event) => {
    if (event.target.id !== "q") return;
    clearTimeout(offer.timer);
    offer.timer = setTimeout(() => offer(event.target), 120);
  });
  document.addEventListener("mousedown", (event) => {
    const item = event.target.closest("#offers li");
    if (!item) return;
    event.preventDefault();
    take($("#q"), item);
  });
  document.addEventListener("focusout", (event) => { if (event.target.id === "q") hide(); });
  document.addEventListener("submit", (event) => { if (event.target.id === "search") hide(); });

  function inBox(event) {
    const input = event.target;
    const open = !$("#offers").hidden;
    const chosen = offers().find((one) => one.getAttribute("aria-selected") === "true");
    if (event.key === "Escape") {
      if (open) hide();
      else input.blur();
    } else if (open && event.key === "ArrowDown") move(1);
    else if (open && event.key === "ArrowUp") move(-1);
    else if (open && event.key === "Tab" && offers().length) take(input, chosen || offers()[0]);
    else if (open && event.key === "Enter" && chosen && !event.ctrlKey) take(input, chosen);
    else if (event.key === "Enter") {
      clearTimeout(offer.timer);
      hide();
      if (event.ctrlKey || event.metaKey) input.form.requestSubmit();
      return;
    } else return;
    event.preventDefault();
  }

  // -- events ----------------------------------------------------------------------------------------------------

  const rows = () => [...document.querySelectorAll("#events tbody tr[data-id]")];

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
    if (event.target.id === "q") {
      inBox(event);
      return;
    }
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
      " ": () => { if (source) pause(); },
      f: whole,
    };
    if (event.key === "Escape" && $("details.menu[open]")) return;
    const act = acts[event.key];
    if (event.key === " " && (!source || event.target.closest("a, button, summary"))) return;
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

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-fold]")) {
      event.preventDefault();  // It stands in a summary.
      fold();
    }
    if (event.target.closest("[data-whole]")) whole();
  });

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

  // -- live ------------------------------------------------------------------------------------------------------

  const MOST_ROWS = 5000;
  const MOST_AT_ONCE = 200;
  let source = null;
  let waiting = [];
  let lost = 0;
  let paused = false;
  let seen = 0;
  let since = 0;

  function live() {
    const place = $("[data-live]");
    if (source) source.close();
    source = null;
    waiting = [];
    lost = seen = 0;
    paused = false;
    for (const link of document.querySelectorAll(".live")) link.hidden = !window.EventSource;
    if (!place) return;
    since = performance.now();
    source = new EventSource(place.dataset.live);
    const opened = source;
    source.addEventListener("row", (event) => { waiting.push(event.data); seen += 1; });
    source.addEventListener("lost", (event) => { lost += Number(event.data); seen += Number(event.data); });
    source.addEventListener("end", (event) => { opened.close(); tellLive(`Ended: ${event.data}`); source = null; });
    source.addEventListener("error", () => { if (source === opened) tellLive(opened.readyState === 2 ? "Not connected" : "Connecting again…"); });
    source.addEventListener("begin", () => tellLive("Live"));
  }

  function tellLive(text) {
    const place = $("[data-live] span");
    if (place) place.textContent = text;
  }

  function note(text) {
    const row = document.createElement("tr");
    const cell = document.createElement("td");
    row.className = "lost";
    cell.colSpan = 4;
    cell.textContent = text;
    row.append(cell);
    return row;
  }

  function flow() {
    const body = $("#events tbody");
    if (!source || !body) return;
    const held = paused || scrollY > 150 || Boolean($("#drawer .drawer"));
    const button = $("[data-pause]");
    button.textContent = held ? `Resume (${waiting.length} new)` : "Pause";
    if (waiting.length > MOST_ROWS) {
      lost += waiting.length - MOST_ROWS;
      waiting = waiting.slice(-MOST_ROWS);
    }
    if (source.readyState === 1) {
      const seconds = Math.max(1, (performance.now() - since) / 1000);
      tellLive(`Live · ${(seen / seconds).toFixed(seen / seconds < 10 ? 1 : 0)} a second`);
      if (seconds > 10) [seen, since] = [seen / 2, since + (performance.now() - since) / 2];
    }
    if (held || (!waiting.length && !lost)) return;
    const all = waiting.splice(0);
    const shownNow = all.slice(-MOST_AT_ONCE);
    lost += all.length - shownNow.length;
    const added = document.createElement("template");
    added.innerHTML = shownNow.reverse().join("");
    const known = new Set(rows().map((row) => row.dataset.id));
    const rows_ = [...added.content.children].filter((row) => !known.has(row.dataset.id));
    if (lost) rows_.push(note(`${lost} ${lost === 1 ? "event is" : "events are"} not shown here: they came faster than a page can show them.`));
    lost = 0;
    body.prepend(...rows_);
    for (const row of rows_) if (window.htmx) window.htmx.process(row);
    if (body.children.length <= MOST_ROWS) return;
    // The list ends where rows went: going on from the old end would leave a gap.
    for (const row of [...body.children].slice(MOST_ROWS)) row.remove();
    const end = note("Older events left this page while it was live.");
    end.className = "more";
    body.lastElementChild.replaceWith(end);
  }
  setInterval(flow, 250);

  function pause() {
    const held = paused || scrollY > 150 || Boolean($("#drawer .drawer"));
    paused = !held;
    if (held) {
      close();
      scrollTo(0, 0);
    }
  }
  document.addEventListener("click", (event) => { if (event.target.closest("[data-pause]")) pause(); });

  // A page that nobody looks at for a while asks for nothing.
  let hidden = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(() => { if (source) { source.close(); source = null; tellLive("Stopped: this page was out of sight"); } }, 300000);
    else if (!source && $("[data-live]")) live();
  });

  // -- pieces that come and go -----------------------------------------------------------------------------------

  function settle() {
    draw();
    const id = new URLSearchParams(location.search).get("event");
    const row = id && rows().find((one) => one.dataset.id === id);
    if (row) row.classList.add("here");
    // On a narrow page the fields stand above the results: they open when asked for.
    const rail = $("#facets .rail");
    if (rail && matchMedia("(max-width: 820px)").matches) rail.open = false;
  }

  document.addEventListener("htmx:afterSettle", (event) => {
    const target = event.detail.elt;
    if (target.id === "explorer") live();
    if (target.id === "explorer" || target.matches(".histogram") || $("[data-histogram]", target)) settle();
    if (target.id === "drawer") {
      const drawer = $(".drawer", target);
      if (drawer && !document.activeElement.closest("#events")) drawer.focus({ preventScroll: true });
    }
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    // A search that is understood again takes the complaint about the last one away with the rest of the page.
    if (event.detail.target.id === "explorer") hide();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("popstate", () => {
    const id = new URLSearchParams(location.search).get("event");
    if (!id && $("#drawer")) $("#drawer").replaceChildren();
  });
  settle();
  live();
})();
