// Dropping a folder or a ZIP onto the form that uploads a bundle. What packing leaves out anyway is sent without its content.
"use strict";

const LEFT_OUT = /^\.|^__pycache__$|^node_modules$|\.pyc$/;
const form = document.getElementById("upload");
const say = (text) => { form.querySelector(".progress").textContent = text; };

function isTooLarge(body) {
  const isOver = body.getAll("file").reduce((sum, file) => sum + file.size, 0) > Number(form.dataset.limitBytes);
  if (isOver) say(form.dataset.tooLarge);
  return isOver;
}

async function* filesBelow(entry, path) {
  const asked = (ask) => new Promise((done, failed) => ask(done, failed));
  if (LEFT_OUT.test(entry.name)) return yield [path, new File([], entry.name)];
  if (entry.isFile) return yield [path, await asked((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader();
  const entries = [];
  for (let some = null; some === null || some.length; entries.push(...some)) {
    some = await asked((done, failed) => reader.readEntries(done, failed));
  }
  const config = entries.filter((one) => one.name === "pyvenv.cfg"); // by this file, packing knows a virtual environment
  for (const one of config.length ? config : entries) yield* filesBelow(one, `${path}/${one.name}`);
}

async function send(entries) {
  const body = new FormData();
  say("Sending and checking…");
  for (const entry of entries) {
    for await (const [path, file] of filesBelow(entry, entry.name)) body.append("file", file, path);
  }
  if (isTooLarge(body)) return;
  body.append("complete", "1");
  const response = await fetch(form.action, { method: "POST", body, headers: { "X-Form-Token": form.elements.form_token.value } });
  if (response.ok) return location.assign(response.url);
  const text = await response.text();
  const isJson = response.headers.get("Content-Type").includes("json");
  say(isJson ? JSON.parse(text).msg : new DOMParser().parseFromString(text, "text/html").querySelector(".message").textContent);
}

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  form.addEventListener(kind, (event) => {
    event.preventDefault();
    form.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    const entries = kind === "drop" ? [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean) : [];
    if (entries.length) send(entries).catch((error) => say(`It could not be sent: ${error.message}`));
  });
}
form.addEventListener("submit", (event) => { if (isTooLarge(new FormData(form))) event.preventDefault(); });
form.querySelector(".drop-hint").hidden = false;
