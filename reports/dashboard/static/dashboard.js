// Keeps the page as it is on the server: a small poll, and when its version changes the page itself, morphed into place.

// A poll, not a stream: a browser holds six connections to a server, and streams in six tabs would take them all.

import { draw } from "./charts.js";

const EVERY = 2000; // milliseconds
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
  if (old.id === "told") return; // what a button has told stays
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
    tell("");
  } catch {
    tell("No answer from the server. Start `tune dashboard` again and open the link that it prints; the tuning itself does not need it.");
  } finally {
    asking = false;
  }
}

async function post(button) {
  const told = document.getElementById("told");
  button.disabled = true;
  told.textContent = "Asking…";
  try {
    const answer = await fetch(button.dataset.post, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    const body = await answer.json();
    told.textContent = answer.ok ? body.told : body.error;
    await refresh();
  } catch {
    told.textContent = "No answer from the server. Is `tune dashboard` still running?";
    button.disabled = false;
  }
}

async function copy(button) {
  const label = button.innerHTML;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => (button.innerHTML = label), 1500);
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (button?.dataset.post) post(button);
  if (button?.dataset.copy) copy(button);
});

draw();
if (main.dataset.poll) {
  setInterval(poll, EVERY);
  document.addEventListener("visibilitychange", poll);
}
