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

const lastPart = () => [...box.querySelectorAll(".rows[data-end]")].at(-1);
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
  const old = box;
  box = fresh.querySelector(".log-box");
  old.replaceWith(box);
  settle();
}

// Load what the link "Earlier lines" or "Later lines" leads to, in its place; what is read stays where it is on the screen.
async function extend(link) {
  if (isLoading) return;
  isLoading = true;
  const fresh = await load(link.getAttribute("href") + "&part=1");
  isLoading = false;
  if (!fresh || !link.isConnected) return;
  const isEarlier = link.classList.contains("earlier");
  const below = box.scrollHeight - box.scrollTop;
  if (!isEarlier) box.querySelector(".unsettled").remove();
  link.replaceWith(...fresh.querySelectorAll(isEarlier ? ".rows[data-end], .earlier" : ".rows, .later"));
  if (isEarlier) box.scrollTop = box.scrollHeight - below;
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
  else lastPart().dataset.end = settled.dataset.end;
  old.replaceWith(unsettled);
  if (!("liveLog" in fresh.dataset)) delete box.dataset.liveLog;
  if (!follows) return;
  const [first, second] = box.querySelectorAll(".rows[data-end]");
  if (second && box.querySelectorAll(".row").length > MOST_ROWS) {
    const link = box.querySelector(".earlier") ?? box.insertBefore(document.createElement("a"), box.firstChild);
    Object.assign(link, { className: "more earlier", textContent: "Earlier lines", href: `${address}?before=${second.dataset.start}` });
    first.remove();
  }
  box.scrollTop = box.scrollHeight;
}

async function poll() {
  const polled = box;
  if (!document.hidden && "liveLog" in box.dataset && !box.querySelector(".later")) {
    const fresh = (await load(`${address}/new?after=${lastPart().dataset.end}`))?.querySelector(".log-box");
    pause = !fresh ? Math.min(pause + 500, POLL_MS[1]) : fresh.querySelector(".later") ? 50 : POLL_MS[0];
    if (fresh && polled === box && !("replaces" in fresh.dataset)) append(fresh);
    else if (fresh && follows) await show(`${address}?at=end`);
    setFollows(follows);
  }
  setTimeout(poll, pause);
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
