// Keeps the status page current: asks for the figures once a second, and draws what changed. What comes from clients is
// set as text alone, never as markup.
"use strict";

const KEPT = 120; // samples in the chart
const COLOURS = 6;
const SVG = "http://www.w3.org/2000/svg";
const find = (id) => document.getElementById(id);

let before = null; // the figures of the look before, by connection and path
let samples = []; // { time, rates: Map(name -> bytes a second) }
let names = []; // of the lines, in the order in which they came
let told = 0;

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function bytes(count) {
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (count < 1000 || unit === "TB") return `${count < 10 && unit !== "B" ? count.toFixed(1) : Math.round(count)} ${unit}`;
    count /= 1000;
  }
}

function rate(perSecond) {
  const bits = perSecond * 8;
  if (bits < 1e6) return `${(bits / 1e3).toFixed(bits < 1e4 ? 1 : 0)} kbit/s`;
  return `${(bits / 1e6).toFixed(bits < 1e7 ? 1 : 0)} Mbit/s`;
}

// What has arrived, where that is known: what is sent again is no use to anybody.
const sum = (path) => (path.bytes_acked ?? path.bytes_sent ?? 0) + (path.bytes_received ?? 0);
const host = (address) => (address ?? "?").replace(/:\d+$/, "");
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// Bytes by path of each connection, and by role where not every connection is listed.
function carried(status) {
  const all = new Map();
  if (status.connections_left_out > 0) {
    for (const p of status.paths) all.set(`${p.protocol} ${p.role}`, { name: `${p.protocol}, ${p.role}`, count: sum(p) });
    return all;
  }
  for (const connection of status.connections) {
    for (const path of connection.paths) {
      if (path.role === null) continue;
      const name = `${path.interface ?? host(path.local)}, ${path.role}`;
      all.set(`${connection.id} ${path.local} ${path.remote}`, { name, count: sum(path) });
    }
  }
  return all;
}

// What the paths carry now: in all by name, and each.
function measure(status) {
  const now = { time: status.time_ms, carried: carried(status), partial: status.connections_left_out > 0 };
  const each = new Map();
  if (before && now.time > before.time && now.partial === before.partial) {
    const seconds = (now.time - before.time) / 1000;
    const rates = new Map();
    for (const [key, { name, count }] of now.carried) {
      // A path that was not there before began in between, unless all are new since the totals are shown by role now.
      const perSecond = Math.max(0, count - (before.carried.get(key)?.count ?? 0)) / seconds;
      each.set(key, perSecond);
      rates.set(name, (rates.get(name) ?? 0) + perSecond);
    }
    for (const name of rates.keys()) if (!names.includes(name)) names.push(name);
    samples.push({ time: now.time, rates });
    samples = samples.slice(-KEPT);
  }
  if (!before || now.time > before.time) before = now;
  return each;
}

function draw() {
  const chart = find("chart");
  const shown = names.slice(0, COLOURS);
  const most = Math.max(1e3, ...samples.flatMap((sample) => [...sample.rates.values()]));
  chart.querySelectorAll("polyline").forEach((line) => line.remove());
  shown.forEach((name, index) => {
    const line = document.createElementNS(SVG, "polyline");
    const points = samples.map((sample, at) => {
      const x = samples.length < 2 ? 0 : (at / (Math.max(samples.length, 10) - 1)) * 600;
      return `${x.toFixed(1)},${(158 - ((sample.rates.get(name) ?? 0) / most) * 154).toFixed(1)}`;
    });
    line.setAttribute("points", points.join(" "));
    line.setAttribute("class", `c${index}`);
    line.setAttribute("data-name", name);
    chart.append(line);
  });
  chart.setAttribute("data-samples", samples.length);
  find("scale").textContent = samples.length ? `Top of the chart: ${rate(most)}. Payload that arrived, both ways.` : "";
  const latest = samples.at(-1);
  find("legend").replaceChildren(
    ...shown.map((name, index) => element("li", `${name}: ${rate(latest?.rates.get(name) ?? 0)}`, { class: `c${index}` })),
  );
  find("chart-text").textContent = shown.length
    ? `Throughput of ${plural(shown.length, "path")}: ${shown.map((name) => `${name} ${rate(latest?.rates.get(name) ?? 0)}`).join("; ")}.`
    : "No path has carried anything yet.";
}

