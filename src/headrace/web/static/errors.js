// The list of errors by keyboard. Without it the list works as plain HTML.
"use strict";

(() => {
  const list = $("[data-errors]");
  if (!list) return;
  const rows = [...list.querySelectorAll("tbody tr")];
  const tick = (row) => $("input[type=checkbox]", row);
  const all = $("[data-tick-all]", list);
  let at = -1;

  const count = () => {
    const ticked = rows.filter((row) => tick(row).checked).length;
    $("[data-ticked]", list).textContent = ticked ? `${ticked} ticked` : "";
    all.checked = ticked === rows.length;
  };
  const go = (next) => {
    if (rows[at]) rows[at].classList.remove("here");
    at = Math.max(0, Math.min(rows.length - 1, next));
    rows[at].classList.add("here");
    rows[at].scrollIntoView({ block: "nearest" });
    $("a.title", rows[at]).focus({ preventScroll: true });
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
    if ($("dialog[open]") || !singleKeys()) return;
    const press = {
      j: () => go(at + 1),
      k: () => go(at - 1),
      ArrowDown: () => go(at + 1),
      ArrowUp: () => go(at - 1),
      x: () => { if (rows[at]) { tick(rows[at]).checked = !tick(rows[at]).checked; count(); } },
      o: () => { if (rows[at]) $("a.title", rows[at]).click(); },
      "/": () => $("[data-search]").focus(),
    }[event.key];
    const button = $(`[data-bulk="${CSS.escape(event.key)}"]`, list);
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
})();
