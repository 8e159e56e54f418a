// What pages share: times in the chosen zone, countdowns, and fresh content. Every page works without it.
"use strict";

const ZONE = "orchlite-zone";

function isUtc() {
  return localStorage.getItem(ZONE) === "utc";
}

function timeText(at, precision) {
  const pad = (number) => String(number).padStart(2, "0");
  const of = (part) => at[(isUtc() ? "getUTC" : "get") + part]();
  const day = `${of("FullYear")}-${pad(of("Month") + 1)}-${pad(of("Date"))}`;
  const time = `${pad(of("Hours"))}:${pad(of("Minutes"))}` + (precision === "second" ? `:${pad(of("Seconds"))}` : "");
  return `${day} ${time}` + (isUtc() ? " UTC" : "");
}

// The rule of `rendering.distance_text`.
function distanceText(seconds) {
  let rest = Math.abs(Math.round(seconds));
  const parts = [];
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const count = Math.floor(rest / size);
    rest %= size;
    if (count || (unit === "s" && !parts.length)) parts.push(`${count} ${unit}`);
  }
  const text = parts.slice(0, 2).join(" ");
  return seconds > 0 ? `in ${text}` : `${text} ago`;
}

function showTimes(root) {
  for (const element of root.querySelectorAll("time[data-precision]")) {
    const at = new Date(element.dateTime);
    element.textContent = timeText(at, element.dataset.precision);
    element.title = `${at.toISOString().slice(0, 19).replace("T", " ")} UTC, ${distanceText((at - Date.now()) / 1000)}`;
  }
  for (const element of root.querySelectorAll("time[data-countdown]")) {
    element.title = timeText(new Date(element.dateTime), "second");
  }
  for (const title of root.querySelectorAll("svg title")) {
    title.utc ??= title.textContent;
    title.textContent = title.utc.replace(/(\S+) (\d\d:\d\d) UTC/g, (_, day, time) => timeText(new Date(`${day}T${time}Z`), "minute"));
  }
  countDown();
}

function countDown() {
  for (const element of document.querySelectorAll("time[data-countdown]")) {
    const text = distanceText((new Date(element.dateTime) - Date.now()) / 1000);
    if (element.textContent !== text) element.textContent = text;
  }
}

function startZoneSwitch() {
  const button = document.getElementById("zone");
  if (!button) return;
  const show = () => {
    button.textContent = isUtc() ? "UTC" : "Local time";
    showTimes(document);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    localStorage.setItem(ZONE, isUtc() ? "local" : "utc");
    show();
  });
  show();
}

// Replace every element with `data-live` and an id by the one of the page as it is now, unless someone is at work in it.
async function refresh() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    const isInUse = old.contains(document.activeElement) || old.querySelector("details[open]");
    if (!now || isInUse || now.isEqualNode(old)) continue;
    old.replaceWith(now);
    showTimes(now);
  }
}

// Ask every few seconds whether anything has changed, only while the page can be seen. A stream would take one of the browser's six
// connections to the server for each open page.
function startRefreshing() {
  let version = document.body.dataset.storeVersion;
  if (version === undefined || !document.querySelector("[data-live]")) return;
  setInterval(async () => {
    if (document.hidden) return;
    const response = await fetch("/version").catch(() => null);
    document.body.classList.toggle("stale", !response || !response.ok);
    const newest = response && response.ok ? await response.text() : version;
    if (newest === version) return;
    version = newest;
    await refresh();
  }, 2000);
}

startZoneSwitch();
setInterval(countDown, 1000);
startRefreshing();
for (const form of document.querySelectorAll("form[data-sends-itself]")) form.requestSubmit();
for (const field of document.querySelectorAll("select[data-submits]")) field.addEventListener("change", () => field.form.requestSubmit());
