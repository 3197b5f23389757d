// Keeps the page as it is on the server: a small poll, and when its version changes the page itself, morphed into place.

// A poll, not a stream: a browser holds six connections to a server, and streams in six tabs would take them all.

import { draw } from "./charts.js";

const EVERY = 2000; // milliseconds
const SOON = 400; // while something is being made for this page
const main = document.querySelector("main");
const connection = document.getElementById("connection");
let asking = false;

// Makes `old` equal to `fresh` with the least change, so that selection, scrolling and opened details survive.
function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.className === "told" || (old.className === "command" && old.closest("form"))) return; // what a form has told stays
  if (old.dataset.chart) return Object.assign(old.dataset, fresh.dataset); // what is drawn in it is drawn anew below
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !kept(old, name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !kept(old, name)) old.setAttribute(name, value);
  morphChildren(old, fresh);
}

// Children with an id are found again wherever they are by now; the others by their place.
function morphChildren(old, fresh) {
  const named = (parent) => new Map([...parent.children].filter((node) => node.id).map((node) => [node.id, node]));
  const [mine, theirs] = [named(old), named(fresh)];
  mine.forEach((node, id) => theirs.has(id) || node.remove());
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const same = node.id ? mine.get(node.id) : at && !at.id ? at : null;
    if (same === at && at) at = at.nextSibling;
    if (!same || same.nextSibling !== at) old.insertBefore(same ?? node, at);
    if (same) morph(same, node);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// A reader's own doing.
const kept = (node, name) => node.nodeName === "DETAILS" && name === "open";

function tell(message) {
  if (connection.textContent !== message) connection.textContent = message;
  connection.hidden = !message;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = page.title;
  const focused = document.activeElement;
  morph(main, page.querySelector("main"));
  draw();
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

async function poll() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch(main.dataset.poll);
    const body = await answer.json();
    if (!answer.ok) return tell(body.error);
    if (body.version !== main.dataset.version) await refresh();
    else draw();
    tell("");
  } catch {
    tell("No answer from the server. Start `tune dashboard` again and open the link that it prints; the tuning itself does not need it.");
  } finally {
    asking = false;
  }
}

// What a form asks for, as JSON: numbers as numbers, a tick as true.
function content(form) {
  const fields = [...form.elements].filter(({ name }) => name);
  const value = (field) => (field.type === "checkbox" ? field.checked : field.matches("[type=number], select") ? Number(field.value) : field.value);
  return { ...JSON.parse(form.dataset.body ?? "{}"), ...Object.fromEntries(fields.map((field) => [field.name, value(field)])) };
}

async function post(form) {
  const told = (form.querySelector(".told") ? form : form.parentElement).querySelector(".told");
  const [button, focused] = [form.querySelector("[type=submit]"), document.activeElement];
  button.disabled = true; // and so without focus
  told.textContent = "Asking…";
  try {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(form.dataset.post, { method: "POST", headers, body: JSON.stringify(content(form)) });
    const body = await answer.json();
    told.textContent = answer.ok ? body.told : body.error;
    if (answer.ok) form.reset();
    await refresh(); // with a button that can be pressed, or none
  } catch {
    told.textContent = "No answer from the server. Is `tune dashboard` still running?";
    button.disabled = false;
  }
  if (document.activeElement === document.body && focused.isConnected) focused.focus({ preventScroll: true });
}

// The command below a form says what has been typed into it.
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

function say(form) {
  const button = form.querySelector("[data-copy]");
  if (!button) return;
  const typed = [...form.elements].filter(({ dataset, value }) => dataset.for && value.trim());
  const filled = typed.reduce((text, { dataset, value }) => text.replace(dataset.for, () => dataset.for.replace(/\S+$/, () => quoted(value.trim()))), button.dataset.command ??= button.dataset.copy);
  button.dataset.copy = filled;
  form.querySelector(".command code").textContent = filled;
}

async function copy(button) {
  const label = (button.dataset.label ??= button.innerHTML);
  let copied = true;
  if (navigator.clipboard) await navigator.clipboard.writeText(button.dataset.copy);
  else { // browsers have none for a page that came from another machine by plain http
    getSelection().selectAllChildren(button.parentElement.querySelector("code"));
    copied = document.execCommand("copy");
  }
  button.textContent = copied ? "Copied" : "Selected";
  setTimeout(() => (button.innerHTML = label), 1500);
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (button?.dataset.copy) copy(button);
});
document.addEventListener("submit", (event) => {
  if (!event.target.dataset.post) return;
  event.preventDefault();
  post(event.target);
});
document.addEventListener("input", ({ target }) => target.form && say(target.form));
document.addEventListener("reset", ({ target }) => setTimeout(() => say(target)));
document.querySelectorAll("form").forEach(say);

async function watch() {
  await poll();
  setTimeout(watch, main.querySelector(".waiting") ? SOON : EVERY);
}

draw();
if (main.dataset.poll) {
  setTimeout(watch, SOON);
  document.addEventListener("visibilitychange", poll);
}
