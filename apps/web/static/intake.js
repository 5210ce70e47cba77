/* How documents come in, for administrators: sources, what is on its way, and what failed and why. */

import { call } from "./api.js";
import { button, byId, make } from "./elements.js";

// Each look is on record, so an idle page looks seldom.
const BUSY_MS = 3000;
const IDLE_MS = 30000;
const JOBS_SHOWN = 20;
const KINDS = { ingest: "A document", "source-sync": "A source", "batch-row": "A question of a batch", compaction: "Compaction of the home", upkeep: "Upkeep of the index" };
let timer = null;
// What was opened stays open when the view is drawn anew.
let causesOpen = new Set();
const explained = new Map();

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
    call("GET", "/v1/sources"), call("GET", "/v1/jobs?state=queued&state=running&state=paused"), call("GET", "/v1/jobs?state=dead")]);
  // The progress of a source is that of the jobs which its last look at the folder has queued.
  const groups = [...new Set(going.map((job) => job.group_id).filter(Boolean))];
  const progress = (await Promise.all(groups.map((id) => call("GET", `/v1/jobs/${encodeURIComponent(id)}`)))).filter((job) => job.progress);
  const causes = (await Promise.all(sources.filter((one) => one.failed).map((one) =>
    call("GET", `/v1/sources/${encodeURIComponent(one.source_id)}/failures`)))).flat();
  causesOpen = new Set([...document.querySelectorAll("#intake details[open]")].map((one) => one.dataset.cause));
  const again = (path) => () => attempt(async () => {
    await call("POST", path);
    await showIntake(attempt);
  });
  byId("intake-body").replaceChildren(
    ...section("Sources", sources.map((one) => source(one, progress, again)), "Nothing has been brought in yet. `footnote ingest` and `footnote sources add` do."),
    ...section("Could not be read", causes.map((one) => cause(one, attempt)), "Everything that was brought in could be read."),
    ...section("Failed", failed.map((one) => failure(one, again)), "Nothing has failed."),
    ...section("On the way", going.slice(0, JOBS_SHOWN).map((one) => waiting(one, again)), "Nothing is on its way."));
  if (going.length > JOBS_SHOWN) byId("intake-body").append(make("p", { class: "where" }, `and ${going.length - JOBS_SHOWN} more`));
  return going.some((job) => job.state !== "paused");
}

function section(title, rows, otherwise) {
  return [make("h2", {}, title), rows.length ? make("ul", {}, ...rows) : make("p", { class: "where" }, otherwise)];
}

function source(one, jobs, again) {
  const parts = [one.documents === 1 ? "1 document" : `${one.documents} documents`];
  if (one.every_seconds) parts.push(`looked at every ${duration(one.every_seconds)}`);
  if (one.failed) parts.push(`${one.failed} could not be read`);
  if (one.waiting) parts.push(`${one.waiting} on the way`);
  if (one.content_lag_s !== null) parts.push(`as it was ${duration(one.content_lag_s)} ago`);
  if (one.permissions_lag_s !== null) parts.push(`its rights as they were ${duration(one.permissions_lag_s)} ago`);
  if (one.notices) parts.push(one.notices === 1 ? "1 thing it did not tell" : `${one.notices} things it did not tell`);
  if (one.paused) parts.push("paused");
  const line = make("div", { class: "row" }, make("div", {}, make("strong", {}, one.source), make("p", { class: "where" }, parts.join(" · "))));
  const path = `/v1/sources/${encodeURIComponent(one.source_id)}`;
  if (one.standing) {
    line.append(make("div", { class: "chips" },
      one.paused ? "" : button("chip", "Sync now", again(`${path}/sync`)),
      button("chip", one.paused ? "Resume" : "Pause", again(`${path}/${one.paused ? "resume" : "pause"}`))));
  }
  const item = make("li", { class: "source" }, line);
  if (one.problem) item.append(make("p", { class: "cause" }, one.problem));
  for (const job of jobs) if (job.kind === "source-sync" && job.subject_id === String(one.source_id)) item.append(bar(job.progress));
  return item;
}

function bar({ total, settled, per_second: pace, seconds_left: left }) {
  const words = left === null ? "" : ` · ${pace < 1 ? `${Math.round(pace * 60)} a minute` : `${Math.round(pace)} a second`} · about ${duration(left)} left`;
  return make("div", {}, make("progress", { max: String(total), value: String(settled), "aria-label": "Documents brought in" }),
    make("p", { class: "where" }, `${settled} of ${total} documents${words}`));
}

function failure(one, again) {
  return job(one, "cause", [["Try again", "retry"], ["Put aside", "cancel"]], again);
}

function waiting(one, again) {
  const held = one.state === "paused" ? ["Resume", "resume"] : ["Pause", "pause"];
  return job(one, "where", [...(one.state === "running" ? [] : [held]), ["Cancel", "cancel"]], again);
}

/** A job, why it stands as it does, and what can be done with it: the label of each button, and its action. */
function job(one, style, actions, again) {
  const named = make("div", {}, make("strong", {}, one.document ?? KINDS[one.kind] ?? one.kind), make("p", { class: style }, one.why));
  const buttons = actions.map(([label, action]) => button("chip", label, again(`/v1/jobs/${encodeURIComponent(one.job_id)}/${action}`)));
  return make("li", { class: "job" }, make("div", { class: "row" }, named, make("div", { class: "chips" }, ...buttons)));
}

/** One cause, however many documents it stopped; the names are a touch away, and why of each another. */
function cause(one, attempt) {
  const documents = one.count === 1 ? "1 document" : `${one.count} documents`;
  const names = make("details", { "data-cause": one.cause }, make("summary", {}, documents), make("ul", {}, ...one.documents.map((name) => stopped(name, attempt))));
  names.open = causesOpen.has(one.cause);
  return make("li", { class: "cause-group" }, make("strong", {}, one.cause), make("p", { class: "where" }, one.next_step), names);
}

function stopped(name, attempt) {
  const item = make("li", {}, `${name} `);
  const tell = ({ why, next_steps: steps }) => item.replaceChildren(name, ...[why, ...steps].map((line) => make("p", { class: "where" }, line)));
  if (explained.has(name)) tell(explained.get(name));
  else item.append(button("chip", "Why", () => attempt(async () => {
    explained.set(name, await call("GET", `/v1/documents/${encodeURIComponent(name)}/why`));
    tell(explained.get(name));
  })));
  return item;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
