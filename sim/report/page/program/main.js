// SPDX-License-Identifier: Apache-2.0
// Reads the document in the page, shows it by its format, and looks after the theme.
"use strict";

function lead(kind, title, text) {
  document.getElementById("kind").textContent = kind;
  document.getElementById("title").textContent = title;
  document.getElementById("lead").textContent = text;
  document.title = title + " · " + kind;
}

const kPages = {
  "moesim-report": showRun,
  "moesim-whole-report": showWhole,
  "moesim-serving-report": showServing,
  "moesim-gpu-report": showGpu,
  "moesim-comparison": showComparison,
  "moesim-plan": showPlan,
  "moesim-results": showResults,
  "moesim-capacity": showCapacity,
  "moesim-placement": showPlacement,
  "moesim-compare": showCompare,
  "moesim-validation": showValidation,
};

/// The choice of the reader, else of the system; a page on disk may have no storage.
function storedTheme() {
  try {
    return localStorage.getItem("moesim-theme");
  } catch {
    return null;
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const button = document.getElementById("theme");
  button.textContent = theme === "dark" ? "Light" : "Dark";
  button.setAttribute("aria-label", "Use the " + (theme === "dark" ? "light" : "dark") + " theme");
  button.setAttribute("aria-pressed", String(theme === "dark"));
}

async function switchTheme() {
  const theme = isDark() ? "light" : "dark";
  setTheme(theme);
  try {
    localStorage.setItem("moesim-theme", theme);
  } catch {
    // The choice lasts as long as the page.
  }
  await drawAll();
}

async function main() {
  setTheme(storedTheme() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", switchTheme);
  const { report, extra } = JSON.parse(document.getElementById("document").textContent);
  kPages[report.format](report, extra);
  document.getElementById("footer").textContent = "moesim " + (report.moesim_version || report.simulated.moesim_version) + ". This page needs no network; its numbers are those of the JSON beside it.";
  await drawAll();
}

main();
