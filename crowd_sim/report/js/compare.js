"use strict";
// Of a comparison: run against run, by setting, round by round, worker against worker.
DRAWN.compare = () => {
  const [first, ...rest] = data.names;
  let other = 0, metric = data.metrics.find((m) => m.name === data.first) ?? data.metrics[0];
  const redraw = () => { charts.forEach((again) => again()); workers(); };
  if (rest.length > 1) id("filters").append(select(`${first} against`, rest.map((name, i) => [String(i), name]), "0", (i) => { other = Number(i); redraw(); }));
  id("filters").append(select("Measure", data.metrics.map((m) => [m.name, m.words]), metric.name, (name) => { metric = data.metrics.find((m) => m.name === name); redraw(); }));
  const here = () => data.others[other];

  if (data.others.some((o) => o.runs)) chart(id("charts"), "Run against run", "A dot is a run, or of sweeps a run of a point, with the same draws on both sides; on the line nothing differs.", (width) => {
    const found = here().runs;
    const dots = found ? found.run.map((run, i) => ({ run, x: found.a[metric.name][i], y: found.b[metric.name][i] })).filter((row) => known(row.x) && known(row.y)) : [];
    return against(dots, `${first}: ${metric.head} →`, `↑ ${rest[other]}`, (row) => `run ${row.run}\n${first} ${shown(row.x)}\n${rest[other]} ${shown(row.y)}`, width);
  });
  if (data.others.some((o) => o.points.length)) chart(id("charts"), "Difference by setting", "Over the points that have a setting, the rest being paired; with 95 % intervals over the runs.", (width) => forest(
    here().points.filter((row) => row[metric.name]).map((row) => {
      const [mean, low, high, n] = row[metric.name];
      return { words: `${data.keys.find((key) => key.name === row.field).words}: ${row.level}`, mean, low, high, n };
    }), metric.head, width));
  if (data.distances.length) chart(id("charts"), `${data.measure} by round`, "Means over the runs with one standard error.", (width) => {
    const rows = data.distances.flatMap((one) => one.rounds.map((round, i) => ({ name: one.name, round, mean: one.mean[i], error: one.error[i] ?? 0 })));
    return Plot.plot({
      width, height: Math.min(width * 0.6, 340), grid: true, x: { label: "Round →", tickFormat: whole }, y: { label: `↑ ${data.measure.split(" to ")[0]}`, zero: true },
      color: { domain: data.distances.map((one) => one.name), range: COLOURS, legend: true },
      marks: [
        Plot.areaY(rows, { x: "round", y1: (d) => d.mean - d.error, y2: (d) => d.mean + d.error, z: "name", fill: "name", fillOpacity: 0.2 }),
        Plot.lineY(rows, { x: "round", y: "mean", z: "name", stroke: "name", strokeWidth: 2 }),
        Plot.tip(rows, Plot.pointer({ x: "round", y: "mean", title: (d) => `${d.name}\nround ${d.round}\n${shown(d.mean)} ± ${shown(d.error)}` })),
      ],
    });
  });

  let table = null, chosen = null;
  const rowsOf = (found) => found.worker.map((worker, i) => {
    const row = { worker };
    for (const key of ["points_a", "points_b", "value_a", "value_b"]) if (found[key]) row[key] = found[key][i];
    for (const key of ["points", "value"]) row[`${key}_difference`] = known(row[`${key}_a`]) && known(row[`${key}_b`]) ? row[`${key}_b`] - row[`${key}_a`] : null;
    row.x = row[`${found.of}_a`]; row.y = row[`${found.of}_b`];
    return row;
  }).sort((a, b) => Math.abs(b.points_difference) - Math.abs(a.points_difference)); // which is the order wherever values do not differ
  if (id("workers")) {
    const of = data.others.find((o) => o.workers).workers.of, words = of === "value" ? "Shapley value" : "Points";
    chart(id("charts"), `${words} of the same workers`, "A dot is a worker of both. Choose a dot to find it in the table.", (width) => {
      const dots = here().workers ? rowsOf(here().workers).filter((row) => known(row.x) && known(row.y)) : [];
      const plot = against(dots, `${first}: ${words} →`, `↑ ${rest[other]}`, (row) => `${row.worker}\n${first} ${shown(row.x)}\n${rest[other]} ${shown(row.y)}`, width, (row) => row.worker === chosen);
      plot.addEventListener("click", () => { if (plot.value) table.pick(plot.value); });
      return plot;
    });
    const differs = data.others.some((o) => o.workers?.value_a && o.workers.value_b?.some((value, i) => value !== o.workers.value_a[i]));
    table = new Table(id("workers"), {
      label: "Workers of both", file: "workers_compared.csv", sorted: [differs ? "value_difference" : "points_difference", -1],
      columns: [
        { key: "worker", head: "Worker", text: true },
        ...["points", "value"].filter((name) => data.others.some((o) => o.workers?.[`${name}_a`] && o.workers[`${name}_b`])).flatMap((name) => [
          { key: `${name}_a`, head: "" }, { key: `${name}_b`, head: "" }, { key: `${name}_difference`, head: "", order: (row) => (known(row[`${name}_difference`]) ? Math.abs(row[`${name}_difference`]) : null) }]),
      ],
      choose: (worker) => { chosen = worker; charts.forEach((again) => again()); },
    });
    id("workers").append(make("p", { class: "note", id: "agreement" }));
  }
  function workers() {
    if (!table) return;
    const found = here().workers;
    table.columns.slice(1).forEach(({ key }, i) => {
      const end = key.endsWith("_a") ? first : key.endsWith("_b") ? rest[other] : `${rest[other]} − ${first}`;
      table.heads[i + 1].firstChild.replaceChildren(`${key.startsWith("points") ? "Points" : "Value"}, `, make("bdi", {}, end));
    });
    table.show(found ? rowsOf(found) : []);
    const said = found ? `${spaced(found.whole)} workers of both; r = ${shown(found.r)}.` : `${rest[other]} has no worker in common with ${first}.`;
    id("agreement").textContent = said + (found && found.whole > found.worker.length ? ` The first ${spaced(found.worker.length)} are here.` : "");
  }
  workers();
};

const COLOURS = ["var(--blue)", "var(--red)", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/** Dots of pairs on equal scales, with the line on which nothing differs. */
function against(dots, x, y, title, width, isChosen = () => false) {
  const ends = d3.extent(dots.flatMap((row) => [row.x, row.y]));
  const domain = known(ends[0]) ? (ends[0] === ends[1] ? [ends[0] - 1, ends[1] + 1] : ends) : [0, 1];
  const side = Math.min(width, 460);
  return Plot.plot({
    width: side, height: side * 0.92, grid: true, x: { label: x, domain, nice: true }, y: { label: y, domain, nice: true },
    marks: [
      Plot.line([[domain[0], domain[0]], [domain[1], domain[1]]], { strokeDasharray: "4 3", strokeOpacity: 0.6 }),
      dotted(dots, "x", "y", BLUE),
      Plot.dot(dots.filter(isChosen), { x: "x", y: "y", r: 8, stroke: "currentColor", strokeWidth: 2 }),
      Plot.tip(dots, Plot.pointer({ x: "x", y: "y", title })),
    ],
  });
}
