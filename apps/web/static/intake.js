/* How documents come in, for administrators: sources, what is on its way, and what failed and why. */

import { call } from "./api.js";
import { button, byId, make } from "./elements.js";

// Each look is on record, so an idle page looks seldom.
const BUSY_MS = 3000;
const IDLE_MS = 30000;
const KINDS = { ingest: "A document", "source-sync": "A source", "batch-row": "A question of a batch", upkeep: "Upkeep of the index" };
let timer = null;

/** Show the view, and keep it true until `stopIntake`. */
export async function showIntake(attempt) {
  stopIntake();
  let busy = false;
  await attempt(async () => {
    busy = await draw(attempt);
  });
  if (!byId("intake").hidden) timer = setTimeout(() => showIntake(attempt), busy ? BUSY_MS : IDLE_MS);
}

export function stopIntake() {
  clearTimeout(timer);
  timer = null;
}

/** Draw what stands now; whether work is going on. */
async function draw(attempt) {
  const [sources, going, failed] = await Promise.all([
    call("GET", "/v1/sources"), call("GET", "/v1/jobs?state=queued&state=running"), call("GET", "/v1/jobs?state=dead")]);
  // The progress of a source is that of the jobs which its last look at the folder has queued.
  const groups = [...new Set(going.map((job) => job.group_id).filter(Boolean))];
  const progress = (await Promise.all(groups.map((id) => call("GET", `/v1/jobs/${encodeURIComponent(id)}`)))).filter((job) => job.progress);
  const again = (path) => () => attempt(async () => {
    await call("POST", path);
    await showIntake(attempt);
  });
  byId("intake-body").replaceChildren(
    ...section("Sources", sources.map((one) => source(one, progress, again)), "Nothing has been brought in yet. `footnote ingest` and `footnote sources add` do."),
    ...section("Failed", failed.map((one) => failure(one, again)), "Nothing has failed."));
  return going.length > 0;
}

function section(title, rows, otherwise) {
  return [make("h2", {}, title), rows.length ? make("ul", {}, ...rows) : make("p", { class: "where" }, otherwise)];
}

function source(one, jobs, again) {
  const parts = [one.documents === 1 ? "1 document" : `${one.documents} documents`];
  if (one.every_seconds) parts.push(`looked at every ${duration(one.every_seconds)}`);
  if (one.failed) parts.push(`${one.failed} could not be read`);
  if (one.waiting) parts.push(`${one.waiting} on the way`);
  const line = make("div", { class: "row" }, make("div", {}, make("strong", {}, one.source), make("p", { class: "where" }, parts.join(" · "))));
  if (one.standing) line.append(button("chip", "Sync now", again(`/v1/sources/${encodeURIComponent(one.source_id)}/sync`)));
  const item = make("li", {}, line);
  for (const job of jobs) if (job.kind === "source-sync" && job.subject_id === String(one.source_id)) item.append(bar(job.progress));
  return item;
}

function bar({ total, settled, seconds_left: left }) {
  const words = left === null ? "" : ` · about ${duration(left)} left`;
  return make("div", {}, make("progress", { max: String(total), value: String(settled), "aria-label": "Documents brought in" }),
    make("p", { class: "where" }, `${settled} of ${total} documents${words}`));
}

function failure(one, again) {
  const named = make("div", {}, make("strong", {}, one.document ?? KINDS[one.kind] ?? one.kind), make("p", { class: "cause" }, one.cause));
  return make("li", {}, make("div", { class: "row" }, named, button("chip", "Try again", again(`/v1/jobs/${encodeURIComponent(one.job_id)}/retry`))));
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
