// Small helps of every page; without this script the pages work as well, they only wait for a click.
"use strict";

// In the words of the page's language, as the reader's system writes them where it speaks that language.
function localTimes(root) {
  const lang = document.documentElement.lang;
  const locale = navigator.languages.find((known) => known.startsWith(lang)) || lang;
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  for (const element of root.querySelectorAll("time[data-local]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    element.title = element.textContent;
    if (element.dataset.local === "clock") {
      element.textContent = moment.toLocaleTimeString(locale, clock);
      element.removeAttribute("data-local");
      continue;
    }
    const year = moment.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
    element.textContent = moment.toLocaleString(locale, { day: "numeric", month: "short", ...year, ...clock });
    element.removeAttribute("data-local");
  }
}

// <div data-poll="/url" data-every="2">: its content is asked for again until the answer says `X-Poll: done`.
function poll(element) {
  const again = async () => {
    if (!element.isConnected) return;
    if (!document.hidden) {
      try {
        const answer = await fetch(element.dataset.poll, { headers: { "X-Fragment": "1" }, redirect: "error" });
        if (answer.ok) {
          const text = await answer.text();
          if (text !== element.dataset.shown) {
            element.innerHTML = text;
            element.dataset.shown = text;
            ready(element);
          }
          if (answer.headers.get("X-Poll") === "done") return;
        }
      } catch { /* asked again below */ }
    }
    setTimeout(again, 1000 * Number(element.dataset.every || 2));
  };
  setTimeout(again, 1000 * Number(element.dataset.every || 2));
}

// <fieldset data-check="/url" data-into="id">: while its fields change, they are sent there and the answer is shown in the element #id.
function check(group) {
  const target = document.getElementById(group.dataset.into);
  let timer, running;
  group.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (running) running.abort();
      running = new AbortController();
      const data = new URLSearchParams();
      for (const field of group.querySelectorAll("input, select, textarea")) {
        if (field.type !== "checkbox" || field.checked) data.append(field.dataset.as || field.name, field.value);
      }
      try {
        const answer = await fetch(group.dataset.check, { method: "POST", body: data, signal: running.signal });
        if (answer.ok) target.innerHTML = await answer.text();
      } catch { /* the next change asks again */ }
    }, 700);
  });
}

// <form data-confirm="What happens?">: asked before it is sent.
function confirmed(form) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sure) return;
    event.preventDefault();
    const button = event.submitter || form.querySelector("button");
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-label", button.textContent.trim());
    const question = document.createElement("p");
    question.textContent = form.dataset.confirm;
    const buttons = document.createElement("div");
    buttons.className = "buttons";
    const no = document.createElement("button");
    no.className = "button";
    no.textContent = "Cancel";
    const yes = document.createElement("button");
    yes.className = button.className.includes("danger") ? "button danger" : "button primary";
    yes.textContent = button.textContent.trim();
    buttons.append(no, yes);
    dialog.append(question, buttons);
    document.body.append(dialog);
    no.addEventListener("click", () => dialog.close());
    yes.addEventListener("click", () => { form.dataset.sure = "1"; dialog.close(); form.requestSubmit(event.submitter); });
    dialog.addEventListener("close", () => { dialog.remove(); button.focus(); });
    dialog.showModal();
  });
}

// <form data-languages>: another language shows the page with what is filled in; its button `language` sends it there.
function languages(form) {
  for (const link of document.querySelectorAll(".languages a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      form.action = link.getAttribute("href");
      form.requestSubmit(form.querySelector("[name=step][value=language]"));
    });
  }
}

function ready(root) {
  localTimes(root);
  root.querySelectorAll("[data-poll]").forEach(poll);
  root.querySelectorAll("[data-check]").forEach(check);
  root.querySelectorAll("form[data-confirm]").forEach(confirmed);
  root.querySelectorAll("form[data-languages]").forEach(languages);
  root.querySelectorAll("[data-submit]").forEach((field) => field.addEventListener("change", () => field.form.requestSubmit()));
  root.querySelectorAll("[data-copy]").forEach((button) => button.addEventListener("click", () => {
    navigator.clipboard.writeText(button.dataset.copy).then(() => { button.textContent = "Copied"; });
  }));
}

document.addEventListener("DOMContentLoaded", () => {
  ready(document);
  const here = document.querySelector(".side nav [aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - 16;
  for (const form of document.querySelectorAll("form[method=post]")) {
    form.addEventListener("submit", (event) => {
      if (event.defaultPrevented) return;
      setTimeout(() => form.querySelectorAll("button").forEach((b) => { b.disabled = true; }));
    });
  }
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) document.querySelectorAll("form[method=post] button").forEach((b) => { b.disabled = false; });
});
