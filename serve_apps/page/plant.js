// The plant itself: the row of figures, the cards of aggregates, the tiles of resources.

import { byId, h, setAttributes, setText } from "./dom.js";
import { picture, serverNow } from "./feed.js";
import { colourClass } from "./flow.js";
import { kw, nameOf, percent, span, status, t } from "./text.js";

const BAD = { stale: "bad", frozen: "bad", missing: "bad", failed: "bad", failsafe: "bad" };
const WARN = { uncertain: "warn", degraded: "warn" };
const tone = (value) => BAD[value] ?? WARN[value] ?? "ok";

const tiles = new Map();
const cards = new Map();
const figures = new Map();

export const ageOf = (instant) => (instant ? (serverNow() - Date.parse(instant)) / 1000 : null);

const ageText = (instant) => (instant ? span(ageOf(instant)) : t("never"));

// A horizontal range with zero marked, a bar from zero to the value, and a tick at the target.
function gauge() {
  const parts = {
    range: h("i", { class: "range" }), bar: h("i", { class: "fill" }),
    zero: h("i", { class: "zero" }), target: h("i", { class: "target", hidden: true }),
  };
  return { root: h("div", { class: "gauge" }, parts.range, parts.bar, parts.zero, parts.target), ...parts };
}

function drawGauge(parts, { low, high, scale, value, target }) {
  const place = (kwValue) => Math.min(100, Math.max(0, 50 + (50 * kwValue) / (scale || 1)));
  const [a, b] = [place(Math.min(low, high)), place(Math.max(low, high))];
  parts.range.style.left = `${a}%`;
  parts.range.style.width = `${Math.max(0.5, b - a)}%`;
  const [zero, now] = [place(0), place(value)];
  parts.bar.style.left = `${Math.min(zero, now)}%`;
  parts.bar.style.width = `${Math.abs(now - zero)}%`;
  parts.target.hidden = target === null || target === undefined;
  if (!parts.target.hidden) parts.target.style.left = `${place(target)}%`;
}

function chip(parent, key) {
  const element = h("span", { class: "chip" });
  parent.append(element);
  return (text, toneName) => {
    element.hidden = text === null;
    setText(element, text ?? "");
    setAttributes(element, { "data-tone": toneName ?? "plain", "data-chip": key });
  };
}

function figure(key, label, value, note) {
  if (!figures.has(key)) {
    const parts = { label: h("small"), value: h("b"), note: h("span", { class: "muted" }) };
    byId("figures").append(h("div", { class: "panel figure" }, parts.label, parts.value, parts.note));
    figures.set(key, parts);
  }
  const parts = figures.get(key);
  setText(parts.label, label);
  setText(parts.value, value);
  setText(parts.note, note);
}

export function drawFigures(definitions, roots) {
  const states = [...picture.resources.values()];
  const sum = (test) => states.filter(test).reduce((total, r) => total + r.power_kw, 0);
  const stores = states.filter((r) => r.kind === "battery");
  const net = sum(() => true);
  const battery = sum((r) => r.kind === "battery");
  figure("net", t("net"), kw(net, { sign: true }),
    Math.abs(net) < 0.5 ? t("balanced") : t(net > 0 ? "exporting" : "importing"));
  const generation = sum((r) => r.kind !== "battery" && r.power_kw > 0);
  const renewable = sum((r) => (r.kind === "pv" || r.kind === "wind") && r.power_kw > 0);
  const consumption = -sum((r) => r.kind !== "battery" && r.power_kw < 0);
  figure("generation", t("generation"), kw(generation),
    generation > 0.5 ? t("renewable", percent(renewable / generation)) : "");
  figure("consumption", t("consumption"), kw(consumption),
    consumption > 0.5 ? t("onSite", percent(Math.min(1, Math.max(0, 1 + Math.min(0, net) / consumption)))) : "");
  const capacity = (r) => definitions.get(r.id)?.parameters.capacity_kwh ?? r.rated_kw;
  const known = stores.filter((r) => r.signals.soc_frac !== undefined);
  const full = known.reduce((total, r) => total + capacity(r), 0);
  const soc = full ? known.reduce((total, r) => total + r.signals.soc_frac * capacity(r), 0) / full : null;
  const doing = Math.abs(battery) < 0.5 ? t("idle") : `${t(battery > 0 ? "discharging" : "charging")} ${kw(Math.abs(battery))}`;
  figure("storage", t("storage"), soc === null ? "–" : percent(soc), doing);
  const tops = roots.map((id) => picture.aggregates.get(id)).filter(Boolean);
  const rated = tops.reduce((total, a) => total + a.rated_kw, 0);
  const covered = tops.reduce((total, a) => total + a.coverage_frac * a.rated_kw, 0);
  const fresh = states.filter((r) => tone(r.quality) === "ok").length;
  figure("coverage", t("coverage"), rated ? percent(covered / rated) : "–", t("fresh", fresh, definitions.size));
}

function makeCard(definition, onOpen) {
  const parts = {
    name: h("b"), power: h("strong"), gauge: gauge(),
    target: h("span"), coverage: h("span"), range: h("span"), chips: h("div", { class: "chips" }),
  };
  const facts = h("div", { class: "facts" }, parts.target, parts.range, parts.coverage);
  const root = h("button", { class: "panel card", type: "button", onclick: () => onOpen(definition) },
    h("div", { class: "head" }, parts.name, parts.power), parts.gauge.root, facts, parts.chips);
  parts.health = chip(parts.chips, "health");
  parts.quality = chip(parts.chips, "quality");
  parts.age = chip(parts.chips, "age");
  parts.detail = chip(parts.chips, "detail");
  byId("aggregates").append(root);
  return { ...parts, root };
}

