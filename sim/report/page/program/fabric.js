// SPDX-License-Identifier: Apache-2.0
// Links: how busy each kind is, the busiest ones, and all of them on a drawing of the fabric.
"use strict";

const kTiers = ["scale_up_switch", "gpu", "nic", "leaf", "spine", "core"];
const kTierNames = ["scale-up switches", "GPUs", "NICs", "leaves", "spines", "cores"];
const kLinkWords = { scale_up: "scale-up", pcie: "PCIe", nic: "NIC to leaf", fabric: "between switches" };

function linkKindTable(kinds) {
  return tableElement("Links by kind", ["links", "number", "bytes", "busy, mean", "busy, most", "busiest"],
    kinds.map((kind) => [kLinkWords[kind.kind] || kind.kind, countText(kind.links), bytesText(kind.bytes), shareText(kind.mean_busy_ratio),
      shareText(kind.max_busy_ratio), kind.busiest || "–"]), [5]);
}

function busiestFigure(links) {
  const rows = links.map((link) => ({ name: link.name, busy: link.busy_ratio, text: shareText(link.busy_ratio) + ", " + bytesText(link.bytes) }));
  const top = Math.max(...rows.map((row) => row.busy));
  return figure({
    caption: "The busiest links: bytes / effective rate / time of the steps. A link that is busy all the time has 100 %.",
    label: "Busiest links: " + rows.slice(0, 3).map((row) => row.name + " " + row.text).join("; "),
    spec: (width) => ({
      height: rowsHeight(rows.length, 22), data: { values: rows },
      encoding: { y: { field: "name", type: "nominal", sort: null, title: null, axis: { ticks: false, domain: false, labelLimit: width < 500 ? 150 : 320 } },
        x: { field: "busy", type: "quantitative", title: "busy", axis: { format: "~%", tickCount: 6, labelExpr: "datum.value <= " + top * 1.1 + " ? datum.label : ''" }, scale: { domain: [0, top * (width < 500 ? 2.2 : 1.3)], nice: false } } },
      layer: [{ mark: { type: "bar", cornerRadiusEnd: 2, color: colourScale(["hot_link"]).range[0] }, encoding: { tooltip: [{ field: "name", title: "link" }, { field: "text", title: "busy, bytes" }] } },
        { mark: { type: "text", align: "left", dx: 6, fontSize: 12 }, encoding: { text: { field: "text" } } }],
    }),
    header: ["link", "busy", "bytes", "effective rate"],
    rows: () => links.map((link) => [link.name, shareText(link.busy_ratio), bytesText(link.bytes), rateText(link.effective_bytes_per_s)]),
  });
}

/// Places vertices in rows by kind. Switches of one domain stand over its GPUs; the rest is spread evenly. Routers of a torus make a grid.
function placeVertices(fabric) {
  const at = fabric.vertices.map((vertex) => ({ name: vertex.name, tier: kTiers.indexOf(vertex.kind), x: 0, y: kTiers.indexOf(vertex.kind) }));
  const rows = kTiers.map((_, tier) => at.map((_, i) => i).filter((i) => at[i].tier === tier));
  const neighbours = at.map(() => []);
  for (const link of fabric.links) {
    neighbours[link.source].push(link.target);
    neighbours[link.target].push(link.source);
  }
  const spread = (row) => row.forEach((i, k) => { at[i].x = (k + 0.5) / row.length; });
  rows.forEach(spread);
  for (const i of rows[0]) {
    const below = neighbours[i].filter((j) => at[j].tier === 1);
    if (below.length > 0) at[i].x = below.reduce((sum, j) => sum + at[j].x, 0) / below.length;
  }
  const [width] = fabric.torus;
  if (width > 0 && rows[3].length > 0) {
    const lines = Math.ceil(rows[3].length / width);
    rows[3].forEach((i, k) => {
      at[i].x = ((k % width) + 0.5 + (Math.floor(k / width) % 2) * 0.15) / width;
      at[i].y = 3 + (lines > 1 ? (1.6 * Math.floor(k / width)) / (lines - 1) : 0);
    });
  }
  return at;
}

