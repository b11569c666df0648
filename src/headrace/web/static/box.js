// The search box: what the word that is being typed may become.
"use strict";

(() => {
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

  // What was offered for less of the word may not fit it any more: nobody is to take that.
  function narrow(input) {
    const text = input.value.slice(...word(input)).toLowerCase();
    for (const one of offers()) if (!text || !one.dataset.text.toLowerCase().startsWith(text)) one.remove();
    if (!offers().length) hide();
  }

  document.addEventListener("input", (event) => {
    if (event.target.id !== "q") return;
    narrow(event.target);
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

  document.addEventListener("keydown", (event) => { if (event.target.id === "q") inBox(event); });
  document.addEventListener("htmx:beforeSwap", (event) => { if (event.detail.target.id === "explorer") hide(); });
})();
