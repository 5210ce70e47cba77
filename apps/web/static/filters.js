/* Narrowing a question to some documents: what there is to choose from is what the reader may read. */

import { call } from "./api.js";
import { byId, make } from "./elements.js";

const TYPES = { docx: "Word", xlsx: "Excel", pptx: "PowerPoint", html: "Web pages", markdown: "Markdown", text: "Text", eml: "E-mail", msg: "Outlook", epub: "E-books", csv: "CSV", pdf: "PDF" };
const PERIODS = { "": "Any time", 7: "Past week", 31: "Past month", 366: "Past year", day: "Since a day …" };
const SELECTS = ["source", "type", "language", "label", "time"];

/** Offer what the reader's documents can be narrowed to; what was chosen stays where it is still there. */
export async function offerFilters() {
  const facets = await call("GET", "/v1/facets");
  const languages = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });
  offer("source", "All sources", facets.sources.map((one) => [one.value, one.value]));
  offer("type", "All types", facets.types.map((one) => [one.value, TYPES[one.name] ?? one.name]));
  offer("language", "All languages", facets.languages.map((one) => [one.value, languages.of(one.value)]));
  offer("label", "All labels", facets.labels.map((one) => [one.value, one.value]), 1);
  fill("time", Object.entries(PERIODS));
  byId("narrow").hidden = facets.sources.length === 0;
  show();
}

/** Forget what was chosen, and what there was to choose from. */
export function forgetFilters() {
  for (const name of SELECTS) select(name).replaceChildren();
  byId("only-since").value = "";
  byId("narrow").hidden = true;
}

/** What is chosen, as `filters` of a question; undefined where that is everything. */
export function chosenFilters() {
  const filters = {};
  if (select("source").value) filters.sources = [select("source").value];
  if (select("type").value) filters.types = [select("type").value];
  if (select("language").value) filters.languages = [select("language").value];
  if (select("label").value) filters.labels = [select("label").value];
  const since = chosenDay();
  if (since) filters.since = since;
  return Object.keys(filters).length ? filters : undefined;
}

/** What is chosen, in the words of the page; empty where that is everything. */
export function chosenInWords() {
  const words = SELECTS.slice(0, -1).map((name) => select(name)).filter((one) => one.value).map((one) => one.selectedOptions[0].textContent);
  const since = chosenDay();
  if (since) words.push(`since ${since}`);
  return words.join(" · ");
}

const select = (name) => byId(`only-${name}`);

/** The day from which on content counts, as the server reads it; empty: any. */
function chosenDay() {
  const period = select("time").value;
  if (period === "day") return byId("only-since").value;
  if (!period) return "";
  return new Date(Date.now() - Number(period) * 86_400_000).toISOString().slice(0, 10);
}

/** Choices are offered where there are more of them than `everything` alone says. */
function offer(name, everything, values, from = 2) {
  fill(name, [["", everything], ...values]);
  select(name).parentElement.hidden = values.length < from;
}

function fill(name, values) {
  const before = select(name).value;
  select(name).replaceChildren(...values.map(([value, words]) => make("option", { value }, words)));
  select(name).value = values.some(([value]) => value === before) ? before : "";
}

function show() {
  for (const name of SELECTS) select(name).parentElement.classList.toggle("chosen", select(name).value !== "");
  byId("only-since").parentElement.hidden = select("time").value !== "day";
}

byId("narrow").addEventListener("change", (event) => {
  show();
  if (event.target === select("time") && event.target.value === "day") byId("only-since").focus();
});
