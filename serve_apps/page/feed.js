// The live feed: one WebSocket, the latest state of every subject, and how old it is.

import { refresh, session } from "./session.js";

const MAX_WAIT_MS = 15_000;
const SILENCE_MS = 12_000;
const ENDED = ["normal", "out_of_service"];
const UNAUTHENTICATED = 4401;

export const picture = {
  resources: new Map(),
  aggregates: new Map(),
  alarms: new Map(),
  connected: false,
  asOf: null,
  heardAt: null,
};

let socket = null;
let wanted = false;
let failures = 0;
let retry = null;
let onChange = () => {};

export function follow(changed) {
  onChange = changed;
  wanted = true;
  open();
}

export function unfollow() {
  wanted = false;
  clearTimeout(retry);
  socket?.close();
}

export function renew(token) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "auth", token }));
}

// The server's clock, carried forward by ours: ages must not depend on this machine's clock.
export function serverNow() {
  return picture.asOf === null ? Date.now() : picture.asOf + (performance.now() - picture.heardAt);
}

export const silenceMs = () =>
  picture.heardAt === null ? Infinity : performance.now() - picture.heardAt;

export const isLive = () => picture.connected && silenceMs() < SILENCE_MS;

function open() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/ws/live`);
  socket.onopen = () => socket.send(JSON.stringify({ type: "auth", token: session.token }));
  socket.onmessage = (event) => take(JSON.parse(event.data));
  socket.onclose = async (event) => {
    if (!wanted) return;
    if (event.code === UNAUTHENTICATED) await refresh();
    // Full jitter, so that all pages do not come back at once.
    const ceiling = Math.min(MAX_WAIT_MS, 500 * 2 ** failures++);
    if (wanted) retry = setTimeout(open, 200 + Math.random() * ceiling);
  };
}

function take(message) {
  failures = 0;
  if (message.type === "snapshot") {
    picture.resources.clear();
    picture.aggregates.clear();
    picture.alarms.clear();
  }
  for (const state of message.resources) picture.resources.set(state.id, state);
  for (const state of message.aggregates) picture.aggregates.set(state.id, state);
  for (const alarm of message.alarms) {
    if (ENDED.includes(alarm.state)) picture.alarms.delete(alarm.id);
    else picture.alarms.set(alarm.id, alarm);
  }
  picture.connected = message.connected;
  picture.asOf = Date.parse(message.as_of);
  picture.heardAt = performance.now();
  onChange();
}
