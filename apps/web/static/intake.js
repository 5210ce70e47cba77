/* How documents come in, for administrators: sources, what is being worked on, and what failed and why. */

import { call } from "./api.js";
import { button, byId, make } from "./elements.js";

const EVERY_MS = 2000;
let timer = null;

/** Show the view, and keep it true until `stopIntake`. */
export async function showIntake(attempt) {
  stopIntake();
  await attempt(() => draw(attempt));
  if (!byId("intake").hidden) timer = setTimeout(() => showIntake(attempt), EVERY_MS);
}

export function stopIntake() {
  clearTimeout(timer);
  timer = null;
}

async function draw(attempt) {
  const [{ sources }, { jobs: failed }] = await Promise.all([call("GET", "/v1/sources"), call("GET", "/v1/jobs?state=dead")]);
  byId("intake-body").replaceChildren(...section("Sources", sources.map((one) => source(one, attempt)), "No source stands yet. Add one with: footnote sources add"),
    ...section("Failed", failed.map((one) => failure(one, attempt)), "Nothing has failed."));
}

function section(title, rows, otherwise) {
  return [make("h2", {}, title), rows.length ? make("ul", {}, ...rows) : make("p", { class: "where" }, otherwise)];
}

function source(one, attempt) {
  const sync = button("chip", "Sync now", () => attempt(() => call("POST", `/v1/sources/${encodeURIComponent(one.name)}/sync`)));
  const line = make("div", { class: "row" }, make("div", {}, make("strong", {}, one.name)), sync);
  return make("li", {}, line, progress(one.progress));
}

/** A bar while work is left, then the sum of it. */
function progress({ total, settled, eta_s: eta }) {
  if (!total || settled === total) return make("p", { class: "where" }, "In step.");
  const bar = make("progress", { max: String(total), value: String(settled) });
  const left = eta === null ? "" : ` · about ${duration(eta)} left`;
  return make("div", {}, bar, make("p", { class: "where" }, `${settled} of ${total} documents${left}`));
}

function failure(one, attempt) {
  const again = button("chip", "Try again", () => attempt(() => call("POST", `/v1/jobs/${encodeURIComponent(one.job_id)}/retry`)));
  return make("li", {}, make("div", { class: "row" }, make("div", {}, one.subject), again), make("p", { class: "cause" }, one.cause));
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
