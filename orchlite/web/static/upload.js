// Dropping a folder or a ZIP onto the form that uploads a bundle. What packing leaves out anyway is sent without its content.
"use strict";

const LEFT_OUT = /^\.|^__pycache__$|^node_modules$|\.pyc$/;
const form = document.getElementById("upload");
const say = (text) => { form.querySelector(".progress").textContent = text; };

// Yield [path, file] for everything below an entry.
async function* filesBelow(entry, path) {
  if (LEFT_OUT.test(entry.name)) {
    yield [path, new File([], entry.name)];
  } else if (entry.isFile) {
    yield [path, await new Promise((done, failed) => entry.file(done, failed))];
  } else {
    const reader = entry.createReader();
    const entries = [];
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) break;
      entries.push(...some);
    }
    const config = entries.find((one) => one.name === "pyvenv.cfg"); // a virtual environment: packing knows it by this file
    for (const one of config ? [config] : entries) yield* filesBelow(one, `${path}/${one.name}`);
  }
}

async function send(entries) {
  const body = new FormData();
  for (const entry of entries) {
    for await (const [path, file] of filesBelow(entry, entry.name)) body.append("file", file, path);
  }
  body.append("complete", "1");
  say("Sending and checking…");
  const response = await fetch(form.action, { method: "POST", body, headers: { "X-Form-Token": form.elements.form_token.value } });
  if (response.ok) { location.assign(response.url); return; }
  const text = await response.text();
  const page = new DOMParser().parseFromString(text, "text/html");
  say(response.headers.get("content-type").includes("json") ? JSON.parse(text).msg : page.querySelector(".message").textContent);
}

if (form) {
  form.querySelector(".drop-hint").hidden = false;
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    form.addEventListener(kind, (event) => {
      event.preventDefault();
      form.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    });
  }
  form.addEventListener("drop", (event) => {
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    if (entries.length) send(entries).catch((error) => say(`It could not be sent: ${error.message}`));
  });
}
