// The page: log in, then the live plant until log-out.

import { drawAlarms, forgetAlarms } from "./alarms.js";
import { drawApprovals, followApprovals, forgetApprovals } from "./approvals.js";
import { explain, forgetDispatch, prepareDispatch, refreshDispatches, showReach } from "./dispatch.js";
import { byId, setAttributes, setText } from "./dom.js";
import { follow, isLive, picture, renew, serverNow, silenceMs, unfollow } from "./feed.js";
import { drawFlow } from "./flow.js";
import { mayRelease, mayStop, openRelease, openResource, openStop } from "./hands.js";
import { drawParts, followParts, forgetParts } from "./parts.js";
import { drawAggregates, drawFigures, drawResources, forget } from "./plant.js";
import { call, logIn, logOut, refresh, session } from "./session.js";
import { clockTime, currentLanguage, nameOf, setLanguage, span, t, translatePage } from "./text.js";

const DRAW_EVERY_MS = 250;
const DISPATCHES_EVERY_MS = 1000;

const plant = { park: null, resources: new Map(), aggregates: new Map() };
let drawTimer = null;
let dispatchTimer = null;
let dirty = true;

function drawFeed() {
  const silence = silenceMs();
  const live = isLive();
  const known = Number.isFinite(silence);
  setAttributes(byId("feed"), { "data-tone": live ? "ok" : known ? "bad" : "idle" });
  setText(byId("feed-text"), live ? `${t("live")} · ${span(silence / 1000)}` : t(known ? "lost" : "connecting"));
  byId("banner").hidden = live || !known;
  setText(byId("banner"), picture.connected ? t("feedOld", span(silence / 1000)) : t("feedDown"));
  document.body.classList.toggle("ageing", !live && known);
  const killed = [...picture.resources.values()].filter((r) => r.killed).length;
  byId("stopped").hidden = killed === 0;
  byId("release").hidden = !mayRelease();
  setText(byId("stopped-text"), t("stoppedText", killed));
  if (known) setText(byId("clock"), clockTime(serverNow(), plant.park.timezone));
}

function draw() {
  drawFeed();
  if (!dirty && isLive()) return;
  dirty = false;
  drawAlarms(new Map([...plant.resources, ...plant.aggregates]), plant.park.timezone);
  drawFlow(byId("flow"), [...picture.resources.values()]);
  drawFigures(plant.resources, plant.park.roots);
  drawAggregates(plant.aggregates, (definition) => {
    byId("dispatch-form").elements.aggregation.value = definition.id;
    showReach();
    byId("dispatch-form").elements.target_kw.focus();
  });
  drawResources(plant.resources, (definition) => openResource(definition, plant.park));
  showReach();
}

async function pollDispatches() {
  clearTimeout(dispatchTimer);
  try {
    if (!document.hidden) await refreshDispatches();
  } catch {
    // The next turn tries again; the feed pill already says when nothing is reachable.
  }
  if (session.token) dispatchTimer = setTimeout(pollDispatches, DISPATCHES_EVERY_MS);
}

function label() {
  translatePage();
  setText(byId("language"), currentLanguage() === "zh" ? "EN" : "中文");
  if (!plant.park) return;
  setText(byId("park-name"), nameOf(plant.park.name));
  prepareDispatch(plant.park);
  drawParts();
  drawApprovals();
  dirty = true;
}

/** Returns the items of all pages of a list. */
async function every(path) {
  const items = [];
  let cursor = "";
  do {
    const { body } = await call("GET", path + cursor);
    items.push(...body.items);
    cursor = body.next_cursor && `&cursor=${encodeURIComponent(body.next_cursor)}`;
  } while (cursor);
  return items;
}

async function enter() {
  const [park, aggregations, resources] = await Promise.all([
    call("GET", "/park").then((answer) => answer.body),
    every("/aggregations?status=active&limit=200"),
    every("/resources?limit=200"),
  ]);
  const byKey = (items) => new Map(items.map((item) => [item.definition.id, item.definition]));
  Object.assign(plant, { aggregates: byKey(aggregations), resources: byKey(resources) });
  plant.park = { ...park, aggregates: aggregations.map((item) => item.definition) };
  byId("log-in").hidden = true;
  byId("plant").hidden = false;
  for (const id of ["who", "log-out", "feed"]) byId(id).hidden = false;
  byId("stop").hidden = !mayStop();
  setText(byId("who"), `${session.username} · ${session.roles.join(", ")}`);
  label();
  follow(() => { dirty = true; });
  clearInterval(drawTimer);
  drawTimer = setInterval(draw, DRAW_EVERY_MS);
  pollDispatches();
  followParts(plant.park.timezone);
  followApprovals(new Map([[park.id, park], ...plant.resources, ...plant.aggregates]), park.timezone);
}

function leave() {
  unfollow();
  clearInterval(drawTimer);
  clearTimeout(dispatchTimer);
  forget();
  forgetAlarms();
  forgetApprovals();
  forgetDispatch();
  forgetParts();
  for (const id of ["plant", "banner", "stopped", "who", "log-out", "stop", "feed"]) byId(id).hidden = true;
  setText(byId("clock"), "");
  byId("log-in").hidden = false;
}

session.onToken = renew;
session.onEnd = leave;
byId("log-out").onclick = logOut;
byId("stop").onclick = () => openStop(plant.park, plant.resources);
byId("release").onclick = () => openRelease(plant.park, plant.resources);
byId("dispatch-form").elements.aggregation.onchange = showReach;
byId("language").onclick = () => {
  setLanguage(currentLanguage() === "zh" ? "en" : "zh");
  label();
};
byId("log-in-form").onsubmit = async (event) => {
  event.preventDefault();
  const { username, password, chosen } = event.target.elements;
  const error = event.target.querySelector(".error");
  setText(error, "");
  try {
    await logIn(username.value, password.value, chosen.value);
    password.value = "";
    chosen.value = "";
    byId("new-password").hidden = true;
    await enter();
  } catch (problem) {
    // A password that somebody else gave must be replaced first.
    if (problem.document?.type?.endsWith(":password-change-required")) {
      byId("new-password").hidden = false;
    }
    setText(error, explain(problem));
  }
};

label();
if (await refresh()) await enter();
else byId("log-in").hidden = false;
