"use strict";
/* What every part of the page uses: the data, colours, elements. Text is set as text everywhere, never as HTML. */
const DATA = JSON.parse(document.getElementById("data").textContent);
const RUNS = DATA.runs.map((run, index) => ({ ...run, index, shown: true }));
const MINUS = "\u2212";

/* Okabe and Ito's colours, darkened for white paper and lightened for black. */
const COLOURS = {
  light: ["#0072b2", "#d55e00", "#008a64", "#b0508a", "#a87400", "#56616d", "#2f9bd8", "#7a3e00"],
  dark: ["#56b4e9", "#ff8f47", "#2fcf9f", "#ec9fc9", "#f0c24b", "#c3ccd6", "#9ad4ff", "#d9a06b"],
};
const DASHES = ["solid", "dash", "dashdot"];
const MARKERS = ["circle", "square", "diamond", "triangle-up", "x", "star", "cross", "triangle-down"];

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** A run's colour; runs beyond the eighth repeat the colours with other dashes. */
function colourOf(run) {
  const colours = COLOURS[isDark() ? "dark" : "light"];
  return colours[run.index % colours.length];
}

const dashOf = (run) => DASHES[Math.floor(run.index / MARKERS.length) % DASHES.length];
const markerOf = (run) => MARKERS[run.index % MARKERS.length];

/** An element with attributes and children; strings become text. */
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A short line in a run's colour; `paintSwatches` colours it, again when the theme changes. */
function swatch(run) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  for (const [name, value] of [["class", "swatch"], ["viewBox", "0 0 22 12"], ["aria-hidden", "true"]]) {
    picture.setAttribute(name, value);
  }
  picture.dataset.run = run.index;
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", "M0 6H22");
  line.setAttribute("stroke-width", "4");
  line.setAttribute("stroke-dasharray", { solid: "none", dash: "8 4", dashdot: "8 3 2 3" }[dashOf(run)]);
  picture.append(line);
  return picture;
}

function paintSwatches(root) {
  for (const picture of root.querySelectorAll(".swatch")) {
    picture.firstChild.setAttribute("stroke", colourOf(RUNS[picture.dataset.run]));
  }
}

function fixed(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", MINUS);
}

function signed(value) {
  return value === null || value === undefined ? "–" : (value > 0 && Number(value.toFixed(2)) ? "+" : "") + fixed(value);
}

const words = (name) => name.replaceAll("_", " ");
const plural = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
