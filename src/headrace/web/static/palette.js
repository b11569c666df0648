// The palette (Ctrl K): pages, projects, saved searches, fields, searches of before. They are read from the page and asked of it.
"use strict";

{
  const RECENT = "headrace-searches";
  const MOST_RECENT = 20;
  const MOST_SHOWN = 12;
  const dialog = $("#palette");
  const box = $("input", dialog);
  const list = $("ul", dialog);
  let offers = [];
  let place = 0;

  function recent() {
    try {
      const kept = JSON.parse(localStorage.getItem(RECENT) || "[]");
      return Array.isArray(kept) ? kept.filter((one) => typeof one === "string") : [];
    } catch {
      return [];
    }
  }

  // What was searched is kept in this browser alone.
  function remember() {
    const text = new URLSearchParams(location.search).get("q");
    if (!text || !$("#q")) return;
    localStorage.setItem(RECENT, JSON.stringify([text, ...recent().filter((one) => one !== text)].slice(0, MOST_RECENT)));
  }

  const offer = (kind, name, act) => ({ kind, name, act });
  const going = (href) => () => location.assign(href);

  function pages() {
    return [...document.querySelectorAll("header.bar a[href]")]
      .filter((link) => link.textContent.trim())
      .map((link) => offer(link.closest(".picker") ? "project" : "page", link.textContent.trim(), going(link.href)));
  }

  const logs = () => dialog.dataset.logs;

  async function asked(part, selector, made) {
    if (!logs()) return [];
    try {
      const answer = await fetch(logs() + part);
      const found = new DOMParser().parseFromString(answer.ok ? await answer.text() : "", "text/html");
      return [...found.querySelectorAll(selector)].map(made);
    } catch {
      return [];
    }
  }

  function put(text) {
    const search = $("#q");
    if (!search) {
      location.assign(`${logs()}?q=${encodeURIComponent(text.endsWith(":") ? `${text}*` : text)}`);
      return;
    }
    search.value = text.endsWith(":") ? `${search.value} ${text}`.trim() : text;
    search.focus();
    if (!text.endsWith(":")) search.form.requestSubmit();
  }

  function show() {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fitting = offers.filter((one) => words.every((word) => `${one.kind} ${one.name}`.toLowerCase().includes(word)));
    place = 0;
    list.replaceChildren(...fitting.slice(0, MOST_SHOWN).map((one, number) => {
      const item = document.createElement("li");
      const kind = document.createElement("span");
      item.role = "option";
      item.id = `palette-${number}`;
      item.append(one.name, kind);
      kind.className = "soft";
      kind.textContent = one.kind;
      item.addEventListener("click", () => { dialog.close(); one.act(); });
      return item;
    }));
    mark();
  }

  function mark() {
    [...list.children].forEach((item, number) => item.setAttribute("aria-selected", String(number === place)));
    box.setAttribute("aria-activedescendant", list.children.length ? `palette-${place}` : "");
  }

  async function open() {
    if (dialog.open) return;
    box.value = "";
    offers = [...pages(), ...(logs() ? recent().map((text) => offer("search of before", text, () => put(text))) : [])];
    dialog.showModal();
    show();
    const known = (link) => offer("saved search", link.textContent.trim(), going(link.getAttribute("href")));
    offers.push(...await asked("/saved", "a:not(.apart)", known));
    if (dialog.open) show();
  }

  // Of fields there are too many to ask for all: those that begin as the last word does.
  async function fields() {
    const typed = box.value;
    const begun = typed.split(/\s+/).pop();
    if (!begun || begun.includes(":")) return;
    const field = (item) => offer("field", item.dataset.text, () => put(item.dataset.text));
    const found = await asked(`/completion?text=${encodeURIComponent(begun)}`, "li", field);
    const names = new Set(offers.map((one) => one.name));
    offers.push(...found.filter((one) => !names.has(one.name)));
    if (dialog.open && box.value === typed && found.length) show();
  }

  box.addEventListener("input", () => { show(); fields(); });
  box.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by && list.children.length) {
      place = (place + by + list.children.length) % list.children.length;
      mark();
      event.preventDefault();
    }
    if (event.key === "Enter") {
      event.preventDefault();
      if (list.children[place]) list.children[place].click();
    }
  });
  for (const button of document.querySelectorAll("[data-palette]")) {
    button.hidden = false;
    button.addEventListener("click", open);
  }
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      open();
    }
  });
  document.addEventListener("htmx:pushedIntoHistory", remember);
  remember();
}
