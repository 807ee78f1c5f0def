// What the park does without: the degraded dependencies, in words, asked of the readiness probe.

import { byId, setText } from "./dom.js";
import { clockTime, t, WITHOUT } from "./text.js";

const EVERY_MS = 10_000;

let checks = [];
let timer = null;
let timezone = null;

export function drawParts() {
  const missing = checks.filter((check) => !check.ok);
  byId("parts").hidden = missing.length === 0;
  const words = missing.map((check) => {
    const known = WITHOUT.includes(check.name);
    const mode = known ? t(`without_${check.name.replace("-", "_")}`) : t("withoutElse", check.name);
    return `${mode} (${t("since", clockTime(new Date(check.since), timezone))})`;
  });
  setText(byId("parts"), words.join(" "));
}

export async function followParts(zone) {
  clearTimeout(timer);
  timezone = zone;
  try {
    const answer = await (await fetch("/readyz")).json();
    // The feed has its own banner.
    checks = (answer.checks ?? []).filter((check) => check.name !== "live");
  } catch {
    // Not reachable: the feed's pill says so.
  }
  drawParts();
  timer = setTimeout(() => followParts(zone), EVERY_MS);
}

export function forgetParts() {
  clearTimeout(timer);
  checks = [];
  drawParts();
}
