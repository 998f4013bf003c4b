// The search field: a combobox whose list the server makes (ARIA Authoring Practices, "Editable Combobox With List Autocomplete").
"use strict";

window.nap = window.nap || {};

nap.search = (field, list, choose) => {
  let timer, running, active = -1;
  field.setAttribute("role", "combobox");
  field.setAttribute("aria-expanded", "false");
  field.setAttribute("aria-controls", list.id);
  field.setAttribute("aria-autocomplete", "list");
  const options = () => [...list.querySelectorAll("[role=option]:not([aria-disabled])")];

  const close = () => {
    list.hidden = true;
    active = -1;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };
  const mark = (number) => {
    const all = options();
    if (!all.length) return;
    active = (number + all.length) % all.length;
    all.forEach((option, position) => option.setAttribute("aria-selected", String(position === active)));
    field.setAttribute("aria-activedescendant", all[active].id);
    all[active].scrollIntoView({ block: "nearest" });
  };
  const take = (option) => {
    field.value = option.dataset.name;
    close();
    choose(option.dataset);
  };
  const ask = async () => {
    const question = field.value.trim();
    if (running) running.abort();
    if (question.length < 2) return close();
    running = new AbortController();
    try {
      const answer = await fetch("/map/search?" + new URLSearchParams({ q: question }), { signal: running.signal });
      if (!answer.ok) return;
      list.innerHTML = await answer.text();
      list.hidden = false;
      active = -1;
      field.removeAttribute("aria-activedescendant");
      field.setAttribute("aria-expanded", "true");
    } catch { /* the next letter asks again */ }
  };
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 150);
  });
  field.addEventListener("keydown", async (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) await ask();
      mark(active < 0 && event.key === "ArrowUp" ? -1 : active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Escape") {
      close();
    } else if (event.key === "Enter") {
      event.preventDefault();
      clearTimeout(timer);
      if (list.hidden || active < 0) await ask();
      const option = options()[Math.max(active, 0)];
      if (option) take(option);
    }
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]:not([aria-disabled])");
    if (option) take(option);
  });
  field.addEventListener("blur", close);
};
