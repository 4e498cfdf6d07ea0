// The desk works without this. It puts times into the reader's zone, keeps pages fresh, shows what was changed, sends a form
// once, searches as one types, and answers keys.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

// Times: in the reader's zone, the exact moment on hover.
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const clock = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
const distance = (from) => {
  const seconds = Math.trunc(from / 1000) - Math.trunc(Date.now() / 1000);
  const n = Math.abs(seconds);
  if (n < 60) return seconds > 0 ? "in less than a minute" : "just now";
  const text = n < 3600 ? `${Math.trunc(n / 60)} min` : n < 172800 ? `${Math.trunc(n / 3600)} h` : `${Math.trunc(n / 86400)} days`;
  return seconds > 0 ? `in ${text}` : `${text} ago`;
};
const today = () => {
  const now = new Date();
  return [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
};
const localise = (within) => {
  for (const element of $$("time[datetime]", within)) {
    // A day is the same day everywhere; it is over when it is over here.
    if ("day" in element.dataset) {
      element.classList.toggle("over", "open" in element.dataset && element.dateTime < today());
      continue;
    }
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    element.title = exact.format(moment);
    const text = "ago" in element.dataset ? distance(moment.getTime()) : clock.format(moment).replace(" at ", ", ");
    if (element.textContent !== text) element.textContent = text;
  }
};

// What only works with this script is shown by it.
const reveal = (within) => { for (const part of $$("[data-script]", within)) part.hidden = false; };

// A word in the corner: about the connection, or about what changed under the reader's hands.
const tell = (text, link) => {
  let corner = $(".tell");
  if (!corner) {
    corner = make("div", { class: "tell", role: "status" });
    document.body.append(corner);
  }
  corner.hidden = !text;
  corner.replaceChildren(text, ...(link ? [" ", make("a", { href: link.href }, link.text)] : []));
};

// Live parts: what stands in an element with an id and data-live is replaced when the server's text of it has changed.
const raw = new Map($$("main [data-live][id]").map((element) => [element.id, element.outerHTML]));
const isBusy = (element) =>
  element.contains(document.activeElement) && document.activeElement.matches("input, textarea, select") ||
  $$("[data-was]", element).some((field) => field.value !== field.dataset.was) ||
  $$("textarea", element).some((field) => field.value !== field.defaultValue) ||
  $$("input[type=checkbox]", element).some((box) => box.checked !== box.defaultChecked) ||
  String(getSelection()) !== "" && element.contains(getSelection().anchorNode);

const put = (old, fresh) => {
  const open = $$("details", old).map((part) => part.open);
  const focus = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  $$("details", fresh).forEach((part, place) => { if (open[place]) part.open = true; });
  const known = new Set($$("[data-key]", old).map((part) => part.dataset.key));
  if (known.size) $$("[data-key]", fresh).forEach((part) => { if (!known.has(part.dataset.key)) part.classList.add("fresh"); });
  localise(fresh);
  reveal(fresh);
  old.replaceWith(fresh);
  if (focus) $(`a[href="${CSS.escape(focus)}"]`, fresh)?.focus({ preventScroll: true });
};

let asked = null;
let isAskedAgain = false;
let isOffline = false;
const refresh = async () => {
  isAskedAgain = Boolean(asked);
  if (asked || document.hidden || !raw.size) return;
  asked = new AbortController();
  const late = setTimeout(() => asked?.abort(), 20000);
  try {
    const answer = await fetch(location.href, { signal: asked.signal, headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.redirected && new URL(answer.url).pathname === "/login") {
      // The session is over, or its user may not be here any more: nothing stays on the screen.
      raw.clear();
      $("main").replaceChildren(make("h1", {}, "You are logged out"), make("p", {}, make("a", { href: answer.url }, "Log in again")));
      return;
    }
    if (isOffline) tell("");
    isOffline = false;
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of raw.keys()) {
      const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
      if (!old || !fresh || raw.get(id) === fresh.outerHTML) continue;
      if (isBusy(old)) {
        tell("This has changed meanwhile.", { href: location.href, text: "Show it as it is now" });
        continue;
      }
      raw.set(id, fresh.outerHTML);
      put(old, document.importNode(fresh, true));
    }
    const [count, now] = [$(".side nav"), page.querySelector(".side nav")];
    if (count && now && count.innerHTML !== now.innerHTML) count.innerHTML = now.innerHTML;
    document.title = page.title;
  } catch {
    isOffline = true;
    tell("Steward does not answer. What you see may be old; it is looked for again by itself.");
  } finally {
    clearTimeout(late);
    asked = null;
    if (isAskedAgain) setTimeout(refresh, 250);
  }
};

// Forms: sent once; what was changed is marked, and the plain yes waits while something is.
const showChanges = (form) => {
  let changed = false;
  for (const field of $$("[data-was]", form)) {
    const differs = field.value.replace(/\r\n/g, "\n") !== field.dataset.was.replace(/\r\n/g, "\n");
    field.closest(".field").classList.toggle("changed", differs);
    changed = changed || differs;
    showDiff(field, differs);
  }
  const plain = $("[data-plain]", form);
  if (plain) plain.disabled = changed;
};
const showDiff = (field, differs) => {
  const place = field.closest(".field");
  let diff = $(".diff", place);
  if (!differs) return diff?.remove();
  if (!diff) place.append(diff = make("div", { class: "diff", role: "region", "aria-label": "What you change" }));
  const [was, now] = [field.dataset.was, field.value].map((text) => text.replace(/\r\n/g, "\n").split("\n"));
  let head = 0;
  while (head < was.length && head < now.length && was[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < was.length - head && tail < now.length - head && was.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  diff.replaceChildren(
    ...was.slice(head, was.length - tail).map((line) => make("del", {}, line || " ")),
    ...now.slice(head, now.length - tail).map((line) => make("ins", {}, line || " ")),
  );
};

document.addEventListener("input", (event) => {
  const form = event.target.closest("form");
  if (form?.matches(".decision")) showChanges(form);
  if (event.target.matches("[data-search]")) typed(event.target);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) {
    for (const box of $$(`input[name="${event.target.dataset.all}"]`, event.target.closest("section, form"))) box.checked = event.target.checked;
  }
  if (event.target.matches("[data-now]")) event.target.form.requestSubmit();
  const batch = $(".batch output");
  if (batch) batch.textContent = `${$$("input[name=id]:checked").length} chosen`;
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.submitter?.dataset.sure && !confirm(event.submitter.dataset.sure)) return event.preventDefault();
  if (!("once" in form.dataset)) return;
  if (form.dataset.once === "sent") return event.preventDefault();
  form.dataset.once = "sent";
});

// A file on its way: how far it has come, and a button that stops it. What is refused is said beside the form.
const sendFiles = (form) => {
  const request = new XMLHttpRequest();
  const bar = make("progress", { max: "1", value: "0", "aria-label": "How much has been sent" });
  const words = make("span", { role: "status" }, "Sending …");
  const stop = make("button", { type: "button", class: "quiet" }, "Stop");
  $(".sending", form)?.remove();
  form.append(make("p", { class: "sending" }, bar, " ", words, " ", stop));
  // Whether all of it went out: then it may be kept although no answer came.
  let isOut = false;
  const lost = (said) => (isOut ? "It was sent, and what became of it is not known: look at the files below before you send it again." : `${said} Nothing was kept.`);
  const stay = (event) => event.preventDefault();
  window.addEventListener("beforeunload", stay);
  const ended = (said) => {
    window.removeEventListener("beforeunload", stay);
    form.dataset.once = "";
    bar.remove();
    stop.remove();
    words.textContent = said;
  };
  stop.addEventListener("click", () => request.abort());
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    bar.value = event.loaded / event.total;
    isOut = event.loaded === event.total;
    words.textContent = event.loaded < event.total ? `${Math.trunc(bar.value * 100)} % sent` : "Sent; it is being kept …";
  });
  request.addEventListener("abort", () => ended(lost("Stopped.")));
  request.addEventListener("error", () => ended(lost("Steward does not answer.")));
  request.addEventListener("load", () => {
    if (request.status < 400) {
      ended("It is kept.");
      if (new URL(request.responseURL).pathname === location.pathname) location.reload();
      else location.assign(request.responseURL);
      return;
    }
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    ended($(".notice.bad", page)?.textContent.trim() || "It was refused, and nothing was kept.");
  });
  request.open("POST", form.action);
  request.setRequestHeader("accept", "text/html");
  request.send(new FormData(form));
};
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.enctype !== "multipart/form-data") return;
  event.preventDefault();
  sendFiles(event.target);
});