function cell(name, text) {
  return element("td", text, { "data-name": name });
}

function rows(connection, each) {
  const speaks = connection.protocol === "mptcp" ? "MPTCP" : `TCP: ${connection.why_tcp ?? "?"}`;
  const paths = connection.paths.length ? connection.paths : [{}];
  return paths.map((path, index) => {
    const row = element("tr", null, path.role === null ? { class: "gone" } : {});
    const now = each.get(`${connection.id} ${path.local} ${path.remote}`);
    if (index === 0) {
      const client = element("th", connection.client, { scope: "row", rowspan: paths.length });
      const what = `${plural(connection.requests, "request")}, ${Math.round(connection.age_seconds)} s${connection.tls ? ", TLS" : ""}`;
      client.append(element("br"), element("small", what));
      const kind = element("td", speaks, { "data-name": "Speaks", rowspan: paths.length });
      if (connection.why_tcp_text) kind.title = connection.why_tcp_text;
      row.append(client, kind);
    }
    row.append(
      cell("Path", `${path.interface ?? host(path.local)} ↔ ${path.remote ?? "?"}, ${path.role ?? "gone"}`),
      cell("Sent", path.bytes_sent === null || path.bytes_sent === undefined ? "?" : bytes(path.bytes_sent)),
      cell("Received", path.bytes_received === null || path.bytes_received === undefined ? "?" : bytes(path.bytes_received)),
      cell("Now", now === undefined ? "–" : rate(now)),
      cell("Round trip", path.rtt_ms ? `${path.rtt_ms.toFixed(1)} ms` : "–"),
      cell("Sent again", path.retransmits ?? "–"),
    );
    return row;
  });
}

function show(status) {
  const each = measure(status);
  draw();
  const totals = status.totals;
  find("about").textContent =
    `Version ${status.version}, listening on ${status.address ?? "?"} with ${status.protocol === "tcp" ? `TCP (${status.why_tcp})` : status.protocol}, ` +
    `for ${plural(Math.floor(status.uptime_seconds / 60), "minute")}.`;
  const figures = {
    "Connections": totals.accepted, "by MPTCP": totals.mptcp, "by TCP": totals.tcp, "Fell back": totals.fallbacks,
    "Requests": totals.requests, "In flight": totals.in_flight, "Malformed": totals.malformed,
    "TCP refused": totals.refused_tcp, "TLS failed": totals.tls_failures, "Accept errors": totals.accept_errors,
    "Log lines lost": totals.log_lines_lost,
  };
  find("totals").replaceChildren(
    ...Object.entries(figures).map(([name, value]) => {
      const pair = element("div");
      pair.append(element("dt", name), element("dd", value));
      return pair;
    }),
    ...status.paths.map((path) => {
      const pair = element("div");
      pair.append(element("dt", `${path.protocol}, ${path.role} paths`), element("dd", `${bytes(sum(path))}, ${path.open} open`));
      return pair;
    }),
  );
  // Read aloud every half a minute at most.
  if (Date.now() - told > 30000) {
    told = Date.now();
    find("summary").textContent =
      `${plural(totals.open_mptcp, "open connection")} by MPTCP, ${totals.open_tcp} by TCP.`;
  }
  find("left-out").hidden = status.connections_left_out === 0;
  find("left-out").textContent = `${status.connections_left_out} older ones are left out here.`;
  find("connections").replaceChildren(...status.connections.flatMap((connection) => rows(connection, each)));
}

async function look() {
  const trouble = find("trouble");
  try {
    const answer = await fetch("status.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
    trouble.hidden = true;
  } catch (error) {
    trouble.textContent = `The figures are not current: ${error.message}.`;
    trouble.hidden = false;
  }
}

(async () => {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((done) => setTimeout(done, 1000));
  }
})();