function fabricFigure(fabric) {
  const at = placeVertices(fabric);
  const tiers = [...new Set(at.map((vertex) => vertex.tier))];
  const lines = fabric.links.map((link) => ({ x: at[link.source].x, y: at[link.source].y, x2: at[link.target].x, y2: at[link.target].y,
    busy: link.busy_ratio, wide: link.busy_ratio, name: link.name, text: shareText(link.busy_ratio) + ", " + bytesText(link.bytes) })).sort((a, b) => a.busy - b.busy);
  const x = { field: "x", type: "quantitative", axis: null, scale: { domain: [0, 1], nice: false } };
  const top = Math.max(...at.map((vertex) => vertex.y));
  const least = Math.min(...at.map((vertex) => vertex.y));
  const y = { field: "y", type: "quantitative", title: null, scale: { domain: [least - 0.25, top + 0.25], nice: false, zero: false },
    axis: { values: tiers, grid: false, ticks: false, domain: false, labelExpr: JSON.stringify(kTierNames) + "[datum.value]" } };
  return figure({
    caption: "The fabric: a line is a link, stronger and thicker the longer it is busy (the busier of its two directions)." +
      (fabric.grouped ? " Many GPUs: " + fabric.grouped + "." : ""),
    label: "Drawing of the fabric: " + fabric.vertices.length + " vertices, " + lines.length + " links",
    canvas: lines.length > 400,
    spec: (width) => ({
      height: Math.min(460, Math.max(240, 110 * (top - least + 0.5))),
      layer: [
        { data: { values: lines }, mark: { type: "rule", strokeCap: "round" }, encoding: { x, x2: { field: "x2" }, y, y2: { field: "y2" },
          color: { field: "busy", type: "quantitative", scale: { domain: [0, Math.max(1e-9, ...lines.map((line) => line.busy))], range: [cssColour("--line"), ...heatRange().slice(2)], interpolate: "rgb" },
            legend: { title: "busy", orient: "top", format: ".0%", gradientLength: Math.min(240, width - 60), tickCount: 4 } },
          strokeWidth: { field: "wide", type: "quantitative", scale: { domain: [0, Math.max(1e-9, ...lines.map((line) => line.busy))], range: [0.5, 3] }, legend: null },
          tooltip: [{ field: "name", title: "link" }, { field: "text", title: "busy, bytes" }] } },
        { data: { values: at }, mark: { type: "point", filled: true, size: at.length > 300 ? 14 : 40, color: cssColour("--ink"), opacity: 1 },
          encoding: { x, y, tooltip: [{ field: "name", title: "is" }] } }],
    }),
  });
}

const kKindLine = /^(scale_up|pcie|nic|fabric) links$/;

/// How busy links are over the time of the slowest step: each kind, and the busiest ones.
function linksOverTime(over) {
  const start = over.lines[0].busy_ratio.map((_, i) => i * over.interval_s);
  const how = over.is_exact ? "" : " The bytes of a flow are spread evenly over its life (this engine has no rates), so a value may pass 100 %.";
  const kinds = over.lines.filter((line) => kKindLine.test(line.name));
  const single = over.lines.filter((line) => !kKindLine.test(line.name));
  const lines = (list, name) => list.map((line, i) => ({ name: name(line.name), values: line.busy_ratio, colour: "spare" + i }));
  return [overTimeFigure({ caption: "How busy each kind of link is over the time of the slowest step: mean of all links of the kind, a value every " + timeText(over.interval_s) + "." + how, start, title: "busy", text: shareText, format: "~%",
    lines: lines(kinds, (name) => kLinkWords[name.replace(/ links$/, "")] || name) }),
  ...(single.length > 0 ? [overTimeFigure({ caption: "The same of the busiest links." + how, start, title: "busy", text: shareText, format: "~%", lines: lines(single, (name) => name) })] : [])];
}

function linkParts(extra) {
  const parts = [element("h3", {}, "Links"), linkKindTable(extra.link_kinds)];
  if (extra.busiest_links.length > 0) parts.push(busiestFigure(extra.busiest_links));
  if (extra.over_time) parts.push(element("h3", {}, "Links over time"), ...linksOverTime(extra.over_time));
  parts.push(element("h3", {}, "Fabric"), extra.fabric ? fabricFigure(extra.fabric) : element("p", {}, "This fabric has too many links to be drawn."));
  return parts;
}
