"use strict";
// What the scripts of a page share: plain functions on the JSON of #data, a table, a chart by Observable Plot (inline SVG).
const data = JSON.parse(document.getElementById("data").textContent);
const id = (name) => document.getElementById(name);
const make = (tag, given = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};
const decoded = (column) => (Array.isArray(column) ? column : column.codes.map((code) => column.levels[code] ?? "–"));
const known = (value) => value != null && value === value;
const shown = (value) => {
  if (!known(value)) return "–";
  if (typeof value !== "number") return String(value);
  const text = Number.isInteger(value) && Math.abs(value) < 1e7 ? String(value) : String(Number(value.toPrecision(4)));
  return text.replace(/^-/, "−");
};
// the error with two significant digits, the mean as far as those reach, as everywhere on the page
const withError = (mean, error) => {
  if (!known(error) || error <= 0) return shown(mean);
  const decimals = Math.max(0, 1 - Math.floor(Math.log10(error)));
  return decimals > 6 ? `${shown(mean)} ± ${shown(error)}` : `${mean.toFixed(decimals).replace(/^-/, "−")} ± ${error.toFixed(decimals)}`;
};
const spaced = (number) => number.toLocaleString("en");
const save = (name, type, text) => {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
};
// a text that a spreadsheet would take for a formula gets an apostrophe before it
const cell = (value) => {
  if (!known(value)) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? "'" + value : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const select = (label, options, chosen, change) => {
  const list = make("select", { onchange: () => change(list.value) });
  for (const [value, words] of options) list.append(make("option", { value, selected: value === chosen }, words));
  return make("label", {}, label + " ", list);
};

/** A table that sorts by its heads, is searched, and shows a page of rows at a time. */
class Table {
  constructor(host, { label, file, columns, sorted, tools = [], choose = null }) {
    Object.assign(this, { columns, choose, file, by: sorted, page: 0, size: 25, rows: [], sought: "", chosen: null });
    const search = make("input", { type: "search", placeholder: "Search", "aria-label": `Search ${label}` });
    search.addEventListener("input", () => { this.sought = search.value.toLowerCase(); this.page = 0; this.draw(); });
    const csv = make("button", { type: "button", onclick: () => this.csv() }, "CSV");
    this.said = make("span", { role: "status", class: "note" });
    const move = (step) => () => { this.page += step; this.draw(); };
    this.before = make("button", { type: "button", "aria-label": "Previous rows", onclick: move(-1) }, "‹");
    this.after = make("button", { type: "button", "aria-label": "Next rows", onclick: move(1) }, "›");
    this.heads = columns.map((column) => {
      const button = make("button", { type: "button", title: column.title ?? null, onclick: () => this.sort(column.key) }, column.head);
      return make("th", { scope: "col", class: column.text ? null : "number" }, button);
    });
    this.body = make("tbody");
    const table = make("table", {}, make("caption", { class: "hidden" }, label), make("thead", {}, make("tr", {}, ...this.heads)), this.body);
    const scroll = make("div", { class: "broad", tabindex: "0", role: "region", "aria-label": label }, table);
    host.replaceChildren(make("div", { class: "tools" }, ...tools, search, csv), scroll,
      make("div", { class: "tools" }, this.before, this.after, this.said));
  }
  show(rows) { this.rows = rows; this.page = 0; this.draw(); }
  sort(key) {
    this.by = this.by[0] === key ? [key, -this.by[1]] : [key, this.columns.find((c) => c.key === key).text ? 1 : -1];
    this.page = 0; this.draw();
  }
  found() {
    const texts = this.columns.filter((column) => column.text).map((column) => column.key);
    const rows = this.sought
      ? this.rows.filter((row) => texts.some((key) => String(row[key]).toLowerCase().includes(this.sought)))
      : this.rows.slice();
    const [key, way] = this.by;
    const { order } = this.columns.find((column) => column.key === key);
    const worth = order ?? ((row) => row[key]);
    const before = (a, b) => (a < b ? -way : a > b ? way : 0);
    return rows.sort((a, b) => {
      const [x, y] = [worth(a), worth(b)];
      return known(x) && known(y) ? before(x, y) : Number(known(y)) - Number(known(x)); // what is unknown comes last
    });
  }
  draw() {
    const rows = this.found();
    const last = Math.max(0, Math.ceil(rows.length / this.size) - 1);
    this.page = Math.min(Math.max(this.page, 0), last);
    const [from, to] = [this.page * this.size, Math.min((this.page + 1) * this.size, rows.length)];
    this.body.replaceChildren(...rows.slice(from, to).map((row) => this.line(row)));
    this.columns.forEach((column, i) => {
      const way = column.key === this.by[0] ? (this.by[1] > 0 ? "ascending" : "descending") : null;
      way ? this.heads[i].setAttribute("aria-sort", way) : this.heads[i].removeAttribute("aria-sort");
    });
    this.before.disabled = this.page === 0;
    this.after.disabled = this.page === last;
    this.said.textContent = rows.length ? `${spaced(from + 1)} to ${spaced(to)} of ${spaced(rows.length)}` : "none";
  }
  line(row) {
    const cells = this.columns.map((column, i) => {
      const text = column.shown ? column.shown(row) : shown(row[column.key]);
      const name = i === 0 && this.choose;
      const inner = name ? make("button", { type: "button", class: "name", "aria-pressed": String(row[column.key] === this.chosen),
        onclick: () => this.pick(row) }, make("bdi", {}, text)) : text;
      return make(i === 0 ? "th" : "td", { scope: i === 0 ? "row" : null, class: column.text ? null : "number" }, inner);
    });
    return make("tr", { class: this.choose && row[this.columns[0].key] === this.chosen ? "chosen" : null }, ...cells);
  }
  pick(row) {
    const key = this.columns[0].key;
    this.chosen = row && row[key] !== this.chosen ? row[key] : null;
    if (this.chosen != null) this.page = Math.floor(Math.max(0, this.found().findIndex((r) => r[key] === this.chosen)) / this.size);
    this.draw();
    this.choose(this.chosen);
  }
  csv() {
    const lines = [this.columns, ...this.found()].map((row, i) =>
      this.columns.map((column) => cell(i === 0 ? column.key : row[column.key])).join(","));
    save(this.file, "text/csv", lines.join("\r\n") + "\r\n");
  }
}

/** A chart with its title, made anew for the width that there is; SVG to download. */
const charts = [];
const chart = (host, title, note, draw) => {
  const place = make("div", { class: "chart", role: "img", "aria-label": `${title}. ${note}` });
  const svg = make("button", { type: "button", onclick: () => {
    const found = place.querySelector("svg[viewBox]") ?? place.querySelector("svg");
    const copy = found.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    save(title.toLowerCase().replace(/\W+/g, "_") + ".svg", "image/svg+xml", new XMLSerializer().serializeToString(copy));
  } }, "SVG");
  host.append(make("figure", {}, make("h3", {}, title), place, make("figcaption", {}, note + " ", svg)));
  const again = () => {
    const width = Math.max(280, Math.min(place.clientWidth || 640, 720));
    const node = draw(width);
    node.setAttribute("aria-hidden", "true"); // its parts are no words; the numbers stand in the table
    place.replaceChildren(node);
    place.tabIndex = place.scrollWidth > place.clientWidth ? 0 : -1; // what can be moved aside can be so by keys
  };
  charts.push(again); // drawn when all have their places
  return again;
};
let last = innerWidth;
addEventListener("resize", () => { if (innerWidth !== last) { last = innerWidth; charts.forEach((again) => again()); } });
/** Dots as one path: thousands of circles take a browser seconds. */
const dotted = (rows, x, y, colour) => (index, scales) => {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", rows.map((row) => `M${scales.x(row[x]).toFixed(1)},${scales.y(row[y]).toFixed(1)}h0`).join(""));
  for (const [name, value] of Object.entries({ stroke: colour, "stroke-width": 5.5, "stroke-linecap": "round", "stroke-opacity": 0.65, class: "dots" })) path.setAttribute(name, value);
  return path;
};
/** Of an axis that counts: no half of a round. */
const whole = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : "");
const BLUE = "var(--blue)", RED = "var(--red)";
/** Means with their intervals, one below the other, against nothing at all. */
function forest(rows, words, width) {
  return Plot.plot({
    width, marginLeft: Math.min(220, width * 0.42), height: 60 + 24 * Math.max(rows.length, 1), x: { grid: true, label: words + ", difference →" },
    y: { label: null, domain: rows.map((row) => row.words) },
    marks: [
      Plot.ruleX([0], { strokeOpacity: 0.7 }),
      Plot.ruleY(rows.filter((row) => known(row.low) && row.low < row.high), { y: "words", x1: "low", x2: "high", stroke: BLUE, strokeWidth: 2 }),
      Plot.dot(rows, { y: "words", x: "mean", r: 4, fill: BLUE }),
      Plot.tip(rows, Plot.pointer({ y: "words", x: "mean", title: (row) => `${row.words}\n${shown(row.mean)}` + (known(row.low) ? ` (${shown(row.low)} to ${shown(row.high)})` : "") + `\n${spaced(row.n)} runs` })),
    ],
  });
}

/** By the kind of #data: who draws it. */
const DRAWN = {};
