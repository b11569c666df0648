// What every page does beyond plain HTML: copying, menus that close, keyboard shortcuts. Data comes from attributes.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);

function say(text) {
  const place = $("#said");
  place.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { place.textContent = ""; }, 1800);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https there is no clipboard; an old way still works there.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "hidden";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say("Copied");
}

// The whole address; of a view with the event that was opened in it since.
function shared(link) {
  const address = new URL(link.href);
  const open = new URLSearchParams(location.search).get("event");
  if (link.dataset.copyLink === "view" && open) address.searchParams.set("event", open);
  return address.href;
}

document.addEventListener("click", (event) => {
  const from = event.target.closest("[data-copy-from]");
  if (from) copy(document.getElementById(from.dataset.copyFrom).textContent);
  const value = event.target.closest("[data-copy-value]");
  if (value) copy($(".text", value.closest("td")).textContent);
  const link = event.target.closest("[data-copy-link]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    copy(shared(link));
  }
  if (event.target.closest("[data-help]")) $("#help").showModal();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("htmx:sendError", () => say("The server cannot be reached"));
document.addEventListener("htmx:timeout", () => say("The server took too long"));

// Who speaks to the computer, or has keys of their own, switches keys without Ctrl off.
const SINGLE = "headrace-single-keys";
const singleKeys = () => localStorage.getItem(SINGLE) !== "off";
$("#single-keys").checked = singleKeys();
$("#single-keys").addEventListener("change", (event) => localStorage.setItem(SINGLE, event.target.checked ? "on" : "off"));

const typing = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const menu = $("details.menu[open]");
    if (menu) {
      menu.open = false;
      $("summary", menu).focus();
      event.preventDefault();
      return;
    }
  }
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if ($("dialog[open]") || !singleKeys()) return;
  if (event.key === "?") {
    $("#help").showModal();
    return;
  }
  if (!/^[a-zA-Z[\]]$/.test(event.key)) return;
  const wanted = $(`[data-key="${event.key}"]`);
  if (!wanted) return;
  event.preventDefault();
  if (wanted.matches("select")) wanted.focus();
  else wanted.click();
});

for (const button of document.querySelectorAll("[data-help]")) button.hidden = false;
