/* The browser of samples: filters, and cards that show every text whole. */

const PAGE = 25;
const OUTCOMES = ["satisfied", "violated", "undecided", "not_applicable", "not_asked"];
const last = (value, otherwise) => value ?? otherwise;
const ORDERS = {
  latest: ["latest first", (a, b) => b.step - a.step],
  earliest: ["earliest first", (a, b) => a.step - b.step],
  highest: ["highest reward first", (a, b) => last(b.reward, -Infinity) - last(a.reward, -Infinity)],
  lowest: ["lowest reward first", (a, b) => last(a.reward, Infinity) - last(b.reward, Infinity)],
  farthest: ["highest log-ratio first", (a, b) => last(b.log_ratio, -Infinity) - last(a.log_ratio, -Infinity)],
};
const SAMPLES = RUNS.flatMap((run) => run.samples.map((sample) => ({ ...sample, run })));
let matching = SAMPLES;
let visible = 0;

const together = (sample) => (sample.satisfied === null ? "undecided" : sample.satisfied ? "satisfied" : "violated");

/** What one judge, `gold`, or all judges together (no name) say of a sample; null where it was not judged. */
function outcomeOf(sample, judge) {
  if (!judge) return together(sample);
  return judge === "gold" ? sample.gold : sample.verdicts[judge]?.outcome ?? null;
}

const searched = (sample) => (sample.search ??= [sample.prompt, sample.response, sample.key,
  ...Object.values(sample.verdicts).map((verdict) => verdict.reason)].join("\n").toLowerCase());

/** The samples that a choice of filters leaves; an empty choice leaves all. */
function filtered(choice) {
  const text = choice.text.toLowerCase();
  return SAMPLES.filter((sample) => sample.run.shown
    && (!choice.run || sample.run.name === choice.run)
    && (!choice.task || sample.task === choice.task)
    && (!choice.split || sample.split === choice.split)
    && (!choice.judge || outcomeOf(sample, choice.judge) !== null)
    && (!choice.outcome || outcomeOf(sample, choice.judge) === choice.outcome)
    && (!text || searched(sample).includes(text))).sort(ORDERS[choice.order][1]);
}

function verdictRow(judge, outcome, reason) {
  return [element("dt", {}, judge), element("dd", {}, element("span", { class: `outcome ${outcome}` }, words(outcome)), " ",
    element("span", { class: "reason" }, reason))];
}

/** Everything about a sample; also used for the samples of alarms, which have no log-ratio. */
function sampleCard(sample) {
  const facts = [`update ${sample.step}`, sample.split === "held_out" ? "held out" : "training", `reward ${signed(sample.reward)}`,
    sample.calibrated_reward === undefined ? null : `calibrated ${fixed(sample.calibrated_reward)}`,
    sample.log_ratio === undefined ? null : `log-ratio ${fixed(sample.log_ratio)}`].filter((fact) => fact !== null);
  const verdicts = Object.entries(sample.verdicts).map(([judge, found]) => verdictRow(words(judge), found.outcome, found.reason));
  if (sample.gold) verdicts.push(verdictRow("gold", sample.gold, "never seen by training"));
  if (!verdicts.length) verdicts.push(element("dt", {}, "judges"), element("dd", { class: "reason" }, "none was asked"));
  return element("li", {}, element("article", { class: "sample" },
    element("header", {}, swatch(sample.run), element("b", { class: "name" }, sample.run.name), element("b", {}, words(sample.task)),
      facts.map((fact) => element("span", { class: "quiet number" }, fact))),
    element("dl", {}, element("dt", {}, "prompt"), element("dd", { class: "text" }, sample.prompt),
      element("dt", {}, "response"), element("dd", { class: "text response" }, sample.response || "(nothing)"), verdicts.flat())));
}

function choice() {
  return Object.fromEntries(new FormData(document.getElementById("filters")));
}

function showMore() {
  const rows = document.getElementById("rows");
  const added = matching.slice(visible, visible + PAGE).map(sampleCard);
  rows.append(...added);
  paintSwatches(rows);
  visible += added.length;
  const more = document.getElementById("more");
  more.hidden = visible >= matching.length;
  more.textContent = `Show ${Math.min(PAGE, matching.length - visible)} more`;
}

function drawSamples() {
  matching = filtered(choice());
  visible = 0;
  document.getElementById("rows").replaceChildren();
  const left = RUNS.filter((run) => run.left_out).map((run) => `${run.name}: ${plural(run.left_out, "older row", "older rows")} left out`);
  document.getElementById("count").textContent = [`${matching.length.toLocaleString("en")} of ${plural(SAMPLES.length, "sample", "samples")}`,
    ...left].join(" · ");
  showMore();
}

function select(name, label, any, options) {
  return element("label", {}, label, element("select", { name }, any === null ? null : element("option", { value: "" }, any),
    options.map(([value, shown]) => element("option", { value }, shown))));
}

function drawFilters() {
  const judges = [...new Set(SAMPLES.flatMap((sample) => Object.keys(sample.verdicts)))].sort();
  if (SAMPLES.some((sample) => sample.gold)) judges.push("gold");
  const same = (names) => names.map((name) => [name, words(name)]);
  const form = document.getElementById("filters");
  form.append(
    select("run", "run", "all", RUNS.map((run) => [run.name, run.name])),
    select("task", "task", "all", same(TASKS)),
    select("split", "split", "all", [["held_out", "held out"], ["train", "training"]]),
    select("judge", "judge", "all together", same(judges)),
    select("outcome", "outcome", "any", same(OUTCOMES)),
    select("order", "order", null, Object.entries(ORDERS).map(([value, [shown]]) => [value, shown])),
    element("label", { class: "wide" }, "text", element("input", { type: "search", name: "text", placeholder: "in prompt, response, reasons" })),
    element("button", { type: "reset" }, "Clear"));
  form.addEventListener("input", drawSamples);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(drawSamples));
  document.getElementById("more").addEventListener("click", showMore);
}
