//! The form on a listing by which people upload files and folders: it works without script; with it, files can be dropped,
//! go one by one, and a bar shows how far they are.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

/// A form that posts to the page's own address. Both of its fields take several files.
pub(super) const FORM: &str = "\
<form id=\"upload\" method=\"post\" enctype=\"multipart/form-data\">\n\
<p><label>Files: <input type=\"file\" name=\"file\" multiple></label>\n\
<label>A folder: <input type=\"file\" name=\"folder\" multiple webkitdirectory></label>\n\
<button>Upload</button> <span id=\"hint\" hidden>or drop files and folders on this page.</span></p>\n\
<p id=\"bar\" hidden><progress value=\"0\" max=\"1\"></progress> <span role=\"status\"></span></p>\n\
<ul id=\"failed\"></ul>\n\
</form>\n";

/// One request for each file, so that one that is refused stops no other, and a bar means something.
pub(super) const SCRIPT: &str = r#"
"use strict";
const form = document.getElementById("upload"), bar = document.getElementById("bar");
const progress = bar.querySelector("progress"), status = bar.querySelector("span");
const failed = document.getElementById("failed"), queue = [];
let busy = false, sent = 0, total = 0, count = 0, done = 0;
document.getElementById("hint").hidden = false;
const show = bytes => {
  progress.max = total || 1;
  progress.value = bytes;
  status.textContent = `${done} of ${count} files, ${total ? Math.floor(100 * bytes / total) : 100}%`;
};
const add = (file, name) => {
  queue.push([file, name]);
  total += file.size;
  count += 1;
  bar.hidden = false;
  if (!busy) next();
};
const next = () => {
  const [file, name] = queue.shift();
  const data = new FormData(), request = new XMLHttpRequest();
  busy = true;
  data.append("file", file, name);
  request.open("POST", location.pathname);
  request.upload.onprogress = event => show(sent + Math.min(event.loaded, file.size));
  request.onloadend = () => {
    sent += file.size;
    done += 1;
    show(sent);
    if (request.status !== 201) {
      const item = document.createElement("li");
      item.textContent = request.responseText.trim() || `Not stored: ${name}: the connection broke.`;
      failed.append(item);
    }
    busy = false;
    if (queue.length) next();
    else if (!failed.children.length) location.reload();
    else form.reset();
  };
  request.send(data);
};
const walk = entry => {
  const name = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) return entry.file(file => add(file, name));
  const reader = entry.createReader();
  const more = () => reader.readEntries(entries => {
    entries.forEach(walk);
    if (entries.length) more();
  });
  more();
};
form.onsubmit = event => {
  event.preventDefault();
  for (const input of form.querySelectorAll("input"))
    for (const file of input.files) add(file, file.webkitRelativePath || file.name);
};
document.ondragover = event => event.preventDefault();
document.ondrop = event => {
  event.preventDefault();
  for (const item of event.dataTransfer.items) {
    const entry = item.kind === "file" && item.webkitGetAsEntry();
    if (entry) walk(entry);
    else if (item.kind === "file") add(item.getAsFile(), item.getAsFile().name);
  }
};
"#;

/// The Content-Security-Policy of a listing with the form: this script and no other, which talks to this server alone.
pub(super) static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(SCRIPT));
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; connect-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'"
    );
    // Base64 and plain words are a field's value.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});
