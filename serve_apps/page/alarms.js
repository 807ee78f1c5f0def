// The standing alarms: a list that is there only while something stands, and acknowledging it.

import { explain } from "./dispatch.js";
import { byId, h, setText } from "./dom.js";
import { picture } from "./feed.js";
import { call, may } from "./session.js";
import { clockTime, currentLanguage, nameOf, status, t } from "./text.js";

const GRAVEST_FIRST = ["critical", "high", "medium", "low"];
const TONE = { critical: "bad", high: "bad", medium: "warn", low: "plain" };
const OPEN = ["unacknowledged", "returned"];
const MAX_ROWS = 30;
const MAX_BULK = 200;

let drawn = "";

const mayAcknowledge = () => may("operator", "maintainer", "admin");
const isOpen = (alarm) => OPEN.includes(alarm.state);

function byUrgency(a, b) {
  return (isOpen(b) - isOpen(a))
    || GRAVEST_FIRST.indexOf(a.severity) - GRAVEST_FIRST.indexOf(b.severity)
    || a.priority - b.priority
    || a.raised_at.localeCompare(b.raised_at);
}

async function act(request) {
  const message = byId("alarms-error");
  setText(message, "");
  try {
    await request();
  } catch (problem) {
    setText(message, explain(problem));
  }
}

const acknowledge = (id) => act(() => call("POST", `/alarms/${id}/acknowledge`, {}));

function acknowledgeAll(alarms) {
  const ids = alarms.filter(isOpen).map((alarm) => alarm.id).slice(0, MAX_BULK);
  return act(() => call("POST", "/alarms/acknowledge", { ids }));
}

function row(alarm, names, zone) {
  const subject = names.get(alarm.subject_id)?.name ?? alarm.subject_id;
  const count = alarm.n_raised > 1 ? ` ×${alarm.n_raised}` : "";
  const button = isOpen(alarm) && mayAcknowledge()
    ? h("button", { type: "button", class: "quiet", onclick: () => acknowledge(alarm.id) }, t("acknowledge"))
    : null;
  return h("tr", { class: isOpen(alarm) ? null : "dim" },
    h("td", {}, h("span", { class: "chip", "data-tone": TONE[alarm.severity] }, status(alarm.severity))),
    h("td", {}, status(alarm.state)),
    h("td", { class: "mono" }, clockTime(alarm.raised_at, zone)),
    h("td", {}, nameOf(alarm.rule_name) + count),
    h("td", {}, alarm.n_members ? t("members", alarm.n_members) : nameOf(subject)),
    h("td", { class: "what", title: alarm.advice }, alarm.message),
    h("td", {}, button));
}

export function drawAlarms(names, zone) {
  // A group speaks for its members.
  const alarms = [...picture.alarms.values()].filter((alarm) => !alarm.group_id).sort(byUrgency);
  const key = currentLanguage() + alarms.map((alarm) => `${alarm.id}.${alarm.version}`).join();
  if (key === drawn) return;
  drawn = key;
  byId("alarms").hidden = alarms.length === 0;
  byId("alarms").classList.toggle("open", alarms.some(isOpen));
  byId("acknowledge-all").hidden = !mayAcknowledge() || alarms.filter(isOpen).length < 2;
  byId("acknowledge-all").onclick = () => acknowledgeAll(alarms);
  byId("alarm-rows").replaceChildren(...alarms.slice(0, MAX_ROWS).map((alarm) => row(alarm, names, zone)));
  setText(byId("alarms-more"), alarms.length > MAX_ROWS ? t("more", alarms.length - MAX_ROWS) : "");
}

export function forgetAlarms() {
  drawn = "";
  byId("alarms").hidden = true;
}
