// SPDX-License-Identifier: Apache-2.0
// Numbers as the terminal writes them, and elements of the page.
"use strict";

function threeDigits(value) {
  const size = Math.abs(value);
  return value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

function scaled(value, scales) {
  let best = scales[0];
  for (const scale of scales) {
    if (Math.abs(value) / scale[0] >= 0.9995) best = scale;
  }
  return threeDigits(value / best[0]) + " " + best[1];
}

const timeText = (s) => scaled(s, [[1e-9, "ns"], [1e-6, "us"], [1e-3, "ms"], [1, "s"]]);
const bytesText = (b) => (Math.abs(b) < 1000 ? b.toFixed(0) + " B"
  : scaled(b, [[1, "B"], [1e3, "kB"], [1e6, "MB"], [1e9, "GB"], [1e12, "TB"], [1e15, "PB"]]));
const rateText = (r) => bytesText(r) + "/s";
const shareText = (ratio) => (ratio * 100).toFixed(2) + " %";
const signedShareText = (ratio) => (ratio < 0 ? "" : "+") + (ratio * 100).toFixed(1) + " %";
const countText = (n) => Math.round(n).toLocaleString("en-US");
const ratioText = (r) => r.toFixed(2);
const wordsOf = (key) => key.replace(/_s$/, "").replaceAll("_", " ");
const orDash = (value, text) => (value === null || value === undefined ? "–" : text(value));

/// The unit in which all of `values` (seconds) read well: {factor, name}.
function timeUnit(values) {
  const top = Math.max(0, ...values);
  return top >= 1 ? { factor: 1, name: "s" } : top >= 1e-3 ? { factor: 1e3, name: "ms" } : { factor: 1e6, name: "us" };
}

/// The same of bytes.
function bytesUnit(values) {
  const top = Math.max(0, ...values);
  const unit = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([size]) => top >= size) || [1, "B"];
  return { factor: 1 / unit[0], name: unit[1] };
}

/// An element with attributes and children (strings become text, never markup).
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/// The name of a scenario key, or of a report's field, with places where a narrow column may break it.
const breakable = (name) => name.split(/(?<=[._])/).flatMap((part, i) => (i === 0 ? [part] : [element("wbr"), part]));

/// A table from a header and rows of texts; columns named in `words` are left-aligned prose.
function tableElement(caption, header, rows, words = []) {
  const cell = (kind, text, column) => element(kind, words.includes(column) ? { class: String(text).length > 120 ? "words long" : "words" } : {}, String(text));
  const head = element("tr", {}, ...header.map((text, i) => {
    const th = cell("th", text, i);
    th.setAttribute("scope", "col");
    return th;
  }));
  const body = rows.map((row) => element("tr", {}, ...row.map((text, i) => cell("td", text, i))));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element("table", { "aria-label": caption }, element("thead", {}, head), element("tbody", {}, ...body)));
}

/// Content made when it is first opened.
function folded(title, make) {
  const details = element("details", {}, element("summary", {}, title));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(make());
  });
  return details;
}

/// A section with its heading, listed in the contents.
function section(id, title, ...children) {
  const made = element("section", { id, "aria-labelledby": id + "-title" },
    element("h2", { id: id + "-title" }, title), ...children.filter((child) => child));
  document.getElementById("main").append(made);
  document.getElementById("contents").append(element("a", { href: "#" + id }, title));
  return made;
}

/// Key figures: rows of [name, value, more].
function cards(rows) {
  return element("ul", { class: "cards" }, ...rows.filter((row) => row).map(([name, value, more]) =>
    element("li", {}, element("span", { class: "name" }, name), element("span", { class: "value" }, value),
      more ? element("span", { class: "more" }, more) : null)));
}

const noteElements = (sentences) => (sentences || []).map((text) => element("p", { class: "note" }, text));
