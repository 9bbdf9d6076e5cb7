// The page: current numbers, firing alerts, and the chart of a link. All data is inserted as text, never as markup.
import { drawChart } from "./chart.js";
import { Format } from "./format.js";
import { Status } from "./status.js";

const SHOWN = [
  ["gmv", "GMV"], ["orders_paid", "Orders paid"], ["conversion_rate", "Conversion"], ["page_views", "Page views"],
  ["stockout_skus", "SKUs out of stock"],
];
const CHART_EVERY_MS = 5000;
const RETRY_MS = 3000;
const SILENT_MS = 25000; // an open stream has an event every 10 s
const ALERTS_EVERY_MS = 5000;

const at = (id) => document.getElementById(id);
const params = new URLSearchParams(location.search);
const status = new Status();
const firing = new Map(); // <fingerprint: alert>
let known = false; // whether `firing` is complete
let pending = null; // changes received while alerts are being read; null: they are not
let nextRead = null; // timer
let format = null;
let evaluation = { live: true, evaluated_at: null }; // whether rules are evaluated, of the last answer
let chartedAt = 0;

function create(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error?.message ?? `${path} answered ${answer.status}`);
  return body;
}

function showNumbers(kpis) {
  at("window").textContent = `last ${kpis.window}, at ${format.time(kpis.as_of)}`;
  at("numbers").replaceChildren(...SHOWN.map(([name, title]) => {
    const box = create("div");
    box.append(create("dt", title), create("dd", format.number(name, kpis.values[name]), { "data-name": name }));
    return box;
  }));
}

function link(text, url) {
  const safe = url && /^https?:\/\//.test(url);
  return safe ? create("a", text, { href: url, rel: "noopener noreferrer" }) : "";
}

function showAlert(alert) {
  const item = create("li", "", { "data-severity": alert.severity, "data-rule": alert.rule });
  const head = create("p");
  head.append(create("strong", `${alert.severity}: ${alert.summary}`)); // it begins with the title
  const since = `since ${format.time(alert.since ?? alert.changed_at)}`;
  const ack = alert.ack ? `, acknowledged by ${alert.ack.by}` : "";
  const links = create("p");
  links.append(create("small", `${since}${ack} `), link("chart", alert.chart), " ", link("runbook", alert.runbook));
  item.append(head, links);
  return item;
}

function showAlerts() {
  const order = { critical: 0, warning: 1, info: 2 };
  const sorted = [...firing.values()].sort((a, b) => order[a.severity] - order[b.severity] || b.changed_at - a.changed_at);
  if (known) at("alerts-note").textContent = evaluation.live ? (sorted.length ? "" : "No firing alerts.") : notEvaluated();
  at("alerts").replaceChildren(...sorted.map(showAlert));
}

function notEvaluated() {
  if (evaluation.awaits_events) return "No alerts yet: rules are evaluated after the first event.";
  const since = evaluation.evaluated_at;
  return since === null ? "Alerts were never evaluated."
    : `Alerts were not evaluated since ${format.time(since)}; later changes are unknown.`;
}

async function readAlerts() {
  clearTimeout(nextRead);
  const changes = pending = []; // of this read; a later one replaces it
  try {
    const { alerts, ...rest } = await ask("api/v1/alerts?state=firing");
    if (pending !== changes) return;
    evaluation = rest;
    firing.clear();
    for (const alert of [...alerts, ...changes]) apply(alert); // the answer may be older than the changes
    known = true;
    pending = null;
    showAlerts();
    nextRead = setTimeout(readAlerts, ALERTS_EVERY_MS);
  } catch (error) {
    if (pending !== changes) return;
    known = false;
    at("alerts-note").textContent = `Alerts unknown: ${error.message}`;
    nextRead = setTimeout(readAlerts, RETRY_MS);
  }
}

function apply(alert) {
  if (alert.state === "firing") firing.set(alert.fingerprint, alert);
  else firing.delete(alert.fingerprint);
}

function changed({ alert }) {
  pending?.push(alert);
  apply(alert);
  showAlerts();
}

async function showChart() {
  const name = params.get("series");
  if (!name) return;
  chartedAt = performance.now();
  at("charted").hidden = false;
  const query = new URLSearchParams();
  for (const key of ["window", "scope", "value", "start", "end"]) if (params.get(key)) query.set(key, params.get(key));
  const end = Number(params.get("end")) || Date.now();
  const start = Number(params.get("start")) || end - 3_600_000;
  query.set("step", Math.max(1, Math.ceil((end - start) / 600_000)) * 1000);
  const of = [params.get("scope"), params.get("value")].filter((part) => part && part !== "all").join(" ");
  at("chart-title").textContent = [name, of].filter(Boolean).join(", ");
  try {
    const series = await ask(`api/v1/series/${encodeURIComponent(name)}?${query}`);
    at("chart").replaceChildren(drawChart(series.points, Number(params.get("since")) || null, format, name));
    at("chart-note").textContent = `window ${series.window}, times in ${series.timezone}`;
  } catch (error) {
    at("chart-note").textContent = `No chart: ${error.message}`;
  }
}

function follow() {
  const events = new EventSource("api/v1/stream?window=1m");
  let silence = null;
  const reconnect = () => {
    status.following = false;
    clearTimeout(silence);
    events.close();
    setTimeout(follow, RETRY_MS);
  };
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(reconnect, SILENT_MS); // the connection may be open and dead, or buffered by a proxy
  };
  const received = () => {
    status.following = true;
    listen();
  };
  listen();
  events.onopen = readAlerts;
  events.onerror = () => {
    status.following = false;
    if (events.readyState === EventSource.CLOSED) reconnect(); // after a refusal EventSource does not retry
  };
  for (const name of ["kpis", "alert", "gap", "heartbeat"]) events.addEventListener(name, received);
  events.addEventListener("kpis", (event) => {
    const kpis = JSON.parse(event.data);
    status.update(kpis);
    showNumbers(kpis);
    if (!params.get("end") && performance.now() - chartedAt > CHART_EVERY_MS) showChart();
  });
  events.addEventListener("alert", (event) => changed(JSON.parse(event.data)));
  events.addEventListener("gap", (event) => JSON.parse(event.data).of === "alerts" && readAlerts());
}

async function begin() {
  try {
    format = new Format(await ask("api/v1/definitions"));
  } catch {
    setTimeout(begin, RETRY_MS);
    return;
  }
  if (params.get("end")) {
    const query = new URLSearchParams(params);
    query.delete("end");
    at("until-now").href = `?${query}`;
    at("until-now").hidden = false;
  }
  follow();
  showChart();
}

status.watch();
begin();
