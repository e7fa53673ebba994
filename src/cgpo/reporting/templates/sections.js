/* What is drawn: each section says its panels and the axes that they share. */

const TASKS = [...new Set(RUNS.flatMap((run) => run.tasks))];
const UPDATES = [0, Math.max(1, ...RUNS.map((run) => run.updates)) * 1.02];
/* Tol's muted colours, which no run has. */
const SHADES = ["#882255", "#4b3fa7", "#88ccee", "#44aa99", "#ddcc77", "#cc6677", "#999933"];
const STAGES = ["baselines", "rollout", "reward", "reference", "judges", "update", "step"];

/** A panel's title: what it is of, and under it the task. */
const under = (title, task) => `${plain(words(title))}<br><span style="font-size: 11px">${plain(words(task))}</span>`;

/** A panel a task, of those for which some run has something to draw. */
function byTask(draw) {
  return TASKS.map((task) => ({ task, title: plain(words(task)), traces: RUNS.flatMap((run) => draw(run, task)) }))
    .filter((panel) => panel.traces.length);
}

const series = (run, metric, draw) => (run.metrics[metric] ? draw(run.metrics[metric]) : []);

function rewardAgainstSuccess(run, task) {
  const success = run.metrics[`gold/${task}/success`];
  const reward = run.metrics[`gold/${task}/reward`];
  if (!success || !reward) return [];
  const known = new Map(reward.steps.map((step, i) => [step, reward.values[i]]));
  const steps = success.steps.filter((step) => known.has(step));
  const y = success.steps.map((step, i) => [step, success.values[i]]).filter(([step]) => known.has(step)).map(([, v]) => v);
  return points(run, steps.map((step) => known.get(step)), y, { open: true, text: steps.map((step) => `update ${step}`) })
    .map((trace) => ({ ...trace, hovertemplate: "<b>%{meta}</b>, %{customdata}<br>reward %{x:.3f}, success %{y:.3f}<extra></extra>" }));
}

/** Panels of every task's judges, `judges/<task>/<judge>/violation_rate`. */
function byJudge() {
  return TASKS.flatMap((task) => {
    const names = RUNS.flatMap((run) => Object.keys(run.metrics))
      .filter((name) => name.startsWith(`judges/${task}/`) && name.endsWith("/violation_rate"));
    return [...new Set(names)].sort().map((metric) => ({
      task, title: under(metric.split("/")[2], task),
      traces: RUNS.flatMap((run) => series(run, metric, (found) => curve(run, found))),
    }));
  });
}

const isJudged = (run, task) => Object.keys(run.metrics).some((name) => name.startsWith(`judges/${task}/`) && name.endsWith("/violation_rate"));

/** Panels of pairs of judges. */
function byPair() {
  return TASKS.flatMap((task) => {
    const prefix = `judges/${task}/agreement/`;
    const names = RUNS.flatMap((run) => Object.keys(run.metrics)).filter((name) => name.startsWith(prefix));
    return [...new Set(names)].sort().map((metric) => ({
      task, title: under(metric.slice(prefix.length), task),
      traces: RUNS.flatMap((run) => series(run, metric, (found) => curve(run, found))),
    }));
  });
}

/** A panel a run: seconds of each stage, one on the other. */
function byStage() {
  return RUNS.map((run) => ({
    title: plain(run.name.length > 30 ? `…${run.name.slice(-29)}` : run.name),
    traces: STAGES.flatMap((stage, i) => series(run, `time/${stage}`, (found) => [{
      x: found.steps, y: smooth(found.values, smoothing), run, type: "scatter", mode: "lines", stackgroup: "time", name: stage,
      meta: plain(run.name), line: { width: 0.5, color: SHADES[i] }, fillcolor: SHADES[i],
    }])),
  })).filter((panel) => panel.traces.length);
}

/** The top of the stacked seconds: their sum, as `span` sees single stages only. */
function stacked() {
  const tops = byStage().map((panel) => Math.max(...panel.traces[0].x.map((_, i) =>
    panel.traces.reduce((sum, trace) => sum + (trace.y[i] ?? 0), 0))));
  return [0, 1.06 * Math.max(0.001, ...tops)];
}

const SECTIONS = [
  { id: "phase", title: "Learned reward against success", across: "learned reward", y: [0, 1.03], panels: () => byTask(rewardAgainstSuccess),
    about: "Up is better, right is what the reward model likes. A curve that goes right and down is a reward that is being gamed. "
      + "Held-out prompts; the open mark is the policy before training." },
  { id: "success", title: "Success", across: "update", x: UPDATES, y: [0, 1.03], bands: true,
    about: "The share of held-out prompts on which the gold judge, which training never sees, is satisfied.",
    panels: () => byTask((run, task) => series(run, `gold/${task}/success`, (s) => points(run, s.steps, s.values))) },
  { id: "reward", title: "Learned reward", across: "update", x: UPDATES, bands: true,
    about: "Raw reward: curves of the training batches, marks on held-out prompts.",
    panels: () => byTask((run, task) => [
      ...series(run, `reward/${task}/raw`, (s) => curve(run, s, { label: "training" })),
      ...series(run, `gold/${task}/reward`, (s) => points(run, s.steps, s.values, { label: "held out", mode: "markers" }))]) },
  { id: "violations", title: "Violation rate by judge", across: "update", x: UPDATES, y: [0, 1.03], panels: byJudge,
    about: "The share of the judged responses of a training batch that each judge finds violated. Runs without a judge have no curve there." },
  { id: "agreement", title: "Agreement between judges", across: "update", x: UPDATES, y: [0, 1.03], panels: byPair,
    about: "How often two judges of a task say the same, of the responses that both judge." },
  { id: "given", title: "Reward given violation", across: "update", x: UPDATES,
    about: "Mean raw reward of the responses that violate a judge (solid) and of those that satisfy all (dotted). Where the solid line "
      + "is higher the reward model pays for violations. Tasks without judges have none.",
    panels: () => byTask((run, task) => [
      ...series(run, `reward/${task}/given_violation`, (s) => curve(run, s, { label: "violated" })),
      ...(!isJudged(run, task) ? [] : series(run, `reward/${task}/given_satisfied`, (s) => curve(run, s, { label: "satisfied", dash: "dot", width: 1.6 })))]) },
  { id: "kl", title: "KL divergence from the reference", across: "update", x: UPDATES,
    about: "Nats a response: curves of the training batches, marks on held-out prompts.",
    panels: () => byTask((run, task) => [
      ...series(run, `kl/${task}`, (s) => curve(run, s, { label: "training" })),
      ...series(run, `gold/${task}/kl`, (s) => points(run, s.steps, s.values, { label: "held out", mode: "markers" }))]) },
  { id: "length", title: "Response length", across: "update", x: UPDATES, about: "Tokens a response, of the training batches.",
    panels: () => byTask((run, task) => series(run, `rollout/${task}/length`, (s) => curve(run, s))) },
  { id: "time", title: "Time by stage", across: "update", x: UPDATES, get y() { return stacked(); }, panels: byStage, stages: true,
    about: "Seconds an update, one stage on the other; what a stage's time waits for is in its own. Evaluations are not in it." },
];
