// The power-flow picture: sources left, the park bus in the middle, loads right, width by power.

import { setAttributes, setText, svg } from "./dom.js";
import { kw, t } from "./text.js";

const ORDER = ["pv", "wind", "chp", "other", "battery", "grid", "flexible_load", "ev_station", "heat_pump", "fleet"];
const BUS = { x: 450, top: 82, height: 236, width: 12 };
const SLOT = 54;
const LEFT = { block: 132, label: 116, anchor: "end" };
const RIGHT = { block: 768, label: 784, anchor: "start" };
const LEAST_KW = 0.5;

export const colourClass = (kind) => `k-${ORDER.includes(kind) ? kind : "other"}`;

// Sums by kind; batteries that charge and batteries that discharge are two flows.
function flowsOf(resources) {
  const sums = new Map();
  let net = 0;
  for (const r of resources) {
    net += r.power_kw;
    if (Math.abs(r.power_kw) < LEAST_KW) continue;
    const kind = ORDER.includes(r.kind) ? r.kind : "other";
    const key = `${kind}:${r.power_kw > 0 ? "in" : "out"}`;
    const sum = sums.get(key) ?? { key, kind, power: 0, doubtful: false };
    sum.power += Math.abs(r.power_kw);
    sum.doubtful ||= r.quality !== "good" && r.quality !== "uncertain";
    sums.set(key, sum);
  }
  if (Math.abs(net) >= LEAST_KW) {
    const key = `grid:${net < 0 ? "in" : "out"}`;
    sums.set(key, { key, kind: "grid", power: Math.abs(net), doubtful: false });
  }
  const ordered = [...sums.values()].sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
  return {
    net,
    sources: ordered.filter((f) => f.key.endsWith(":in")),
    sinks: ordered.filter((f) => f.key.endsWith(":out")),
  };
}

const drawn = new Map();
let busLabel = null;
let netLabel = null;

function prepare(root) {
  busLabel = svg("text", { class: "bus-label", x: BUS.x, y: BUS.top - 30, "text-anchor": "middle" });
  netLabel = svg("text", { class: "net-label", x: BUS.x, y: BUS.top - 10, "text-anchor": "middle" });
  root.append(
    svg("g", { class: "ribbons" }),
    svg("rect", {
      class: "bus", x: BUS.x - BUS.width / 2, y: BUS.top, width: BUS.width, height: BUS.height, rx: 6,
    }),
    svg("g", { class: "nodes" }),
    busLabel,
    netLabel,
  );
}

function element(root, flow) {
  if (!drawn.has(flow.key)) {
    const ribbon = svg("path", { class: "ribbon" });
    const sparks = svg("path", { class: "sparks" });
    const block = svg("rect", { class: "block", rx: 3, width: 7 });
    const name = svg("text", { class: "name" });
    const power = svg("text", { class: "power" });
    const lines = svg("g", { class: colourClass(flow.kind) }, ribbon, sparks);
    const node = svg("g", { class: colourClass(flow.kind) }, block, name, power);
    root.querySelector(".ribbons").append(lines);
    root.querySelector(".nodes").append(node);
    drawn.set(flow.key, { lines, node, ribbon, sparks, block, name, power });
  }
  return drawn.get(flow.key);
}

function place(root, flows, side, scale) {
  const widths = flows.map((f) => Math.max(2, f.power * scale));
  const slots = widths.map((w) => Math.max(SLOT, w + 14));
  let y = BUS.top + BUS.height / 2 - slots.reduce((a, b) => a + b, 0) / 2;
  let busY = BUS.top + BUS.height / 2 - widths.reduce((a, b) => a + b, 0) / 2;
  flows.forEach((flow, i) => {
    const width = widths[i];
    const middle = y + slots[i] / 2;
    const atBus = busY + width / 2;
    const parts = element(root, flow);
    const reach = (BUS.x - LEFT.block) / 2;
    const [fromX, fromY, toX, toY] = side === LEFT
      ? [side.block, middle, BUS.x, atBus]
      : [BUS.x, atBus, side.block, middle];
    const path = `M${fromX} ${fromY} C${fromX + reach} ${fromY} ${toX - reach} ${toY} ${toX} ${toY}`;
    setAttributes(parts.ribbon, { d: path, "stroke-width": width.toFixed(1) });
    setAttributes(parts.sparks, { d: path, "stroke-width": Math.min(3.4, Math.max(1.6, width / 3)).toFixed(1) });
    setAttributes(parts.block, {
      x: side === LEFT ? side.block - 7 : side.block, y: (middle - width / 2).toFixed(1), height: width.toFixed(1),
    });
    setAttributes(parts.name, { x: side.label, y: middle - 4, "text-anchor": side.anchor });
    setAttributes(parts.power, { x: side.label, y: middle + 16, "text-anchor": side.anchor });
    setText(parts.name, t(flow.kind));
    setText(parts.power, kw(flow.power));
    for (const group of [parts.lines, parts.node]) {
      group.classList.toggle("doubtful", flow.doubtful);
      group.classList.remove("gone");
    }
    y += slots[i];
    busY += width;
  });
}

export function drawFlow(root, resources) {
  if (!busLabel) prepare(root);
  const { net, sources, sinks } = flowsOf(resources);
  const total = sources.reduce((sum, f) => sum + f.power, 0);
  const scale = total > 0 ? (BUS.height - 16) / total : 0;
  const present = new Set([...sources, ...sinks].map((f) => f.key));
  for (const [key, parts] of drawn) {
    if (!present.has(key)) for (const g of [parts.lines, parts.node]) g.classList.add("gone");
  }
  place(root, sources, LEFT, scale);
  place(root, sinks, RIGHT, scale);
  setText(busLabel, t("bus"));
  const word = Math.abs(net) < LEAST_KW ? t("balanced") : t(net > 0 ? "exporting" : "importing");
  setText(netLabel, `${kw(Math.abs(net))} ${word}`);
}
