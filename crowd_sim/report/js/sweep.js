"use strict";
// Of a sweep: filters, best points, main effects, two settings together, the table of points.
DRAWN.sweep = () => {
  const n = data.fields.length ? data.fields[0].codes.length : data.metrics[0].mean.length;
  const rows = d3.range(n).map((i) => {
    const row = { point: i };
    for (const field of data.fields) row[field.name] = field.levels[field.codes[i]] ?? "–";
    for (const metric of data.metrics) { row[metric.name] = metric.mean[i]; row[`${metric.name}_se`] = metric.se[i]; row[`${metric.name}_n`] = Array.isArray(metric.n) ? metric.n[i] : metric.n; }
    return row;
  });
  const rank = new Map(data.fields.map((field) => [field.name, new Map(field.levels.map((level, i) => [level, i]))]));
  const varying = data.fields.filter((field) => field.levels.length > 1);
  const filters = new Map();
  const wanted = data.metrics.find((m) => m.name === "pearson_accurate" && m.mean.some(known)) ?? data.metrics.find((m) => m.mean.some(known)) ?? data.metrics[0];
  let metric = wanted, [across, down] = [varying[0], varying[1]];
  const both = (row, name) => (known(row[name]) ? withError(row[name], row[`${name}_se`]) : "–");
  const interval = (row, name) => {
    const mean = row[name], half = data.t[row[`${name}_n`]] * row[`${name}_se`]; // by Student's t; of one run there is none
    const cut = (end) => (/^(pearson|spearman)_/.test(name) ? Math.max(-1, Math.min(1, end)) : end); // no correlation is beyond
    return known(row[`${name}_se`]) && known(half) ? ` (95 %: ${shown(cut(mean - half))} to ${shown(cut(mean + half))})` : "";
  };
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
    bar.append(select(field.words, [["", "all"], ...field.levels.map((level, i) => [String(i), level])], "", (value) => {
      value === "" ? filters.delete(field.name) : filters.set(field.name, field.levels[Number(value)]); redraw();
    }));
  }
  if (data.whole > n) bar.append(make("p", { class: "note" }, `The first ${spaced(n)} of ${spaced(data.whole)} points; all: points.parquet.`));
  function best() {
    const way = metric.less ? 1 : -1;
    const top = here().filter((row) => known(row[metric.name])).sort((a, b) => way * (a[metric.name] - b[metric.name])).slice(0, 5);
    const words = (row) => varying.map((field) => `${field.words} ${row[field.name]}`).join(", ") || "the one point";
    id("best").replaceChildren(make("h3", {}, `Best by: ${metric.words}`), make("ol", {}, ...top.map((row) =>
      make("li", {}, make("b", {}, both(row, metric.name)), interval(row, metric.name), ` ${words(row)}`))));
  }
  if (varying.length) chart(id("charts"), "Main effects", "Mean of the measure over all points that have a setting; bars: one standard error over these points.", (width) => {
    const effects = varying.flatMap((field) => [...d3.group(here().filter((row) => known(row[metric.name])), (row) => row[field.name])]
      .map(([level, own]) => ({ field: field.words, level, at: rank.get(field.name).get(level), mean: d3.mean(own, (row) => row[metric.name]),
        error: own.length > 1 ? d3.deviation(own, (row) => row[metric.name]) / Math.sqrt(own.length) : 0, n: own.length }))
      .sort((a, b) => a.at - b.at));
    const label = (d) => `${d.field}: ${d.level}`, row = effects.length > 200 ? 4 : effects.length > 60 ? 14 : 22; // of very many, few are named
    const named = thinned(effects.map(label), Math.ceil(14 / row), (i) => i === 0 || effects[i - 1].field !== effects[i].field);
    return Plot.plot({
      width, marginLeft: Math.min(220, width * 0.42), height: 60 + row * effects.length, x: { grid: true, label: metric.words + " →" }, y: { label: null, domain: effects.map(label), ticks: named },
      marks: [
        Plot.ruleX([d3.mean(here(), (row) => row[metric.name])].filter(known), { strokeDasharray: "4 3", strokeOpacity: 0.6 }),
        Plot.ruleY(effects.filter((d) => d.error > 0), { y: label, x1: (d) => d.mean - d.error, x2: (d) => d.mean + d.error, stroke: BLUE, strokeWidth: 2 }),
        Plot.dot(effects, { y: label, x: "mean", r: Math.min(4, row / 2), fill: BLUE }),
        Plot.tip(effects, Plot.pointer({ y: label, x: "mean", title: (d) => `${label(d)}\n${withError(d.mean, d.error)}\n${spaced(d.n)} points` })),
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
      const marginLeft = Math.min(160, width * 0.3), row = Math.max(2, Math.min(30, 1500 / down.levels.length));
      const widest = 8 + 7 * d3.max(across.levels, (level) => String(level).length); // of a label, in pixels
      const few = cells.length <= 80, [low, high] = d3.extent(cells, (d) => d.mean);
      return Plot.plot({
        width, marginLeft, height: Math.min(1600, Math.max(200, 60 + row * down.levels.length)),
        x: { label: across.words, domain: across.levels, ticks: thinned(across.levels, Math.ceil(widest * across.levels.length / (width - marginLeft - 20))) },
        y: { label: down.words, domain: down.levels, ticks: thinned(down.levels, Math.ceil(14 / row)) },
        color: { scheme: "YlGnBu", legend: true, label: metric.words },
        marks: [
          Plot.cell(cells, { x: "x", y: "y", fill: "mean", inset: Math.max(across.levels.length, down.levels.length) > 60 ? 0 : 0.5 }),
          few ? Plot.text(cells, { x: "x", y: "y", text: (d) => shown(Number(d.mean.toPrecision(3))), fill: (d) => ((d.mean - low) / (high - low) > 0.65 ? "white" : "black") }) : null,
          Plot.tip(cells, Plot.pointer({ x: "x", y: "y", title: (d) => `${d.x}, ${d.y}\n${shown(d.mean)}` })),
        ],
      });
    });
  }
  if (varying.length) chart(id("charts"), "All settings at once", "A line is a point of the sweep, from setting to setting to the measure; the stronger, the better." + (n > 3000 ? " Of more than 3,000 points, as many evenly from best to worst." : ""), (width) => {
    const axes = [...varying.map((field) => ({ words: field.words, at: (row) => (rank.get(field.name).get(row[field.name]) ?? 0) / (field.levels.length - 1), ticks: ticksOf(field) })),
      { words: metric.words, at: null, ticks: [] }];
    const own = here().filter((row) => known(row[metric.name])), [low, high] = d3.extent(own, (row) => row[metric.name]);
    const share = (row) => (high > low ? (row[metric.name] - low) / (high - low) : 0.5);
    axes.at(-1).at = share;
    axes.at(-1).ticks = own.length ? [[0, low], ...(high > low ? [[1, high]] : [])].map(([at, value]) => ({ at, words: shown(Number(value.toPrecision(3))) })) : [];
    const good = (row) => (metric.less ? 1 - share(row) : share(row));
    const step = Math.ceil(own.length / 3000), drawn = d3.sort(own, (a, b) => good(b) - good(a)).filter((_, i) => i % step === 0);
    const bins = d3.groups(drawn, (row) => Math.min(11, Math.floor(good(row) * 12))).sort((a, b) => a[0] - b[0]);
    const across = axes.map((_, i) => i), strength = (bin) => (drawn.length > 500 ? 0.6 : 1) * (0.1 + 0.9 * (bin / 11) ** 2);
    const lines = (index, scales) => { // one path for all points of a colour: thousands of them take a browser seconds
      const group = document.createElementNS("http://www.w3.org/2000/svg", "g");
      for (const [bin, rows] of bins) {
        const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
        const place = (row) => axes.map((axis, i) => `${scales.x(i).toFixed(1)},${scales.y(axis.at(row)).toFixed(1)}`).join("L");
        path.setAttribute("d", rows.map((row) => "M" + place(row)).join(""));
        for (const [name, value] of Object.entries({ fill: "none", stroke: BLUE, "stroke-opacity": strength(bin), "stroke-width": 1.2 })) path.setAttribute(name, value);
        group.append(path);
      }
      return group;
    };
    return Plot.plot({
      width: Math.max(width, 105 * axes.length), height: 320, marginTop: 46, marginLeft: 45, marginRight: 60, marginBottom: 12,
      x: { type: "point", domain: across, axis: null }, y: { domain: [0, 1], axis: null },
      marks: [
        lines, Plot.ruleX(across, { strokeOpacity: 0.5 }),
        Plot.text(across, { x: (i) => i, y: 1, text: (i) => axes[i].words, dy: -12, lineWidth: 9, lineAnchor: "bottom", fontWeight: 600 }),
        Plot.text(across.flatMap((i) => axes[i].ticks.map((tick) => ({ i, ...tick }))), { x: "i", y: "at", text: "words", textAnchor: "start", dx: 4, fill: "currentColor", stroke: "var(--bg)", strokeWidth: 4 }),
      ],
    });
  });
  if (data.paired.length) {
    const fields = data.fields.filter((field) => data.paired.some((pair) => pair.field === field.name));
    let field = fields[0].name;
    const host = make("div", {}, make("div", { class: "tools" }, select("Setting", fields.map((f) => [f.name, f.words]), field, (name) => { field = name; differences(); })));
    id("charts").append(host);
    const differences = chart(host, "Paired differences", "The first setting named less the second, all others, seed and run being equal, with 95 % intervals over the runs; over all points, whatever is filtered.", (width) => {
      const own = data.paired.filter((pair) => pair.field === field && pair[metric.name])
        .map((pair) => ({ words: `${pair.second} − ${pair.first}`, mean: pair[metric.name][0], low: pair[metric.name][1], high: pair[metric.name][2], n: pair[metric.name][3] }));
      return forest(own, metric.words, width);
    });
  }
  table.show(here());
  best();
};
/** Names with at least `step` places from one to the next, so that they do not overlap; in any case those that begin something. */
function thinned(names, step, begins = (i) => i === 0) {
  const kept = [];
  names.forEach((_, i) => {
    const near = kept.length > 0 && i - kept.at(-1) < step;
    if (begins(i) && near) kept.pop();
    if (begins(i) || !near) kept.push(i);
  });
  return kept.map((i) => names[i]);
}
/** Where an axis says its levels: all, or a few of many. */
function ticksOf(field) {
  const last = field.levels.length - 1, step = Math.ceil((last + 1) / 9);
  return field.levels.map((words, i) => ({ at: i / last, words: words.length > 14 ? words.slice(0, 13) + "…" : words })).filter((_, i) => (i % step === 0 && last - i >= step / 2) || i === last);
}

