"use strict";
// Tables and charts of the report: plain functions on the JSON of #data. Charts by Observable Plot, inline SVG.
(() => {
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
  const BLUE = "var(--blue)", RED = "var(--red)";

  function ofRun() {
    const columns = Object.fromEntries(Object.entries(data.workers).map(([name, column]) => [name, decoded(column)]));
    const rows = columns.run.map((_, i) => Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, column[i]])));
    const runs = [...new Set(columns.run)];
    const valued = "value" in columns;
    const means = () => {
      const keys = Object.keys(columns).filter((key) => !["run", "worker", "error"].includes(key));
      return [...d3.group(rows, (row) => row.worker)].map(([worker, own]) => ({
        worker, runs: own.length, ...Object.fromEntries(keys.map((key) => [key, d3.mean(own, (row) => row[key])])),
        error: valued && own.every((row) => known(row.error)) ? Math.hypot(...own.map((row) => row.error)) / own.length : null,
      }));
    };
    const of = (run) => (run === "all" ? means() : rows.filter((row) => String(row.run) === run));
    const range = (row) => (!known(row.error) ? "unknown" : row.error === 0 ? "exact"
      : `${shown(row.value - 1.96 * row.error)} to ${shown(row.value + 1.96 * row.error)}`);
    const head = [
      { key: "worker", head: "Worker", text: true },
      { key: "points", head: "Points" },
      ...(valued ? [
        { key: "value", head: "Shapley value" },
        { key: "error", head: "95 % interval", shown: range },
        { key: "gap", head: "Rank gap", title: "Rank by value − rank by points: above 0, placed higher by points than by value" },
      ] : []),
      ...["pay", "bad", "flagged", "runs"].filter((key) => key in columns || (key === "runs" && runs.length > 1))
        .map((key) => ({ key, head: key[0].toUpperCase() + key.slice(1) })),
    ];
    let run = runs.length > 1 ? "all" : String(runs[0]), chosen = null, here = of(run);
    const options = [...(runs.length > 1 ? [["all", `All ${runs.length} runs, means by worker`]] : []), ...runs.map((r) => [String(r), `Run ${r}`])];
    const redraw = () => charts.forEach((again) => again());
    const table = new Table(id("workers"), {
      label: "Workers", file: "workers.csv", columns: head, sorted: ["points", -1],
      tools: runs.length > 1 ? [select("Run", options, run, (value) => { run = value; here = of(run); table.show(here); redraw(); })] : [],
      choose: (worker) => { chosen = worker; redraw(); },
    });
    table.show(here);
    if (data.whole > rows.length) id("workers").append(make("p", { class: "note" }, `The first ${spaced(rows.length)} of ${spaced(data.whole)} rows; all: workers.parquet.`));
    if (valued) chart(id("charts"), "Points against Shapley values", "Each dot is a worker; red: bad ones. Choose a dot to find it in the table.", (width) => {
      const dots = here.filter((row) => known(row.value) && known(row.points));
      const plot = Plot.plot({
        width, height: Math.min(width * 0.72, 420), grid: true, x: { label: "Shapley value →", nice: true }, y: { label: "↑ Points", nice: true },
        marks: [
          Plot.ruleX([0], { strokeOpacity: 0.3 }),
          ...[[BLUE, dots.filter((row) => !row.bad)], [RED, dots.filter((row) => row.bad)]].map(([colour, own]) => dotted(own, "value", "points", colour)),
          Plot.dot(dots.filter((row) => row.worker === chosen), { x: "value", y: "points", r: 8, stroke: "currentColor", strokeWidth: 2 }),
          Plot.tip(dots, Plot.pointer({ x: "value", y: "points", title: (row) => `${row.worker}\npoints ${shown(row.points)}\nvalue ${shown(row.value)}\nrank gap ${shown(row.gap)}` })), // its channels are the scales', too
        ],
      });
      plot.addEventListener("click", () => { if (plot.value) table.pick(plot.value); });
      return plot;
    });
    chart(id("charts"), "Distance to the target by round", data.runs.length > 1 ? "Mean over the runs with one standard error; thin: the runs; red: the one chosen." : "Of the one run.", (width) => {
      const mean = data.rounds.map((round, i) => ({ round, mean: data.mean[i], error: data.error[i] ?? 0 }));
      const lines = data.runs.flatMap((r, j) => data.rounds.map((round, i) => ({ run: String(r), round, distance: data.lines[j][i] })));
      return Plot.plot({
        width, height: Math.min(width * 0.6, 340), grid: true, x: { label: "Round →" }, y: { label: "↑ Distance", zero: true },
        marks: [
          data.runs.length > 1 ? Plot.lineY(lines, { x: "round", y: "distance", z: "run", stroke: BLUE, strokeOpacity: 0.25, strokeWidth: 1 }) : null,
          data.runs.length > 1 ? Plot.areaY(mean, { x: "round", y1: (d) => d.mean - d.error, y2: (d) => d.mean + d.error, fill: BLUE, fillOpacity: 0.2 }) : null,
          Plot.lineY(mean, { x: "round", y: "mean", stroke: BLUE, strokeWidth: 2 }),
          Plot.lineY(lines.filter((row) => row.run === run && data.runs.length > 1), { x: "round", y: "distance", stroke: RED, strokeWidth: 2 }),
          known(data.within) ? Plot.ruleY([data.within], { stroke: "currentColor", strokeDasharray: "4 3", strokeOpacity: 0.6 }) : null,
          Plot.tip(mean, Plot.pointerX({ x: "round", y: "mean", title: (d) => `round ${d.round}\nmean ${shown(d.mean)}` + (d.error ? ` ± ${shown(d.error)}` : "") })),
        ],
      });
    });
  }

  function ofSweep() {
    const n = data.fields.length ? data.fields[0].codes.length : data.metrics[0].mean.length;
    const rows = d3.range(n).map((i) => {
      const row = { point: i };
      for (const field of data.fields) row[field.name] = field.levels[field.codes[i]] ?? "–";
      for (const metric of data.metrics) { row[metric.name] = metric.mean[i]; row[`${metric.name}_se`] = metric.se[i]; }
      return row;
    });
    const rank = new Map(data.fields.map((field) => [field.name, new Map(field.levels.map((level, i) => [level, i]))]));
    const varying = data.fields.filter((field) => field.levels.length > 1);
    const filters = new Map();
    const wanted = data.metrics.find((m) => m.name === "pearson_accurate" && m.mean.some(known)) ?? data.metrics.find((m) => m.mean.some(known)) ?? data.metrics[0];
    let metric = wanted, [across, down] = [varying[0], varying[1]];
    const both = (row, name) => (known(row[name]) ? shown(row[name]) + (known(row[`${name}_se`]) ? ` ± ${shown(Number(row[`${name}_se`].toPrecision(2)))}` : "") : "–");
    const here = () => rows.filter((row) => [...filters].every(([field, level]) => row[field] === level));
    const table = new Table(id("points"), {
      label: "Points of the sweep", file: "points.csv", sorted: [metric.name, metric.less ? 1 : -1],
      columns: [
        ...data.fields.map((field) => ({ key: field.name, head: field.words, text: true, order: (row) => rank.get(field.name).get(row[field.name]) })),
        ...data.metrics.map((m) => ({ key: m.name, head: m.head, title: m.words, shown: (row) => both(row, m.name) })),
      ],
    });
    const redraw = () => { table.show(here()); best(); charts.forEach((again) => again()); };
    const bar = id("filters");
    bar.append(select("Measure", data.metrics.map((m) => [m.name, m.words]), metric.name, (name) => {
      metric = data.metrics.find((m) => m.name === name); table.by = [name, metric.less ? 1 : -1]; redraw();
    }));
    for (const field of varying) {
      bar.append(select(field.words, [["", "all"], ...field.levels.slice(0, 500).map((level, i) => [String(i), level])], "", (value) => {
        value === "" ? filters.delete(field.name) : filters.set(field.name, field.levels[Number(value)]); redraw();
      }));
    }
    if (data.whole > n) bar.append(make("p", { class: "note" }, `The first ${spaced(n)} of ${spaced(data.whole)} points; all: points.parquet.`));
    function best() {
      const way = metric.less ? 1 : -1;
      const top = here().filter((row) => known(row[metric.name])).sort((a, b) => way * (a[metric.name] - b[metric.name])).slice(0, 5);
      const words = (row) => varying.map((field) => `${field.words} ${row[field.name]}`).join(", ") || "the one point";
      id("best").replaceChildren(make("h3", {}, `Best by: ${metric.words}`), make("ol", {}, ...top.map((row) =>
        make("li", {}, make("b", {}, both(row, metric.name)), known(row[`${metric.name}_se`])
          ? ` (95 %: ${shown(row[metric.name] - 1.96 * row[`${metric.name}_se`])} to ${shown(row[metric.name] + 1.96 * row[`${metric.name}_se`])})` : "", ` ${words(row)}`))));
    }
    if (varying.length) chart(id("charts"), "Main effects", "Mean of the measure over all points that have a setting; bars: one standard error over these points.", (width) => {
      const effects = varying.flatMap((field) => [...d3.group(here().filter((row) => known(row[metric.name])), (row) => row[field.name])]
        .map(([level, own]) => ({ field: field.words, level, at: rank.get(field.name).get(level), mean: d3.mean(own, (row) => row[metric.name]),
          error: own.length > 1 ? d3.deviation(own, (row) => row[metric.name]) / Math.sqrt(own.length) : 0, n: own.length }))
        .sort((a, b) => a.at - b.at).slice(0, 60));
      const label = (d) => `${d.field}: ${d.level}`;
      return Plot.plot({
        width, marginLeft: Math.min(220, width * 0.42), height: 60 + 22 * effects.length, x: { grid: true, label: metric.words + " →" }, y: { label: null, domain: effects.map(label) },
        marks: [
          Plot.ruleX([d3.mean(here(), (row) => row[metric.name])].filter(known), { strokeDasharray: "4 3", strokeOpacity: 0.6 }),
          Plot.ruleY(effects, { y: label, x1: (d) => d.mean - d.error, x2: (d) => d.mean + d.error, stroke: BLUE, strokeWidth: 2 }),
          Plot.dot(effects, { y: label, x: "mean", r: 4, fill: BLUE }),
          Plot.tip(effects, Plot.pointer({ y: label, x: "mean", title: (d) => `${label(d)}\n${shown(d.mean)} ± ${shown(d.error)}\n${spaced(d.n)} points` })),
        ],
      });
    });
    if (varying.length > 1) {
      const pairs = varying.map((field) => [field.name, field.words]);
      const tools = make("div", { class: "tools" },
        select("Across", pairs, across.name, (name) => { across = varying.find((f) => f.name === name); heat(); }),
        select("Down", pairs, down.name, (name) => { down = varying.find((f) => f.name === name); heat(); }));
      const host = make("div", {}, tools);
      id("charts").append(host);
      const heat = chart(host, "Two settings together", "Mean of the measure over all other settings.", (width) => {
        const cells = d3.flatRollup(here().filter((row) => known(row[metric.name])), (own) => d3.mean(own, (row) => row[metric.name]), (row) => row[across.name], (row) => row[down.name])
          .map(([x, y, mean]) => ({ x, y, mean }));
        const few = cells.length <= 80;
        return Plot.plot({
          width, marginLeft: Math.min(160, width * 0.3), x: { label: across.words, domain: across.levels.slice(0, 60) }, y: { label: down.words, domain: down.levels.slice(0, 60) },
          color: { scheme: "YlGnBu", legend: true, label: metric.words },
          marks: [
            Plot.cell(cells, { x: "x", y: "y", fill: "mean", inset: 0.5 }),
            few ? Plot.text(cells, { x: "x", y: "y", text: (d) => shown(Number(d.mean.toPrecision(3))), fill: "black", stroke: "white", strokeWidth: 3 }) : null,
            Plot.tip(cells, Plot.pointer({ x: "x", y: "y", title: (d) => `${d.x}, ${d.y}\n${shown(d.mean)}` })),
          ],
        });
      });
    }
    table.show(here());
    best();
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.addEventListener("click", async () => {
      const text = id(button.dataset.copy).textContent.trim();
      try { await navigator.clipboard.writeText(text); } catch { // a page from a file may not write there
        const area = make("textarea"); area.value = text; document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
      }
      const before = button.textContent;
      button.textContent = "copied";
      setTimeout(() => { button.textContent = before; }, 1200);
    });
  }
  for (const button of document.querySelectorAll("button[data-print]")) button.addEventListener("click", () => print());
  const texts = id("sought");
  if (texts) texts.addEventListener("input", () => {
    const sought = texts.value.toLowerCase();
    for (const row of document.querySelectorAll(".outputs tbody tr")) row.hidden = !row.textContent.toLowerCase().includes(sought);
  });
  document.documentElement.classList.add("live");
  if (data.kind === "run") ofRun();
  if (data.kind === "sweep") ofSweep();
  charts.forEach((again) => again());
})();
