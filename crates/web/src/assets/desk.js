// The desk works without this. It shows what was changed, sends a form once, and keeps live pages fresh.
"use strict";

const showChanges = (form) => {
  let changed = false;
  for (const field of form.querySelectorAll("[data-was]")) {
    const differs = field.value.replace(/\r\n/g, "\n") !== field.dataset.was.replace(/\r\n/g, "\n");
    field.closest(".field").classList.toggle("changed", differs);
    changed = changed || differs;
  }
  const plain = form.querySelector("[data-plain]");
  if (plain) plain.disabled = changed;
};

document.addEventListener("input", (event) => {
  const form = event.target.closest("form.decision");
  if (form) showChanges(form);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!("once" in form.dataset)) return;
  if (form.dataset.once === "sent") {
    event.preventDefault();
    return;
  }
  form.dataset.once = "sent";
});

// Coming back by the browser's button gives a form its first press again, and what was entered is still there.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.dataset.once = "";
    showChanges(form);
  }
});

if (document.querySelector("[data-live]")) {
  setInterval(() => {
    const busy = document.hidden || document.querySelector("main details[open], main :focus") || String(getSelection()) !== "";
    if (!busy) location.reload();
  }, 15000);
}
