// Dispatch: the form, the list of recent dispatches, and following one until its end.

import { byId, h, setText, svg } from "./dom.js";
import { picture, serverNow } from "./feed.js";
import { call, may, newKey, Problem } from "./session.js";
import { bare, clockTime, kw, nameOf, percent, span, status, t } from "./text.js";

const ENDED = ["completed", "cancelled", "failed"];
const TONES = { delivering: "ok", completed: "ok", partial: "warn", failed: "bad", accepted: "plain", active: "warn" };
const TRACE_POINTS = 240;

let park = null;
let followed = null;
let etag = null;
let trace = [];
let pending = null;
let parts = null;

const form = () => byId("dispatch-form");
export const mayDispatch = () => may("operator", "admin");

export function explain(error) {
  if (!(error instanceof Problem)) return t("unreachable");
  if (error.errors.length === 0) return error.message;
  return error.errors.map((e) => `${e.field}: ${e.rule}`).join("; ");
}

export function prepareDispatch(definition) {
  park = definition;
  // Built anew by the next report, in the language now chosen.
  parts = null;
  const select = form().elements.aggregation;
  const chosen = select.value;
  select.replaceChildren(...park.aggregates.map((a) => h("option", { value: a.id }, nameOf(a.name))));
  select.value = chosen || park.aggregates[0]?.id;
  form().querySelector("button").disabled = !mayDispatch() || !park.aggregates.length;
  setText(form().querySelector(".error"), mayDispatch() ? "" : t("notPermitted"));
  form().onsubmit = (event) => {
    event.preventDefault();
    send();
  };
}

export function showReach() {
  const state = picture.aggregates.get(form().elements.aggregation.value);
  setText(byId("reach"), state
    ? t("reach", kw(state.envelope.min_kw, { sign: true }), kw(state.envelope.max_kw, { sign: true }))
    : "");
}

async function send() {
  const { aggregation, target_kw: target, minutes, ramp, reason } = form().elements;
  const body = {
    target_kw: Number(target.value),
    duration_s: Number(minutes.value) * 60,
    reason: reason.value,
    ...(ramp.value ? { ramp_kw_per_min: Number(ramp.value) } : {}),
  };
  const asked = JSON.stringify([aggregation.value, body]);
  // The same wish keeps its key until it is answered, so that a second click is no second dispatch.
  if (pending?.asked !== asked) pending = { asked, key: newKey() };
  const button = form().querySelector("button");
  const error = form().querySelector(".error");
  button.disabled = true;
  setText(error, "");
  try {
    const answer = await call("POST", `/aggregations/${aggregation.value}/dispatch`, body,
      { "idempotency-key": pending.key });
    pending = null;
    watch(answer.body.id);
  } catch (problem) {
    setText(error, explain(problem));
    if (problem instanceof Problem && problem.status < 500) pending = null;
  } finally {
    button.disabled = !mayDispatch();
  }
}

export function watch(id) {
  if (followed !== id) {
    followed = id;
    trace = [];
  }
  return refreshDispatches();
}

export async function refreshDispatches() {
  const { body } = await call("GET", "/dispatches?limit=6");
  drawRecent(body.items);
  const running = body.items.find((i) => !ENDED.includes(i.state));
  if (followed === null && running) followed = running.id;
  if (followed === null) return;
  const report = await call("GET", `/dispatches/${encodeURIComponent(followed)}`);
  etag = report.headers.get("etag");
  drawFollowed(report.body);
}

function drawRecent(items) {
  const rows = items.map((i) => h("li", { class: i.id === followed ? "chosen" : null },
    h("button", { type: "button", class: "quiet", onclick: () => watch(i.id) },
      h("span", { class: "chip", "data-tone": TONES[i.state] ?? "plain" }, status(i.state)),
      h("span", {}, `${kw(i.target_kw, { sign: true })} · ${nameOfAggregate(i.aggregate_id)}`),
      h("span", { class: "muted mono" }, clockTime(i.start_at, park.timezone)))));
  byId("recent").replaceChildren(...(rows.length ? rows : [h("li", { class: "muted" }, t("none"))]));
}

function nameOfAggregate(id) {
  return nameOf(park.aggregates.find((a) => a.id === id)?.name ?? id);
}

