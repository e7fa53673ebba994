/* Puts the page together, and draws it anew when a run is hidden, the theme changes, or the window. */

function stageKey(section) {
  return element("p", { class: "keys" }, section.stages.map((stage, i) => {
    const box = element("span", { class: "swatchless" });
    box.style.cssText = `width: 12px; height: 12px; background: ${SHADES[i % SHADES.length]}; border-radius: 2px`;
    return element("span", { class: "key" }, box, stage);
  }));
}

function buildSections() {
  for (const section of SECTIONS.filter((one) => one.panels().length)) {
    section.holder = element("div", { class: "chart", id: `chart-${section.id}`, role: "img", "aria-label": `${section.title}. ${section.about}` });
    section.key = element("div", {});
    document.getElementById("charts").append(element("section", { "aria-labelledby": `title-${section.id}` },
      element("h2", { id: `title-${section.id}` }, section.title), element("p", { class: "quiet" }, section.about), section.key, section.holder));
  }
}

async function drawCharts() {
  for (const section of SECTIONS.filter((one) => one.holder)) {
    if (section.stages) section.key.replaceChildren(stageKey(section));
    await drawFigure(section.holder, section);
  }
  document.documentElement.dataset.drawn = String(Number(document.documentElement.dataset.drawn ?? 0) + 1);
}

function redraw() {
  paintSwatches(document);
  return drawCharts();
}

function drawBar() {
  document.getElementById("runs").append(...RUNS.map((run) => {
    const box = element("input", { type: "checkbox", checked: true, value: run.index });
    box.addEventListener("change", () => {
      run.shown = box.checked;
      redraw();
      drawSamples();
    });
    return element("label", {}, box, swatch(run), element("span", { class: "name" }, run.name));
  }));
  document.getElementById("smoothing").addEventListener("change", (event) => {
    smoothing = Number(event.target.value);
    drawCharts();
  });
  document.getElementById("theme").addEventListener("change", (event) => {
    document.documentElement.dataset.theme = event.target.value;
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = window.innerWidth;
  let waiting = null;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawCharts, 150);
  });
}

function start() {
  document.getElementById("made").textContent = `${plural(RUNS.length, "run", "runs")} · made ${DATA.made} by cgpo.report`;
  drawBar();
  drawOverview();
  drawAlarms();
  drawFilters();
  drawSamples();
  buildSections();
  redraw();
}

start();