// Coming back by the browser's button gives a form its first press again, and what was entered is still there.
window.addEventListener("pageshow", () => {
  for (const form of $$("form[data-once]")) form.dataset.once = "";
  $$("form.decision").forEach(showChanges);
});

// Search as one types: the part of the page that the field names is taken from the answer.
let wait = 0;
let searching = null;
const typed = (field) => {
  clearTimeout(wait);
  wait = setTimeout(async () => {
    searching?.abort();
    searching = new AbortController();
    const address = new URL(field.form.action, location.href);
    for (const [name, value] of new FormData(field.form)) if (value) address.searchParams.set(name, value);
    try {
      const answer = await fetch(address, { signal: searching.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const [old, fresh] = [document.getElementById(field.dataset.search), page.getElementById(field.dataset.search)];
      if (!answer.ok || !old || !fresh) return;
      const text = fresh.outerHTML;
      put(old, document.importNode(fresh, true));
      if (raw.has(fresh.id)) raw.set(fresh.id, text);
      if (!("stays" in field.dataset)) history.replaceState(null, "", address);
    } catch (error) {
      if (error.name !== "AbortError") tell("The search got no answer; press Enter to try again.");
    }
  }, 150);
};

// The palette: every place of the desk, what one may begin, and tasks by their words.
const begin = [["New task", "/tasks/new"], ["Add a watcher", "/watchers/new"], ["Add a server", "/servers/new"], ["Add a rule", "/policies/new"], ["Try a call against the rules", "/policies#try"]];
let palette = null;
const openPalette = () => {
  if (!palette) {
    const field = make("input", { type: "text", role: "combobox", "aria-label": "Go to a place or find a task", "aria-controls": "palette-list", "aria-expanded": "true", "aria-autocomplete": "list", placeholder: "Go to, or find a task …", autocomplete: "off", spellcheck: "false" });
    const list = make("ul", { id: "palette-list", role: "listbox", "aria-label": "Places and tasks" });
    palette = make("dialog", { class: "palette", "aria-label": "Go to" }, field, list);
    document.body.append(palette);
    let found = [];
    let at = 0;
    const draw = () => {
      list.replaceChildren(...found.map(([name, href, kind], place) => {
        const item = make("li", { role: "option", id: `palette-${place}`, "aria-selected": String(place === at) }, make("span", {}, name), make("span", { class: "soft" }, kind ?? ""));
        item.addEventListener("click", () => location.assign(href));
        return item;
      }));
      if (found.length) field.setAttribute("aria-activedescendant", `palette-${at}`);
      else field.removeAttribute("aria-activedescendant");
      list.children[at]?.scrollIntoView({ block: "nearest" });
    };
    const places = () => $$(".side nav a[href]").filter((a) => a.getAttribute("href") !== "/more").map((a) => [a.firstChild.textContent.trim(), a.getAttribute("href"), "place"]);
    let turn = 0;
    const look = async () => {
      const words = field.value.trim().toLowerCase();
      const mine = ++turn;
      at = 0;
      found = [...places(), ...begin.map(([name, href]) => [name, href, "begin"])].filter(([name]) => name.toLowerCase().includes(words));
      draw();
      if (words.length < 2) return;
      try {
        const answer = await fetch(`/tasks?q=${encodeURIComponent(`${field.value.trim()}*`)}&limit=8`);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (mine !== turn) return;
        found.push(...$$("#tasks .title a[href^='/tasks/']", page).map((a) => [a.textContent, a.getAttribute("href"), "task"]));
        draw();
      } catch {
        // Places are still there to choose from.
      }
    };
    field.addEventListener("input", look);
    field.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        at = (at + (event.key === "ArrowDown" ? 1 : found.length - 1)) % Math.max(found.length, 1);
        draw();
      } else if (event.key === "Enter" && found[at]) {
        event.preventDefault();
        location.assign(found[at][1]);
      }
    });
    palette.addEventListener("close", () => { field.value = ""; });
    palette.look = look;
  }
  palette.showModal();
  palette.look();
};

