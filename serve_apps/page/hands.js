// By hand: the dialogs of the kill switch and of one resource.

import { byId, h, setText } from "./dom.js";
import { explain } from "./dispatch.js";
import { picture } from "./feed.js";
import { call, may } from "./session.js";
import { clockTime, kw, nameOf, status, t } from "./text.js";

const dialog = () => byId("dialog");
export const mayStop = () => may("operator", "maintainer", "admin");
export const mayRelease = () => may("operator", "admin");

function show(...children) {
  dialog().replaceChildren(
    ...children,
    h("p", { class: "error", role: "alert" }),
    h("div", { class: "foot" }, h("button", { type: "button", class: "quiet", onclick: () => dialog().close() }, t("close"))),
  );
  if (!dialog().open) dialog().showModal();
}

async function act(request, say) {
  const message = dialog().querySelector(".error");
  setText(message, "");
  message.classList.remove("done");
  try {
    const answer = await request();
    if (!say) return dialog().close();
    setText(message, say(answer.body));
    message.classList.toggle("done", answer.body.n_pending === 0 && answer.body.recorded);
  } catch (problem) {
    setText(message, explain(problem));
  }
  return undefined;
}

function outcome(view) {
  if (view.state === "pending") return t("awaitsSecond", view.id);
  const parts = [t("done", view.n_done)];
  if (view.n_pending) parts.push(t("pending", view.n_pending));
  if (!view.recorded) parts.push(t("unrecorded"));
  return parts.join(" ");
}

function scopes(park, resources) {
  const option = (value, text) => h("option", { value }, text);
  return h("select", { name: "scope" },
    option("/park", t("wholePark")),
    h("optgroup", { label: t("aggregates") },
      ...park.aggregates.map((a) => option(`/aggregations/${a.id}`, nameOf(a.name)))),
    h("optgroup", { label: t("resources") },
      ...[...resources.values()].map((r) => option(`/resources/${r.id}`, nameOf(r.name)))));
}

function killForm(park, resources, { title, help, confirm, send }) {
  const select = scopes(park, resources);
  const reason = h("input", { required: true, maxlength: 500 });
  show(
    h("h2", {}, title),
    h("p", { class: "muted" }, help),
    h("form", {
      onsubmit: (event) => {
        event.preventDefault();
        act(() => send(select.value, reason.value), outcome);
      },
    },
    h("label", {}, h("span", {}, t("stopWhat")), select),
    h("label", {}, h("span", {}, t("reason")), reason),
    h("button", { class: "danger" }, confirm)),
  );
}

export function openStop(park, resources) {
  killForm(park, resources, {
    title: t("stopTitle"),
    help: t("stopHelp"),
    confirm: t("stopConfirm"),
    send: (scope, reason) => call("PUT", `${scope}/kill`, { reason }),
  });
}

export function openRelease(park, resources) {
  killForm(park, resources, {
    title: t("releaseTitle"),
    help: t("releaseHelp"),
    confirm: t("releaseConfirm"),
    send: (scope, reason) => call("DELETE", `${scope}/kill?reason=${encodeURIComponent(reason)}`),
  });
}

function contenders(state, zone) {
  if (!state?.contenders.length) return h("p", { class: "muted" }, t("nobody"));
  const row = (c) => h("tr", { class: c.outcome === "won" ? "chosen" : null },
    h("td", {}, h("span", { class: "chip", "data-tone": c.outcome === "won" ? "ok" : "plain" }, status(c.outcome))),
    h("td", {}, c.source_id), h("td", {}, kw(c.target_kw, { sign: true })),
    h("td", {}, c.reason), h("td", { class: "mono" }, c.until ? clockTime(c.until, zone) : "–"));
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, ...["", t("won"), "kW", t("why"), t("until")].map((w) => h("th", {}, w)))),
    h("tbody", {}, ...state.contenders.map(row))));
}

export function openResource(definition, park) {
  const state = picture.resources.get(definition.id);
  const path = `/resources/${definition.id}`;
  const power = h("input", { type: "number", step: "any", required: true });
  const minutes = h("input", { type: "number", min: "0.1", step: "any", value: "15", required: true });
  const reason = h("input", { required: true, maxlength: 500 });
  const facts = state ? [
    [t("measured"), kw(state.power_kw, { sign: true })], [t("rated"), kw(state.rated_kw)],
    [t("health"), status(state.health)], [t("quality"), status(state.quality)],
    [t("rung"), status(state.rung)],
    [t("command"), state.command ? `${state.command.state} ${kw(state.command.setpoint_kw, { sign: true })}` : "–"],
  ] : [];
  const override = h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      act(() => call("PUT", `${path}/override`, {
        target_kw: Number(power.value), duration_s: Number(minutes.value) * 60, reason: reason.value,
      }));
    },
  },
  h("h3", {}, t("override")),
  h("div", { class: "row" },
    h("label", {}, h("span", {}, t("powerKw")), power),
    h("label", {}, h("span", {}, t("minutes")), minutes)),
  h("label", {}, h("span", {}, t("reason")), reason),
  h("div", { class: "row" },
    h("button", { class: "primary" }, t("overrideSet")),
    h("button", { type: "button", class: "quiet", onclick: () => act(() => call("DELETE", `${path}/override`)) },
      t("overrideClear"))));
  show(
    h("h2", {}, nameOf(definition.name)),
    h("p", { class: "muted" }, `${definition.id} · ${t(definition.kind)}${state?.detail ? ` · ${state.detail}` : ""}`),
    h("div", { class: "numbers" }, ...facts.map(([label, value]) => h("div", {}, h("small", {}, label), h("b", {}, value)))),
    h("h3", {}, t("contenders")),
    contenders(state, park.timezone),
    mayStop() ? override : null,
  );
}
