/* One figure a section: panels in a grid, every run in every panel, axes shared by all panels. */

const HEIGHT = 172;
const GAPS = { row: 62, column: 18, top: 24, bottom: 40, left: 46, right: 12 };
const WIDEST = 420;
let smoothing = 5;

/** The mean over the last values up to each; fewer at the start. */
function smooth(values, width) {
  return values.map((_, end) => {
    const taken = values.slice(Math.max(0, end + 1 - width), end + 1).filter((value) => value !== null);
    return taken.length ? taken.reduce((sum, value) => sum + value, 0) / taken.length : null;
  });
}

function theme() {
  const style = getComputedStyle(document.body);
  const read = (name) => style.getPropertyValue(name);
  const probe = element("i", {});
  document.body.append(probe);
  const resolved = {};
  for (const name of ["ink", "faint", "edge", "paper", "sheet"]) {
    probe.style.color = `var(--${name})`;
    resolved[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return { ...resolved, font: read("font-family") };
}

/** A text in a figure, where plotly would read tags. */
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** A curve of every update: faint as it was, strong as smoothed. */
function curve(run, series, options = {}) {
  const line = { color: colourOf(run), dash: options.dash ?? dashOf(run), width: options.width ?? 2 };
  const common = { x: series.steps, mode: "lines", type: "scatter", run, meta: plain(run.name) };
  const strong = { ...common, y: smooth(series.values, smoothing), line, name: options.label ?? "" };
  if (smoothing === 1) return [strong];
  const faint = { ...common, y: series.values, line: { ...line, width: 1 }, opacity: 0.22, hoverinfo: "skip", faint: true };
  return [faint, strong];
}

/** Points at evaluations, joined. */
function points(run, x, y, options = {}) {
  const colour = colourOf(run);
  return [{
    x, y, run, type: "scatter", mode: options.mode ?? "lines+markers", cliponaxis: false, meta: plain(run.name), name: options.label ?? "",
    line: { color: colour, dash: options.dash ?? dashOf(run), width: options.width ?? 2.2 },
    marker: { symbol: markerOf(run), size: 7, color: options.open ? x.map((_, i) => (i ? colour : theme().paper)) : colour,
      line: { color: colour, width: 1.6 } },
    customdata: options.text,
  }];
}

const HOVER = "<b>%{meta}</b> %{fullData.name}<br>%{x}: %{y:.4~g}<extra></extra>";

/** Least and greatest of all panels' values, with a little room. */
function span(values, fixedRange) {
  if (fixedRange) return fixedRange;
  const known = values.filter((value) => value !== null && value !== undefined);
  if (!known.length) return [0, 1];
  const [low, high] = [known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))];
  const room = 0.06 * (high - low || Math.abs(high) || 1);
  return [low - room, high + room];
}

function columnsOf(width, panels) {
  return Math.max(1, Math.min(panels, Math.floor(width / 205), 5));
}

/** Where the panels of a grid lie, as shares of the drawing's area; `heading` is the room of a second line of title. */
function grid(width, count, heading) {
  const columns = columnsOf(width, count);
  const rows = Math.ceil(count / columns);
  const inner = { width: width - GAPS.left - GAPS.right, height: rows * HEIGHT + (rows - 1) * (GAPS.row + heading) };
  const wide = Math.min(WIDEST, (inner.width - (columns - 1) * GAPS.column) / columns);
  const places = Array.from({ length: count }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const left = column * (wide + GAPS.column);
    const top = row * (HEIGHT + GAPS.row + heading);
    return {
      x: [left / inner.width, Math.min(1, (left + wide) / inner.width)],
      y: [Math.max(0, 1 - (top + HEIGHT) / inner.height), 1 - top / inner.height],
      first: column === 0,
    };
  });
  return { places, height: inner.height + GAPS.top + heading + GAPS.bottom };
}

function axis(colours, title, range, domain, anchor, first, matches) {
  return {
    range: [...range], domain, anchor, matches, showticklabels: first, tickfont: { size: 11 }, nticks: 5,
    title: { text: title, font: { size: 11, color: colours.faint }, standoff: 4 },
    gridcolor: colours.edge, zerolinecolor: colours.edge, linecolor: colours.edge, automargin: false,
  };
}

/** Shades of the alarms of the shown runs, for panels whose horizontal axis counts updates. */
function bands(task, number) {
  return RUNS.filter((run) => run.shown).flatMap((run) => alarmsOf(run).filter((alarm) => alarm.task === task)
    .flatMap((alarm) => {
      const place = { xref: `x${number}`, yref: `y${number} domain`, y0: 0, y1: 1, layer: "below" };
      return [
        { ...place, type: "rect", name: "alarm", x0: alarm.began, x1: alarm.step, fillcolor: colourOf(run), opacity: 0.1, line: { width: 0 } },
        { ...place, type: "line", name: "said", x0: alarm.first, x1: alarm.first, line: { color: colourOf(run), width: 1.2, dash: "dot" } },
      ];
    }));
}

/** Draws a section's figure, or draws it anew. */
function drawFigure(holder, section) {
  const colours = theme();
  const panels = section.panels();
  const heading = panels.some((panel) => panel.title.includes("<br>")) ? 14 : 0;
  const { places, height } = grid(holder.clientWidth, panels.length, heading);
  const traces = panels.map((panel) => panel.traces.filter((trace) => trace.run.shown));
  const all = panels.flatMap((panel) => panel.traces);
  const ranges = { x: span(all.flatMap((t) => t.x), section.x), y: span(all.flatMap((t) => t.y), section.y) };
  const layout = {
    width: holder.clientWidth, height, showlegend: false, hovermode: "closest", dragmode: "zoom", margin: { t: GAPS.top + heading, b: GAPS.bottom, l: GAPS.left, r: GAPS.right },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: colours.sheet, font: { family: colours.font, color: colours.ink, size: 12 },
    hoverlabel: { bgcolor: colours.paper, bordercolor: colours.edge, font: { color: colours.ink, family: colours.font } },
    annotations: [], shapes: [],
  };
  const drawn = panels.flatMap((panel, i) => {
    const number = i ? String(i + 1) : "";
    const place = places[i];
    layout[`xaxis${number}`] = axis(colours, place.first ? section.across : "", ranges.x, place.x, `y${number}`, true, i ? "x" : undefined);
    layout[`yaxis${number}`] = axis(colours, "", ranges.y, place.y, `x${number}`, place.first, i ? "y" : undefined);
    layout.annotations.push({ text: panel.title, align: "left", x: place.x[0], y: place.y[1], xref: "paper", yref: "paper", xanchor: "left",
      yanchor: "bottom", showarrow: false, font: { size: 12.5 } });
    if (panel.task && section.bands) layout.shapes.push(...bands(panel.task, number));
    return traces[i].map(({ run, faint, ...trace }) => ({ hovertemplate: HOVER, ...trace, xaxis: `x${number}`, yaxis: `y${number}` }));
  });
  return Plotly.react(holder, drawn, layout, { displayModeBar: false, responsive: false });
}
