// Formats numbers and times for people, in the shop's currency and time zone.
export class Format {
  constructor({ definitions, timezone, currency, currency_exponent }) {
    this.units = new Map(definitions.map((one) => [one.name, one.unit]));
    this.minor = 10 ** currency_exponent;
    this.money = new Intl.NumberFormat("en", { style: "currency", currency, maximumFractionDigits: currency_exponent });
    this.plain = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
    this.share = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 2 });
    this.timezone = timezone;
    this.clock = new Intl.DateTimeFormat("en-GB", { timeZone: timezone, timeStyle: "medium" });
    this.day = new Intl.DateTimeFormat("en-GB", { timeZone: timezone, dateStyle: "medium", timeStyle: "medium" });
  }

  number(name, value) {
    if (value === null || value === undefined) return "–";
    const unit = this.units.get(name);
    if (unit === "money") return this.money.format(value / this.minor);
    if (unit === "ratio" && name.includes("rate")) return this.share.format(value);
    const plain = this.plain.format(value);
    return ["count", "ratio", undefined].includes(unit) ? plain : `${plain} ${unit}`;
  }

  time(ms) {
    return `${this.day.format(ms)} ${this.timezone}`;
  }

  hour(ms) {
    return this.clock.format(ms);
  }
}
