// The page: what is now, what fires, and the chart that a link leads to. Text goes in as text, never as markup.
import { drawn } from "./chart.js";
import { Format } from "./format.js";
import { Standing } from "./standing.js";

const SHOWN = [
  ["gmv", "GMV"], ["orders_paid", "Orders paid"], ["conversion_rate", "Conversion"], ["page_views", "Page views"],
  ["stockout_skus", "SKUs out of stock"],
];
const CHART_EVERY_MS = 5000;
const AGAIN_MS = 3000;
const SILENT_MS = 25000; // an open stream says something every 10 s
const ALERTS_EVERY_MS = 5000;

const at = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const standing = new Standing();
const firing = new Map(); // <fingerprint: alert>
let known = false; // whether `firing` is what fires
let during = null; // changes that came while what fires is being read; null: it is not
let nextReading = null; // the timer of the next such reading
let format = null;
let watched = { live: true, evaluated_at: null }; // whether the rules are evaluated, as was heard last
let charted = 0; // when the chart was last asked for

function made(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10000) });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error?.message ?? `${path} answers ${answer.status}`);
  return told;
}

function showNumbers(kpis) {
  at("window").textContent = `last ${kpis.window}, at ${format.time(kpis.as_of)}`;
  at("numbers").replaceChildren(...SHOWN.map(([name, title]) => {
    const box = made("div");
    box.append(made("dt", title), made("dd", format.number(name, kpis.values[name]), { "data-name": name }));
    return box;
  }));
}

function link(text, url) {
  const safe = url && /^https?:\/\//.test(url);
  return safe ? made("a", text, { href: url, rel: "noopener noreferrer" }) : "";
}

function showAlert(alert) {
  const item = made("li", "", { "data-severity": alert.severity, "data-rule": alert.rule });
  const head = made("p");
  head.append(made("strong", `${alert.severity}: ${alert.title}`));
  const since = `since ${format.time(alert.since ?? alert.changed_at)}`;
  const ack = alert.ack ? `, ${alert.ack.by} is on it` : "";
  const links = made("p");
  links.append(made("small", `${since}${ack} `), link("chart", alert.chart), " ", link("runbook", alert.runbook));
  item.append(head, made("p", alert.summary), links);
  return item;
}

function showAlerts() {
  const order = { critical: 0, warning: 1, info: 2 };
  const held = [...firing.values()].sort((a, b) => order[a.severity] - order[b.severity] || b.changed_at - a.changed_at);
  if (known) at("alerts-note").textContent = watched.live ? (held.length ? "" : "Nothing.") : unwatched();
  at("alerts").replaceChildren(...held.map(showAlert));
}

function unwatched() {
  if (watched.awaits_events) return "Nothing yet: the rules are evaluated from the first event on.";
  const since = watched.evaluated_at;
  return since === null ? "Alerts were never evaluated: what fires is not known."
    : `Alerts were not evaluated since ${format.time(since)}: what began or ended after that is not known.`;
}

async function readAlerts() {
  clearTimeout(nextReading);
  const changes = during = []; // of this reading: a later one replaces it
  try {
    const { alerts, ...told } = await ask("api/v1/alerts?state=firing");
    if (during !== changes) return;
    watched = told;
    firing.clear();
    for (const alert of [...alerts, ...changes]) take(alert); // the answer may be older than the changes
    known = true;
    during = null;
    showAlerts();
    nextReading = setTimeout(readAlerts, ALERTS_EVERY_MS);
  } catch (error) {
    if (during !== changes) return;
    known = false;
    at("alerts-note").textContent = `Not known: ${error.message}`;
    nextReading = setTimeout(readAlerts, AGAIN_MS);
  }
}

function take(alert) {
  if (alert.state === "firing") firing.set(alert.fingerprint, alert);
  else firing.delete(alert.fingerprint);
}

function changed({ alert }) {
  during?.push(alert);
  take(alert);
  showAlerts();
}

async function showChart() {
  const name = asked.get("series");
  if (!name) return;
  charted = performance.now();
  at("charted").hidden = false;
  const query = new URLSearchParams();
  for (const key of ["window", "scope", "value", "start", "end"]) if (asked.get(key)) query.set(key, asked.get(key));
  const end = Number(asked.get("end")) || Date.now();
  const start = Number(asked.get("start")) || end - 3_600_000;
  query.set("step", Math.max(1, Math.ceil((end - start) / 600_000)) * 1000);
  const of = [asked.get("scope"), asked.get("value")].filter((part) => part && part !== "all").join(" ");
  at("chart-title").textContent = [name, of].filter(Boolean).join(", ");
  try {
    const told = await ask(`api/v1/series/${encodeURIComponent(name)}?${query}`);
    at("chart").replaceChildren(drawn(told.points, Number(asked.get("since")) || null, format, name));
    at("chart-note").textContent = `window ${told.window}, times in ${told.timezone}`;
  } catch (error) {
    at("chart-note").textContent = `No chart: ${error.message}`;
  }
}

function follow() {
  const events = new EventSource("api/v1/stream?window=1m");
  let silence = null;
  const again = () => {
    standing.following = false;
    clearTimeout(silence);
    events.close();
    setTimeout(follow, AGAIN_MS);
  };
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(again, SILENT_MS); // a connection may be dead, or held back by a proxy, and yet open
  };
  const heard = () => {
    standing.following = true;
    listen();
  };
  listen();
  events.onopen = readAlerts;
  events.onerror = () => {
    standing.following = false;
    if (events.readyState === EventSource.CLOSED) again(); // refused: it would not try again
  };
  for (const name of ["kpis", "alert", "gap", "heartbeat"]) events.addEventListener(name, heard);
  events.addEventListener("kpis", (event) => {
    const kpis = JSON.parse(event.data);
    standing.counted(kpis);
    showNumbers(kpis);
    if (!asked.get("end") && performance.now() - charted > CHART_EVERY_MS) showChart();
  });
  events.addEventListener("alert", (event) => changed(JSON.parse(event.data)));
  events.addEventListener("gap", (event) => JSON.parse(event.data).of === "alerts" && readAlerts());
}

async function begin() {
  try {
    format = new Format(await ask("api/v1/definitions"));
  } catch {
    setTimeout(begin, AGAIN_MS);
    return;
  }
  if (asked.get("end")) {
    const on = new URLSearchParams(asked);
    on.delete("end");
    at("until-now").href = `?${on}`;
    at("until-now").hidden = false;
  }
  follow();
  showChart();
}

standing.watch();
begin();