let keys = null;
const openKeys = () => {
  if (!keys) {
    const rows = [["Ctrl K", "go to a place, or find a task"], ["/", "search on this page"], ["j", "next"], ["k", "previous"], ["Enter", "open"], ["a", "approve"], ["r", "reject"], ["e", "edit the arguments"], ["x", "choose for several at once"], ["?", "these keys"]];
    keys = make("dialog", { class: "keys", "aria-label": "Keys" }, make("h2", {}, "Keys"),
      make("dl", {}, ...rows.flatMap(([key, means]) => [make("dt", {}, ...key.split(" ").flatMap((k, n) => (n ? [" ", make("kbd", {}, k)] : [make("kbd", {}, k)]))), make("dd", {}, means)])),
      make("form", { method: "dialog" }, make("button", { class: "quiet" }, "Close")));
    document.body.append(keys);
  }
  keys.showModal();
};

const items = () => $$("main [data-key]");
const current = () => items().find((item) => item.contains(document.activeElement));
const step = (by) => {
  const all = items();
  if (!all.length) return;
  const at = all.indexOf(current());
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
  $("a[href]", next)?.focus();
  next.scrollIntoView({ block: "nearest" });
};
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), textarea, select") || $("dialog[open]")) return;
  const one = current() ?? ($("form.decision") ? document : null);
  const press = (name) => { const there = one && $(`[data-press="${name}"]`, one); if (there) { event.preventDefault(); there.click(); there.focus?.(); } };
  switch (event.key) {
    case "j": step(1); break;
    case "k": step(-1); break;
    case "a": press("approve"); break;
    case "r": press("reject"); break;
    case "e": press("edit"); break;
    case "x": press("choose"); break;
    case "/": { const field = $("main input[type=search]"); if (field) { event.preventDefault(); field.focus(); field.select(); } break; }
    case "?": openKeys(); break;
  }
});
reveal(document);
for (const place of $$("[data-opens]")) {
  place.addEventListener("click", place.dataset.opens === "keys" ? openKeys : openPalette);
}

