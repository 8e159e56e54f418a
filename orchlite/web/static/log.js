// A log: it follows its end until one scrolls up, loads what is earlier and later on the way, and searches in place.
"use strict";

const POLL_MS = [1000, 3000]; // while something arrives; and at most, when nothing does
const MOST_ROWS = 4000;
const NEAR = 300;
const panel = document.getElementById("log");
const address = panel.dataset.address;
const form = panel.querySelector("form[role=search]");
const followButton = panel.querySelector(".follow");
let box = panel.querySelector(".log-box");
let follows = false;
let isLoading = false;
let pause = POLL_MS[0];

const lastEnd = () => [...box.querySelectorAll(".rows[data-end]")].at(-1).dataset.end;
const isAtEnd = () => !box.querySelector(".later") && box.scrollHeight - box.scrollTop - box.clientHeight < 24;

function setFollows(value) {
  follows = value;
  followButton.hidden = follows || !("liveLog" in box.dataset);
}

// Return the response as a document; null if there is nothing new, or no response.
async function load(path) {
  const response = await fetch(path).catch(() => null);
  if (!response || !response.ok || response.status === 204) return null;
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

function settle() {
  const found = box.querySelector("#found");
  box.scrollTop = found ? found.offsetTop - box.clientHeight / 3 : box.querySelector(".later") ? 0 : box.scrollHeight;
  form.elements.from.value = box.dataset.found;
  box.addEventListener("scroll", scrolled, { passive: true });
  setFollows(!found && isAtEnd());
}

async function show(path) {
  const fresh = await load(path + (path.includes("?") ? "&" : "?") + "part=1");
  if (!fresh) return;
  panel.querySelector(".log-message").textContent = fresh.querySelector(".log-message").textContent;
  const next = fresh.querySelector(".log-box");
  box.replaceWith(next);
  box = next;
  settle();
}

// Load what the link "Earlier lines" or "Later lines" leads to, in its place; what is read stays where it is on the screen.
async function extend(link) {
  if (isLoading) return;
  isLoading = true;
  const fresh = await load(link.getAttribute("href") + "&part=1");
  isLoading = false;
  if (!fresh || !link.isConnected) return;
  const kind = link.classList.contains("earlier") ? ".earlier" : ".later";
  const parts = [...fresh.querySelectorAll(`.rows${kind === ".earlier" ? "[data-end]" : ""}, ${kind}`)];
  const below = box.scrollHeight - box.scrollTop;
  if (kind === ".later") box.querySelector(".unsettled").remove();
  link.replaceWith(...parts);
  if (kind === ".earlier") box.scrollTop = box.scrollHeight - below;
}

function scrolled() {
  setFollows(isAtEnd());
  const [earlier, later] = [box.querySelector(".earlier"), box.querySelector(".later")];
  if (earlier && box.scrollTop < NEAR) extend(earlier);
  else if (later && box.scrollHeight - box.scrollTop - box.clientHeight < NEAR) extend(later);
}

function append(fresh) {
  const [settled, unsettled] = fresh.querySelectorAll(".rows");
  box.querySelector(".empty")?.remove();
  const old = box.querySelector(".unsettled");
  if (settled.children.length) old.before(settled);
  else [...box.querySelectorAll(".rows[data-end]")].at(-1).dataset.end = settled.dataset.end;
  old.replaceWith(unsettled);
  if (!("liveLog" in fresh.dataset)) delete box.dataset.liveLog;
  if (!follows) return;
  const parts = box.querySelectorAll(".rows[data-end]");
  if (box.querySelectorAll(".row").length > MOST_ROWS && parts.length > 1) {
    const link = box.querySelector(".earlier") ?? box.insertBefore(document.createElement("a"), box.firstChild);
    link.className = "more earlier";
    link.textContent = "Earlier lines";
    parts[0].remove();
    link.href = `${address}?before=${parts[1].dataset.start}`;
  }
  box.scrollTop = box.scrollHeight;
}

async function poll() {
  let again = false;
  if (!document.hidden && "liveLog" in box.dataset && !box.querySelector(".later")) {
    const polled = box;
    const fresh = (await load(`${address}/new?after=${lastEnd()}`))?.querySelector(".log-box");
    pause = fresh ? POLL_MS[0] : Math.min(pause + 500, POLL_MS[1]);
    if (fresh && polled === box) {
      if ("replaces" in fresh.dataset) {
        if (follows) await show(`${address}?at=end`);
      } else append(fresh);
      again = fresh.querySelector(".later") !== null;
    }
    setFollows(follows);
  }
  setTimeout(poll, again ? 50 : pause);
}

panel.addEventListener("click", (event) => {
  const link = event.target.closest(".log-links a:not([download]), a.more");
  if (event.target === followButton) show(`${address}?at=end`);
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link.classList.contains("more")) extend(link);
  else show(link.getAttribute("href").split("#")[0]);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  show(`${address}?${new URLSearchParams(new FormData(form, event.submitter))}`);
});
form.elements.q.addEventListener("input", () => { form.elements.from.value = ""; });
settle();
poll();
