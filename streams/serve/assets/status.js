// Shows the age of the numbers and whether they are live. Without a recent "ready" of the server they are not live.
const EVERY_MS = 3000;
const WITHIN_MS = 2500;
const UNKNOWN_SINCE_MS = 1;

export class Status {
  constructor() {
    this.following = false; // whether the stream delivered an event lately
    this.asOf = null;
    this.ageAtReceipt = 0; // ms
    this.receivedAt = 0;
    this.readyAt = -Infinity; // when the server was last ready
    this.reasons = ["waiting for the server"];
    this.incompleteSince = null; // event time, ms, from which events are missing
  }

  /** Called with each `kpis` event. */
  update(kpis) {
    this.asOf = kpis.as_of;
    this.ageAtReceipt = kpis.age_ms;
    this.receivedAt = performance.now();
    this.show();
  }

  /** Poll the readiness of the server. */
  async watch() {
    try {
      const answer = await fetch("readyz", { signal: AbortSignal.timeout(WITHIN_MS) });
      const readiness = await answer.json();
      if (!Array.isArray(readiness.reasons)) throw new Error("not an answer of /readyz");
      this.reasons = readiness.reasons;
      this.incompleteSince = readiness.incomplete_since ?? null;
      if (readiness.ready) this.readyAt = performance.now();
    } catch {
      this.reasons = ["the server does not answer"];
    } finally {
      setTimeout(() => this.watch(), EVERY_MS);
    }
    this.show();
  }

  show() {
    const late = performance.now() - this.readyAt > 2 * EVERY_MS + WITHIN_MS;
    const reasons = [...this.reasons];
    if (late && !reasons.length) reasons.push("the server has not been ready for some seconds");
    if (!this.following) reasons.push("the stream of numbers is interrupted; reconnecting");
    const live = !reasons.length && this.asOf !== null ? "yes" : "no";
    document.getElementById("status").dataset.live = document.querySelector("main").dataset.live = live;
    document.getElementById("live").textContent = live === "yes" ? "live" : "not live";
    document.getElementById("age").textContent = this.age();
    const shown = reasons.map((reason) => Object.assign(document.createElement("li"), { textContent: reason }));
    document.getElementById("reasons").replaceChildren(...shown);
    const incomplete = document.getElementById("incomplete");
    incomplete.hidden = this.incompleteSince === null;
    incomplete.textContent = `incomplete since ${this.since()}: events were lost before they were counted`;
  }

  since() {
    return this.incompleteSince > UNKNOWN_SINCE_MS ? new Date(this.incompleteSince).toLocaleString() : "an unknown time";
  }

  age() {
    if (this.asOf === null) return "no numbers yet";
    const seconds = Math.max(0, Math.round((this.ageAtReceipt + performance.now() - this.receivedAt) / 1000));
    const [count, unit] = seconds < 120 ? [seconds, "s"] : seconds < 7200 ? [Math.round(seconds / 60), "min"]
      : [Math.round(seconds / 3600), "h"];
    return `numbers are ${count} ${unit} old`;
  }
}
