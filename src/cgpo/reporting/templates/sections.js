/* What is drawn: each section says its panels and the axes that they share. */

const TASKS = [...new Set(RUNS.flatMap((run) => run.tasks))];
const UPDATES = [0, Math.max(1, ...RUNS.map((run) => run.updates)) * 1.02];
/* Tol's muted colours, which no run has. */
const SHADES = ["#882255", "#4b3fa7", "#88ccee", "#44aa99", "#ddcc77", "#cc6677", "#999933", "#117733", "#aa4499"];

/** A panel's title: what it is of, and under it the task. */
const under = (title, task) => `${plain(words(title))}<br><span style="font-size: 11px">${plain(words(task))}</span>`;

/** A panel a task, of those for which some run has something to draw. */
function byTask(draw) {
  return TASKS.map((task) => ({ task, title: plain(words(task)), traces: RUNS.flatMap((run) => draw(run, task)) }))
    .filter((panel) => panel.traces.length);
}

const series = (run, metric, draw) => (run.metrics[metric] ? draw(run.metrics[metric]) : []);

function rewardAgainstSuccess(run, task) {
  const success = run.metrics[`eval/${task}/success`];
  const reward = run.metrics[`eval/${task}/reward`];
  if (!success || !reward) return [];
  const known = new Map(reward.steps.map((step, i) => [step, reward.values[i]]));
  const steps = success.steps.filter((step) => known.has(step));
  const y = success.steps.map((step, i) => [step, success.values[i]]).filter(([step]) => known.has(step)).map(([, v]) => v);
  return points(run, steps.map((step) => known.get(step)), y, { open: true, text: steps.map((step) => `update ${step}`) })
    .map((trace) => ({ ...trace, hovertemplate: "<b>%{meta}</b>, %{customdata}<br>reward %{x:.3f}, success %{y:.3f}<extra></extra>" }));
}

/** How a metric of a panel is drawn, by its style. */
const STYLES = {
  curve: (run, found, label) => curve(run, found, { label }),
  dotted: (run, found, label) => curve(run, found, { label, dash: "dot", width: 1.6 }),
  points: (run, found, label) => points(run, found.steps, found.values, { label }),
  markers: (run, found, label) => points(run, found.steps, found.values, { label, mode: "markers" }),
};

/** The title of a panel: its task, and what of the task it shows. */
const titleOf = (panel) => (panel.part && panel.task ? under(panel.part, panel.task) : plain(words(panel.part || panel.task)));

/** The panels of a section, every run in each. */
function byPanel(section) {
  return section.panels.map((panel) => ({
    task: panel.task, title: titleOf(panel),
    traces: RUNS.flatMap((run) => panel.metrics.flatMap((metric) =>
      series(run, metric.name, (found) => STYLES[metric.style](run, found, metric.label)))),
  })).filter((panel) => panel.traces.length);
}

const stagesOf = (section) => section.panels.flatMap((panel) => panel.metrics);

/** A panel a run: its curves one on the other. */
function byRun(section) {
  return RUNS.map((run) => ({
    title: plain(run.name.length > 30 ? `…${run.name.slice(-29)}` : run.name),
    traces: stagesOf(section).flatMap((metric, i) => series(run, metric.name, (found) => [{
      x: found.steps, y: smooth(found.values, smoothing), run, type: "scatter", mode: "lines", stackgroup: section.group.key,
      name: metric.label, meta: plain(run.name), line: { width: 0.5, color: SHADES[i % SHADES.length] },
      fillcolor: SHADES[i % SHADES.length],
    }])),
  })).filter((panel) => panel.traces.length);
}

/** The top of stacked curves: their sum, as `span` sees single ones only. */
function stacked(section) {
  const tops = byRun(section).map((panel) => Math.max(...panel.traces[0].x.map((_, i) =>
    panel.traces.reduce((sum, trace) => sum + (trace.y[i] ?? 0), 0))));
  return [0, 1.06 * Math.max(0.001, ...tops)];
}

/** A section of metrics, as `cgpo.metrics` declares its group. */
function sectionOf(section) {
  const { key, title, about, share, events } = section.group;
  const common = { id: key, title, about, across: "update", x: UPDATES, bands: events };
  if (section.group.stacked) {
    return { ...common, panels: () => byRun(section), stages: stagesOf(section).map((metric) => metric.label), get y() { return stacked(section); } };
  }
  return { ...common, y: share ? [0, 1.03] : undefined, panels: () => byPanel(section) };
}

const SECTIONS = [
  { id: "phase", title: "Learned reward against success", across: "learned reward", y: [0, 1.03], panels: () => byTask(rewardAgainstSuccess),
    about: "Up is better, right is what the reward model likes. A curve that goes right and down is a reward that is being gamed. "
      + "Held-out prompts; the open mark is the policy before training." },
  ...DATA.sections.map(sectionOf),
];