function drawFollowed(report) {
  const { instruction } = report;
  frame(instruction);
  if (!ENDED.includes(instruction.state)) {
    trace.push({ measured: report.measured_kw, target: report.target_kw });
    trace = trace.slice(-TRACE_POINTS);
  }
  const fact = (label, value) => h("div", {}, h("small", {}, label), h("b", {}, value));
  parts.report.replaceChildren(
    h("div", { class: "head" },
      h("b", {}, `${nameOfAggregate(instruction.aggregate_id)} ${kw(instruction.target_kw, { sign: true })}`),
      h("span", { class: "chip", "data-tone": TONES[instruction.state] ?? "plain" }, status(instruction.state))),
    h("p", { class: "muted" }, `${instruction.reason} · ${instruction.issued_by} · v${instruction.version} · ${remaining(instruction)}`),
    ...(trace.length > 1 ? [spark(instruction)] : []),
    h("div", { class: "numbers" },
      fact(t("measured"), kw(report.measured_kw, { sign: true })),
      fact(t("targetNow"), kw(report.target_kw, { sign: true })),
      fact(t("delivered"), `${report.delivered_kwh.toFixed(1)} / ${report.requested_kwh.toFixed(1)} kWh`),
      ...(report.unmetered_s >= 1 ? [fact(t("unmetered"), `${report.unmetered_s.toFixed(0)} s`)] : []),
      fact(t("inTolerance"), percent(report.within_tolerance_frac))),
    ...(report.members.length ? [memberTable(report.members)] : []),
  );
  parts.controls.hidden = ENDED.includes(instruction.state) || !mayDispatch();
}

// The controls outlive the redraw of the report, or a click and what is being typed would be lost.
function frame(instruction) {
  const box = byId("followed");
  box.hidden = false;
  if (parts?.id !== instruction.id) {
    parts = { id: instruction.id, report: h("div"), controls: controls(instruction) };
    box.replaceChildren(parts.report, parts.controls);
  }
}

function remaining(instruction) {
  if (ENDED.includes(instruction.state)) return t("ended");
  const toStart = (Date.parse(instruction.start_at) - serverNow()) / 1000;
  if (toStart > 0) return `${t("startsIn")} ${span(toStart)}`;
  return `${span((Date.parse(instruction.end_at) - serverNow()) / 1000)} ${t("left")}`;
}

function spark(instruction) {
  const [width, height] = [360, 74];
  const values = trace.flatMap((p) => [p.measured, p.target ?? p.measured]);
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values, instruction.tolerance_kw);
  const x = (i) => (i / (trace.length - 1)) * width;
  const y = (v) => 4 + (1 - (v - low) / (high - low || 1)) * (height - 8);
  const line = (read) => trace.map((p, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(read(p)).toFixed(1)}`).join("");
  const band = `${line((p) => (p.target ?? p.measured) + instruction.tolerance_kw)}L${
    trace.map((p, i) => `${x(i).toFixed(1)} ${y((p.target ?? p.measured) - instruction.tolerance_kw).toFixed(1)}`).reverse().join("L")}Z`;
  return svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" },
    svg("path", { class: "zero-line", d: `M0 ${y(0)}H${width}` }),
    svg("path", { class: "band", d: band }),
    svg("path", { class: "target-line", d: line((p) => p.target ?? p.measured) }),
    svg("path", { class: "measured-line", d: line((p) => p.measured) }));
}

function memberTable(members) {
  const cells = (row, tag) => h("tr", {}, ...row.map((cell) => h(tag, {}, cell)));
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, cells([t("member"), t("asked"), t("granted"), t("measured"), t("why")], "th")),
    h("tbody", {}, ...members.map((m) => cells([
      m.member_id, bare(m.requested_kw), bare(m.granted_kw), bare(m.measured_kw),
      m.note || [m.winner, m.winner_reason].filter(Boolean).join(": "),
    ], "td")))));
}

function controls(instruction) {
  const input = h("input", { type: "number", step: "any", "aria-label": t("amend") });
  input.value = instruction.target_kw;
  const error = h("p", { class: "error", role: "alert" });
  const path = `/dispatches/${encodeURIComponent(instruction.id)}`;
  const act = async (request) => {
    setText(error, "");
    try {
      await request();
      await refreshDispatches();
    } catch (problem) {
      setText(error, explain(problem));
    }
  };
  const amend = () => act(() => call("PATCH", path, { target_kw: Number(input.value) }, { "if-match": etag }));
  const cancel = () => act(() => call("POST", `${path}/cancel`, { reason: t("cancel") }));
  return h("div", {}, h("div", { class: "controls" }, input,
    h("button", { type: "button", onclick: amend }, t("amend")),
    h("button", { type: "button", class: "quiet", onclick: cancel }, t("cancel"))), error);
}

export function forgetDispatch() {
  followed = null;
  trace = [];
  parts = null;
  byId("followed").hidden = true;
}
