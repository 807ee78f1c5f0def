// Approvals: what waits for a second person, a list that is there only while something waits.

import { explain } from "./dispatch.js";
import { byId, h, setText } from "./dom.js";
import { call, may, session } from "./session.js";
import { clockTime, kw, nameOf, t } from "./text.js";

const EVERY_MS = 3000;
const SAID_MS = 30_000;
const MAX_ROWS = 50;
const READERS = ["operator", "maintainer", "quant", "admin", "auditor"];

// Who may do it, and so may agree to it.
const DECIDERS = {
  "kill.release": ["operator", "admin"],
  "aggregation.limits": ["operator", "admin"],
  "aggregation.activate": ["operator", "admin"],
  "aggregation.add": ["operator", "maintainer", "admin"],
  "resource.widen": ["maintainer", "admin"],
  "optimizer.promote": ["quant", "operator", "admin"],
};

let waiting = [];
let followed = null;
let drawn = "";
let timer = null;
let silence = null;

const limit = (value) => (value === null ? t("unlimited") : kw(value));

function what({ kind, payload, reason }) {
  if (kind === "aggregation.limits" || kind === "aggregation.activate") {
    const { max_import_kw: inward, max_export_kw: outward } = payload.limits;
    const limits = t("newLimits", limit(inward), limit(outward));
    return payload.members ? `${reason}; ${limits}` : limits;
  }
  return kind === "resource.widen" ? payload.widenings.join("; ") : reason;
}

function say(text) {
  clearTimeout(silence);
  setText(byId("approvals-error"), text);
  if (text) silence = setTimeout(() => { say(""); draw(); }, SAID_MS);
}

async function decide(approval, verb, buttons) {
  const reason = byId("approval-reason");
  if (verb === "reject" && !reason.reportValidity()) return;
  const words = reason.value.trim();
  for (const button of buttons) button.disabled = true;
  say("");
  try {
    const { body } = await call("POST", `/approvals/${approval.id}/${verb}`, words ? { reason: words } : {});
    if (body.state === "failed") say(t("approvalFailed", body.outcome));
    reason.value = "";
  } catch (problem) {
    say(explain(problem));
  }
  for (const button of buttons) button.disabled = false;
  await look();
}

function choices(approval) {
  if (!may(...(DECIDERS[approval.kind] ?? []))) return [];
  const own = approval.requester === session.username;
  const buttons = [];
  const add = (verb, word, style) => buttons.push(h("button", {
    type: "button", class: style, onclick: () => decide(approval, verb, buttons),
  }, t(word)));
  if (!own) add("approve", "approve", "primary");
  add("reject", own ? "withdraw" : "reject", "quiet");
  return buttons;
}

function row(approval) {
  const name = followed.names.get(approval.subject)?.name ?? approval.subject;
  return h("tr", {},
    h("td", {}, h("span", { class: "chip", "data-tone": "warn" }, t(approval.kind))),
    h("td", {}, nameOf(name)),
    h("td", { class: "what" }, what(approval)),
    h("td", {}, t("askedBy", approval.requested_by)),
    h("td", { class: "mono" }, t("openUntil", clockTime(approval.expires_at, followed.zone))),
    h("td", {}, ...choices(approval)));
}

function draw() {
  byId("approvals").hidden = waiting.length === 0 && !byId("approvals-error").textContent;
  const key = JSON.stringify([t("approve"), waiting.map((approval) => approval.id)]);
  if (key === drawn) return;
  drawn = key;
  byId("approval-reason").placeholder = t("approvalReason");
  byId("approval-reason").hidden = !waiting.some((approval) => choices(approval).length);
  byId("approval-rows").replaceChildren(...waiting.map(row));
}

async function look() {
  clearTimeout(timer);
  try {
    if (!document.hidden) {
      const { body } = await call("GET", `/approvals?state=pending&limit=${MAX_ROWS}`);
      if (followed) waiting = body.items;
    }
  } catch {
    // The next turn tries again; what is shown stays, and a decision on it tells what is wrong.
  }
  if (!followed) return;
  draw();
  // A decision looks as well, beside a look that is under way.
  clearTimeout(timer);
  timer = setTimeout(look, EVERY_MS);
}

/** Follows what waits: names of subjects by id, and the zone of the park's clock. */
export function followApprovals(names, zone) {
  followed = { names, zone };
  if (may(...READERS)) look();
}

export function drawApprovals() {
  if (followed) draw();
}

export function forgetApprovals() {
  clearTimeout(timer);
  say("");
  byId("approval-reason").value = "";
  followed = null;
  waiting = [];
  draw();
}
