"use strict";
// Of a run: the table of workers, points against values, distance by round.
DRAWN.run = () => {
  const columns = Object.fromEntries(Object.entries(data.workers).map(([name, column]) => [name, decoded(column)]));
  const rows = columns.run.map((_, i) => Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, column[i]])));
  const runs = [...new Set(columns.run)];
  const valued = "value" in columns, got = "pay" in columns ? "pay" : "points";
  const means = () => {
    const keys = Object.keys(columns).filter((key) => !["run", "worker", "error"].includes(key));
    return [...d3.group(rows, (row) => row.worker)].map(([worker, own]) => ({
      worker, runs: own.length, ...Object.fromEntries(keys.map((key) => [key, d3.mean(own, (row) => row[key])])),
      error: valued && own.every((row) => known(row.error)) ? Math.hypot(...own.map((row) => row.error)) / own.length : null,
    }));
  };
  const of = (run) => (run === "all" ? means() : rows.filter((row) => String(row.run) === run));
  const range = (row) => (!known(row.error) ? "unknown" : row.error === 0 ? (row.runs > 1 ? "each game exact" : "exact")
    : `${shown(row.value - 1.96 * row.error)} to ${shown(row.value + 1.96 * row.error)}`);
  const head = [
    { key: "worker", head: "Worker", text: true },
    { key: "points", head: "Points" },
    ...Object.keys(columns).filter((key) => key.startsWith("points_")).map((key) => ({ key, head: `Points (mechanism ${key.slice(7)})` })),
    ...(valued ? [
      { key: "value", head: "Shapley value" },
      { key: "error", head: "95 % interval", shown: range },
      { key: "gap", head: "Rank gap", title: `Rank by value − rank by ${got}: above 0, placed higher by ${got} than by value` },
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
  const bad = (row) => row.bad >= 0.5; // of means: in half of the worker's runs or more
  const red = rows.some((row) => row.bad) ? `; red: bad${runs.length > 1 ? ", of means in half of its runs or more" : ""}` : "";
  if (valued) chart(id("charts"), "Points against Shapley values", `Each dot is a worker${red}. Choose a dot to find it in the table.`, (width) => {
    const dots = here.filter((row) => known(row.value) && known(row.points));
    const plot = Plot.plot({
      width, height: Math.min(width * 0.72, 420), grid: true, x: { label: "Shapley value →", nice: true }, y: { label: "↑ Points", nice: true },
      marks: [
        Plot.ruleX([0], { strokeOpacity: 0.3 }),
        ...[[BLUE, dots.filter((row) => !bad(row))], [RED, dots.filter(bad)]].map(([colour, own]) => dotted(own, "value", "points", colour)),
        Plot.dot(dots.filter((row) => row.worker === chosen), { x: "value", y: "points", r: 8, stroke: "currentColor", strokeWidth: 2 }),
        Plot.tip(dots, Plot.pointer({ x: "value", y: "points", title: (row) => `${row.worker}\npoints ${shown(row.points)}\nvalue ${shown(row.value)}\nrank gap ${shown(row.gap)}` })), // its channels are the scales', too
      ],
    });
    plot.addEventListener("click", () => { if (plot.value) table.pick(plot.value); });
    return plot;
  });
  ofRounds((name) => run === name);
};
DRAWN.rounds = () => ofRounds();

/** Distances by round; `isChosen` says of a run whether it is the one that is looked at, where one can be. */
function ofRounds(isChosen) {
  const said = data.runs.length > 1 ? `Mean over the runs with one standard error; thin: the runs${isChosen ? "; red: the one chosen above the table" : ""}.` : "Of the one run.";
  chart(id("charts"), `${data.measure} by round`, [said, data.line].filter(Boolean).join(" "), (width) => {
    const mean = data.rounds.map((round, i) => ({ round, mean: data.mean[i], error: data.error[i] ?? 0 }));
    const lines = data.runs.flatMap((r, j) => data.rounds.map((round, i) => ({ run: String(r), round, distance: data.lines[j][i] })));
    return Plot.plot({
      width, height: Math.min(width * 0.6, 340), grid: true, x: { label: "Round →", tickFormat: whole }, y: { label: `↑ ${data.measure.split(" to ")[0]}`, zero: true },
      marks: [
        data.runs.length > 1 ? Plot.lineY(lines, { x: "round", y: "distance", z: "run", stroke: BLUE, strokeOpacity: 0.25, strokeWidth: 1 }) : null,
        data.runs.length > 1 ? Plot.areaY(mean, { x: "round", y1: (d) => d.mean - d.error, y2: (d) => d.mean + d.error, fill: BLUE, fillOpacity: 0.2 }) : null,
        Plot.lineY(mean, { x: "round", y: "mean", stroke: BLUE, strokeWidth: 2 }),
        Plot.lineY(lines.filter((row) => isChosen?.(row.run) && data.runs.length > 1), { x: "round", y: "distance", stroke: RED, strokeWidth: 2 }),
        known(data.within) ? Plot.ruleY([data.within], { stroke: "currentColor", strokeDasharray: "4 3", strokeOpacity: 0.6 }) : null,
        Plot.tip(mean, Plot.pointerX({ x: "round", y: "mean", title: (d) => `round ${d.round}\nmean ${shown(d.mean)}` + (d.error ? ` ± ${shown(d.error)}` : "") })),
      ],
    });
  });
}
