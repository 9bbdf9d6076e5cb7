// Whether what is shown may be taken for the present, and how old it is. What is not known to be live is not called so.
const EVERY_MS = 3000;
const WITHIN_MS = 2500;
const UNKNOWN_SINCE_MS = 1;

export class Standing {
  constructor() {
    this.following = false; // whether something came over the stream lately
    this.asOf = null;
    this.aged = 0; // how old the numbers were when they came, ms
    this.cameAt = 0;
    this.readyAt = -Infinity; // when the server last said that it is ready
    this.reasons = ["nothing was heard of the server yet"];
    this.incompleteSince = null; // event time, ms: from then on events are missing in the numbers
  }

  /** Numbers have come. */
  counted(kpis) {
    this.asOf = kpis.as_of;
    this.aged = kpis.age_ms;
    this.cameAt = performance.now();
    this.show();
  }

  /** Ask the server how it stands, again and again. */
  async watch() {
    try {
      const answer = await fetch("readyz", { signal: AbortSignal.timeout(WITHIN_MS) });
      const told = await answer.json();
      if (!Array.isArray(told.reasons)) throw new Error("not what /readyz says: somebody else's answer, or an error");
      this.reasons = told.reasons;
      this.incompleteSince = told.incomplete_since ?? null;
      if (told.ready) this.readyAt = performance.now();
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
    if (late && !reasons.length) reasons.push("the server has not said for a while that it is ready");
    if (!this.following) reasons.push("nothing comes over the stream of numbers; trying again");
    const live = !reasons.length && this.asOf !== null ? "yes" : "no";
    document.getElementById("standing").dataset.live = document.querySelector("main").dataset.live = live;
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
    const seconds = Math.max(0, Math.round((this.aged + performance.now() - this.cameAt) / 1000));
    const [count, unit] = seconds < 120 ? [seconds, "s"] : seconds < 7200 ? [Math.round(seconds / 60), "min"]
      : [Math.round(seconds / 3600), "h"];
    return `numbers are ${count} ${unit} old`;
  }
}
