// What pages share: times in the chosen zone, countdowns, and fresh content. Every page works without it.
"use strict";

const [zone, caption] = ["zone", "caption"].map((id) => document.getElementById(id));
const isUtc = () => localStorage.getItem("orchlite-zone") === "utc";
function timeText(at, precision) {
  const text = new Date(at - (isUtc() ? 0 : at.getTimezoneOffset() * 60000)).toISOString();
  if (precision === "clock") return text.slice(11, 16) === "00:00" ? text.slice(5, 10) : text.slice(11, 16);
  return text.slice(0, precision === "second" ? 19 : 16).replace("T", " ") + (isUtc() ? " UTC" : "");
}

// The rule of `rendering.distance_text`.
function distanceOf(element) {
  const seconds = (new Date(element.dateTime) - Date.now()) / 1000;
  let [rest, parts] = [Math.abs(Math.round(seconds)), []];
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const count = Math.floor(rest / size);
    rest %= size;
    if (count || (unit === "s" && !parts.length)) parts.push(`${count} ${unit}`);
  }
  return (seconds > 0 ? "in " : "") + parts.slice(0, 2).join(" ") + (seconds > 0 ? "" : " ago");
}

const countDown = () => document.querySelectorAll("time[data-countdown]").forEach((one) => { one.textContent = distanceOf(one); });

function showTimes() {
  for (const element of document.querySelectorAll("time")) {
    const isCountdown = "countdown" in element.dataset;
    const text = timeText(new Date(element.dateTime), isCountdown ? "second" : element.dataset.precision);
    element.title = isCountdown ? text : `${element.dateTime.slice(0, 19).replace("T", " ")} UTC, ${distanceOf(element)}`;
    if (!isCountdown) element.textContent = text;
  }
  for (const title of document.querySelectorAll("svg title")) {
    title.utc ??= title.textContent;
    title.textContent = title.utc.replace(/(\S+) (\d\d:\d\d) UTC/g, (_, day, time) => timeText(new Date(`${day}T${time}Z`)));
  }
  for (const mark of document.querySelectorAll(".strip a:not(:last-child)")) mark.tabIndex = -1; // arrows lead to them
  if (zone) Object.assign(zone, { hidden: false, textContent: isUtc() ? "UTC" : "Local time" });
  countDown();
}

// Replace every element with `data-live` and an id by the one of the page as it is now, if it differs and no one is at work in it.
async function refresh() {
  const response = await fetch(location.href);
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (!now || now.outerHTML === old.source || old.contains(document.activeElement) || old.querySelector("details[open]")) continue;
    now.source = now.outerHTML;
    old.replaceWith(now);
  }
  showTimes();
}

// Ask for changes while the page can be seen, and rest 20 times as long as that took, at most 10 s. A stream would take one of the browser's connections.
async function keepFresh(version) {
  const began = performance.now();
  const response = document.hidden ? null : await fetch("/version").catch(() => ({ ok: false }));
  if (response) document.body.classList.toggle("stale", !response.ok);
  const newest = response?.ok ? await response.text() : version;
  if (newest !== version || document.querySelector("[data-changing]")) await refresh().catch(() => {});
  setTimeout(keepFresh, Math.min(10000, Math.max(2000, 20 * (performance.now() - began))), newest);
}

showTimes();
document.querySelector(".now")?.scrollIntoView({ inline: "center", block: "nearest" });
setInterval(countDown, 1000);
if (document.querySelector("[data-live]")) keepFresh(document.body.dataset.storeVersion);
zone?.addEventListener("click", () => { localStorage.setItem("orchlite-zone", isUtc() ? "local" : "utc"); showTimes(); });
const NEXT = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" };
document.addEventListener("keydown", ({ key, target }) => target.closest(".strip a")?.[NEXT[key]]?.focus());
document.addEventListener("focusin", ({ target }) => (caption.textContent = target.closest("svg a")?.querySelector("title")?.textContent ?? ""));
for (const form of document.querySelectorAll("form[data-sends-itself]")) form.requestSubmit();
for (const field of document.querySelectorAll("select[data-submits]")) field.addEventListener("change", () => field.form.requestSubmit());
