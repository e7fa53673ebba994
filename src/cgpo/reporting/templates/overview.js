/* The tables at the head, and the list of alarms. */

function ends(run, metric) {
  const series = run.metrics[metric];
  return series ? [series.values[0], series.values[series.values.length - 1]] : null;
}

function runHead(run) {
  return element("th", { scope: "row" }, swatch(run), element("span", { class: "name" }, run.name));
}

function table(headings, rows, caption) {
  const head = element("tr", {}, headings.map((heading) => element("th", { scope: "col" }, heading)));
  return element("div", { class: "table", tabindex: "0", role: "region", "aria-label": caption },
    element("table", {}, element("thead", {}, head), element("tbody", {}, rows)));
}

function factsTable() {
  const rows = RUNS.map((run) => element("tr", { "data-run": run.index }, runHead(run),
    element("td", {}, run.optimizer ?? "–"),
    element("td", {}, run.judges.length ? run.judges.join(", ") : "none"),
    element("td", { class: "number" }, String(run.seed ?? "–")),
    element("td", { class: "number" }, `${run.updates} of ${run.planned ?? "?"}`),
    element("td", { class: "number" }, run.state),
    element("td", {}, element("code", {}, run.overrides.join(" ") || "–"))));
  return table(["run", "optimizer", "judges", "seed", "updates", "state", "command line"], rows, "Runs");
}

function change(before, after) {
  const word = after > before ? "up" : after < before ? "down" : "";
  const arrow = { up: "▲", down: "▼", "": "" }[word];
  return element("td", { class: "number" }, `${fixed(before)} → `, element("b", {}, fixed(after)), " ",
    element("span", { class: word, title: word }, arrow));
}

function successTable() {
  const rows = RUNS.map((run) => element("tr", {}, runHead(run), TASKS.map((task) => {
    const success = ends(run, `eval/${task}/success`);
    return success ? change(...success) : element("td", {}, "–");
  })));
  return table(["run", ...TASKS.map(words)], rows, "Success on held-out prompts, first and last evaluation");
}

function findings() {
  const lists = RUNS.filter((run) => run.findings.length || run.error).map((run) => element("div", {},
    element("h3", {}, swatch(run), " ", run.name),
    element("ul", {}, run.findings.map((finding) => element("li", {}, finding)),
      run.error ? element("li", { class: "down text" }, run.error) : null)));
  return lists.length ? element("div", { class: "findings" }, lists) : null;
}

function drawOverview() {
  const section = document.getElementById("overview");
  section.append(factsTable(), element("p", { class: "quiet" },
    "Success on held-out prompts by the gold judge, which training never sees: first → last evaluation."), successTable());
  const found = findings();
  if (found) section.append(found);
}

/** Alarms of one run, task and signal are one: from where it began to the last evaluation at which it held. */
function alarmsOf(run) {
  const grouped = new Map();
  for (const row of run.alarms) {
    const key = JSON.stringify([row.task, row.signal]);
    const first = grouped.get(key);
    grouped.set(key, { ...row, began: Math.min(row.began, first?.began ?? row.began), first: first?.first ?? row.step });
  }
  return [...grouped.values()];
}

function alarmEntry(run, alarm) {
  const samples = alarm.samples ?? [];
  return element("details", { class: "alarm", "data-run": run.index },
    element("summary", {}, swatch(run), " ", element("b", { class: "name" }, run.name), " · ", alarm.message,
      element("span", { class: "quiet" }, `; first said at update ${alarm.first}`)),
    element("p", { class: "quiet" }, samples.length
      ? `At update ${alarm.step}, the responses of the highest reward that the signal finds wrong:` : "No sample was kept."),
    element("ol", {}, samples.map((sample) => sampleCard({ ...sample, run, task: alarm.task, step: alarm.step, split: "held_out" }))));
}

function drawAlarms() {
  const section = document.getElementById("alarms");
  const afterwards = RUNS.filter((run) => !run.watched).map((run) => run.name);
  section.append(element("p", { class: "quiet" }, "Learned reward up while an independent signal went down, both by more "
    + "than noise explains. The curves below are shaded from where it began; a "
    + "dotted line marks the evaluation at which it was said first."
    + (afterwards.length ? ` Worked out afterwards, from gold success alone, for: ${afterwards.join(", ")}.` : "")));
  const entries = RUNS.flatMap((run) => alarmsOf(run).map((alarm) => alarmEntry(run, alarm)));
  if (entries.length) section.append(...entries);
  else section.append(element("p", {}, "No alarm."));
}
