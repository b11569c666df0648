// Live mode: new events as rows on top of the list, and the histogram that goes with them.
"use strict";

(() => {
  const MOST_ROWS = 5000;
  const MOST_AT_ONCE = 200;
  let source = null;
  let waiting = [];
  let lost = 0;
  let paused = false;
  let seen = 0;
  let since = 0;
  let newest = 0;

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
    source.addEventListener("row", (event) => { waiting.push(event.data); came(1); });
    source.addEventListener("lost", (event) => {
      lost += Number(event.data);
      came(Number(event.data));
    });
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
    cell.colSpan = $("#events colgroup").children.length;
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
    const known = new Set(eventRows().map((row) => row.dataset.id));
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
      explorer.close();
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

  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || !source || !singleKeys() || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog, a, button, summary")) return;
    event.preventDefault();
    pause();
  });

  // -- the histogram and the total ---------------------------------------------------------------------------------

  // Counted again when something came, and then as long after as it was quiet: what was told live is found a little later,
  // and time moves on. A slow count is asked for less often.
  const OFTEN = 3000;
  const SELDOM = 30000;
  const SHARE = 20;
  let next = 0;

  function came(number) {
    seen += number;
    newest = performance.now();
    if (Number.isFinite(next)) next = Math.min(next, newest + OFTEN);
  }

  async function count() {
    const place = $("[data-live]");
    const chart = $("[data-histogram]");
    const now = performance.now();
    if (!source || !chart || now < next || document.hidden || chart.matches(":active")) return;
    next = Infinity;
    const answer = await fetch(place.dataset.counts, { headers: { "HX-Request": "true" } }).catch(() => null);
    const done = performance.now();
    next = done + Math.max(OFTEN, SHARE * (done - now), Math.min(SELDOM, done - newest));
    if (!answer || !answer.ok || !chart.isConnected) return;
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = $("[data-histogram]", found);
    if (!fresh || !chart.isConnected) return;
    $(".totals", chart).replaceWith($(".totals", fresh));
    explorer.redraw(fresh.dataset.histogram);
  }
  setInterval(count, 500);

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.elt.id !== "explorer") return;
    next = performance.now() + OFTEN;
    live();
  });
  next = performance.now() + OFTEN;
  live();
})();
