// SPDX-License-Identifier: Apache-2.0
// What a reader chooses: axes, filters, the order of a table.
"use strict";

/// A labelled list of choices. @param options [value, text]
function chooser(name, options, value, onChange) {
  const select = element("select", { "aria-label": name }, ...options.map(([key, text]) => element("option", { value: key }, text)));
  select.value = value;
  select.addEventListener("change", () => onChange(select.value));
  return element("label", { class: "choice" }, element("span", {}, name), select);
}

const choices = (...children) => element("div", { class: "choices" }, ...children);

/// Draws a figure again after something it depends on has changed.
const redraw = (made) => draw(allCharts.find((chart) => chart.host === made.querySelector(".chart")));

const kMostRows = 500;

/// Numbers first, by size; then texts.
function compareValues(a, b) {
  const isNumber = [typeof a === "number", typeof b === "number"];
  if (isNumber[0] && isNumber[1]) return a - b;
  if (isNumber[0] !== isNumber[1]) return isNumber[0] ? -1 : 1;
  return String(a ?? "").localeCompare(String(b ?? ""), undefined, { numeric: true });
}

/// A table that a click on a heading sorts. @param columns {name, value(row), text(value), words}
/// Its `show(rows)` replaces the rows; at most kMostRows are drawn.
function sortableTable(caption, columns, rows) {
  const body = element("tbody", {});
  const more = element("p", { class: "quiet" });
  let by = null;
  let descending = false;
  let shown = rows;
  const fill = () => {
    const order = [...shown];
    if (by) order.sort((a, b) => (descending ? -1 : 1) * compareValues(by.value(a), by.value(b)));
    body.replaceChildren(...order.slice(0, kMostRows).map((row) => element("tr", {}, ...columns.map((column) => {
      const value = column.value(row);
      return element("td", column.words ? { class: "words" } : {}, value === null || value === undefined ? "–" : String(column.text ? column.text(value) : value));
    }))));
    more.textContent = order.length > kMostRows ? "The first " + countText(kMostRows) + " of " + countText(order.length) + "." : countText(order.length) + " rows.";
  };
  const headings = columns.map((column) => {
    const button = element("button", { type: "button", class: "sort" }, ...breakable(column.name));
    const heading = element("th", { scope: "col", "aria-sort": "none", ...(column.words ? { class: "words" } : {}) }, button);
    button.addEventListener("click", () => {
      descending = by === column && !descending;
      by = column;
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      fill();
    });
    return heading;
  });
  fill();
  const made = element("div", {}, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element("table", { "aria-label": caption }, element("thead", {}, element("tr", {}, ...headings)), body)), more);
  made.show = (next) => {
    shown = next;
    fill();
  };
  return made;
}