export function drawAggregates(definitions, onOpen) {
  for (const definition of definitions.values()) {
    if (!cards.has(definition.id)) cards.set(definition.id, makeCard(definition, onOpen));
    const card = cards.get(definition.id);
    const state = picture.aggregates.get(definition.id);
    setText(card.name, nameOf(definition.name));
    setText(card.power, state ? kw(state.power_kw, { sign: true }) : "–");
    card.root.classList.toggle("dim", !state);
    if (!state) continue;
    const { min_kw: low, max_kw: high } = state.envelope;
    const scale = 1.08 * Math.max(Math.abs(low), Math.abs(high), Math.abs(state.power_kw), Math.abs(state.target_kw ?? 0));
    drawGauge(card.gauge, { low, high, scale, value: state.power_kw, target: state.target_kw });
    setText(card.target, state.target_kw === null ? t("held") : `${t("targetNow")} ${kw(state.target_kw, { sign: true })}`);
    setText(card.range, `${t("envelope")} ${kw(low, { sign: true })} … ${kw(high, { sign: true })}`);
    setText(card.coverage, `${t("coverageFrac")} ${percent(state.coverage_frac)} · ±${kw(state.sigma_kw)}`);
    card.health(state.killed ? status("killed") : status(state.health), state.killed ? "bad" : tone(state.health));
    card.quality(`${state.n_fresh}/${state.n_members}`, state.n_fresh < state.n_members ? "warn" : "plain");
    card.age(ageText(state.published_at), ageOf(state.published_at) > 15 ? "bad" : "plain");
    card.detail(Math.abs(state.shortfall_kw) > 0.5 ? `${t("shortfall")} ${kw(state.shortfall_kw)}` : null, "bad");
  }
}

function makeTile(definition, onOpen) {
  const parts = {
    kind: h("small"), name: h("b"), power: h("strong"), gauge: gauge(),
    store: h("i", { class: "fill" }), storeText: h("span", { class: "muted" }),
    chips: h("div", { class: "chips" }), who: h("p", { class: "who muted" }),
  };
  parts.storeRow = h("div", { class: "store" }, h("div", { class: "meter" }, parts.store), parts.storeText);
  const root = h("button",
    { class: `panel tile ${colourClass(definition.kind)}`, type: "button", onclick: () => onOpen(definition) },
    h("div", { class: "head" }, parts.kind, parts.power), parts.name,
    parts.gauge.root, parts.storeRow, parts.chips, parts.who);
  for (const key of ["health", "quality", "rung", "age"]) parts[key] = chip(parts.chips, key);
  byId("resources").append(root);
  return { ...parts, root };
}

export function drawResources(definitions, onOpen) {
  for (const definition of definitions.values()) {
    if (!tiles.has(definition.id)) tiles.set(definition.id, makeTile(definition, onOpen));
    const tile = tiles.get(definition.id);
    const state = picture.resources.get(definition.id);
    setText(tile.kind, t(definition.kind));
    setText(tile.name, nameOf(definition.name));
    setText(tile.power, state ? kw(state.power_kw, { sign: true }) : "–");
    tile.root.classList.toggle("dim", !state);
    if (state) drawTile(tile, state);
    else for (const key of ["health", "quality", "rung", "age"]) tile[key](key === "age" ? t("never") : null);
  }
}

function drawTile(tile, state) {
  const { min_kw: low, max_kw: high } = state.envelope;
  const scale = 1.08 * Math.max(state.rated_kw, Math.abs(state.power_kw));
  drawGauge(tile.gauge, { low, high, scale, value: state.power_kw, target: state.setpoint_kw });
  const level = state.signals.soc_frac ?? state.signals.store_frac;
  tile.storeRow.hidden = level === undefined;
  if (level !== undefined) {
    tile.store.style.width = percent(level, 1).replace(" ", "");
    setText(tile.storeText, `${t(state.signals.soc_frac === undefined ? "store" : "soc")} ${percent(level)}`);
  }
  tile.root.classList.toggle("killed", state.killed);
  tile.root.classList.toggle("alarm", state.health === "failed" || tone(state.quality) === "bad");
  tile.health(state.killed ? status("killed") : status(state.health), state.killed ? "bad" : tone(state.health));
  tile.quality(status(state.quality), tone(state.quality));
  tile.rung(status(state.rung), state.rung === "failsafe" ? "bad" : "plain");
  tile.age(ageText(state.measured_at), ageOf(state.measured_at) > 15 ? "bad" : "plain");
  const winner = state.contenders.find((c) => c.outcome === "won");
  const who = winner ? `${t("followedBy")} ${winner.source_id} · ${winner.reason}` : t("held");
  setText(tile.who, state.setpoint_kw === null ? who : `${kw(state.setpoint_kw, { sign: true })} ${who}`);
}

export function forget() {
  for (const map of [tiles, cards, figures]) map.clear();
  for (const id of ["aggregates", "resources", "figures"]) byId(id).replaceChildren();
}