localise(document);
const zone = $("#zone");
if (zone) zone.textContent = `Times are those of ${Intl.DateTimeFormat().resolvedOptions().timeZone.replaceAll("_", " ")}; rest the pointer on one for the exact moment.`;
setInterval(() => { if (!document.hidden) localise(document); }, 30000);
if (raw.size) {
  // News comes over one stream, or else is looked for; log lines are no news, and are always looked for.
  const events = $("main").dataset.events;
  const every = $("[data-live=poll]") ? 3000 : events ? 60000 : 5000;
  const kinds = ["hello", "reset", "ended", "task", "approval", "run", "step", "file_attachment", "notification", "watcher", "mcp_server", "policy", "schedule", "user"];
  let stream = null;
  let soon = 0;
  const news = () => {
    soon ||= setTimeout(() => { soon = 0; refresh(); }, 250);
  };
  const listen = () => {
    if (!events) return;
    if (document.hidden) {
      stream?.close();
      stream = null;
    } else if (!stream) {
      stream = new EventSource(events);
      for (const kind of kinds) stream.addEventListener(kind, news);
      stream.addEventListener("error", () => {
        if (stream?.readyState === EventSource.CLOSED) stream = null;
        news();
      });
    }
  };
  listen();
  setInterval(() => { listen(); refresh(); }, every);
  document.addEventListener("visibilitychange", () => { listen(); refresh(); });
  window.addEventListener("online", refresh);
  window.addEventListener("offline", () => { isOffline = true; tell("You are offline. What you see may be old."); });
}
