/* The panel that shows a document, the cited passage marked. */

import { call, session } from "./api.js";
import { button, byId, make } from "./elements.js";

let opener = null;
let opened = 0;

/** Open a document; with a citation, its passage is marked and scrolled to. `from`, if any, gets the focus back. */
export async function openDocument(about, from, where, citation) {
  const number = ++opened;
  const shown = await fetched(about.document_id, citation);
  if (number !== opened || !session.csrf) return;
  closePassage();
  opener = from;
  opener?.setAttribute("aria-expanded", "true");
  byId("passage-title").textContent = shown.title || shown.external_id;
  byId("passage-where").textContent = where || shown.external_id;
  nameNear(shown.near_duplicates ?? []);
  byId("passage").hidden = false;
  byId("room").classList.add("reading");
  const mark = layOut(shown, citation);
  if (mark && shown.current !== shown.version) {
    byId("passage-note").hidden = false;
    byId("passage-note").textContent = `This is version ${shown.version}, which the answer cites. The document has changed since: it is at version ${shown.current}.`;
  }
  const target = mark ?? byId("passage-title");
  target.focus({ preventScroll: true });
  // Only the panel scrolls: the answer stays where the reader left it.
  byId("passage-text").scrollTop = mark ? mark.offsetTop - byId("passage-text").clientHeight / 3 : 0;
}

/** Name the documents that say nearly the same, each to be opened in this panel. */
function nameNear(near) {
  const names = near.map((one) => button("title", one.title || one.uri, () => openDocument(one, opener).catch(() => closePassage())));
  byId("passage-near").hidden = !near.length;
  byId("passage-near").replaceChildren("Nearly the same: ", ...names.flatMap((name, at) => (at ? [", ", name] : [name])));
}

/** The document as it is; where the citation is of an earlier version that the reader may see, that one. */
async function fetched(id, citation) {
  const path = `/v1/documents/${encodeURIComponent(id)}/text`;
  const now = await call("GET", path);
  now.current = now.version;
  if (!citation?.version || citation.version === now.version) return now;
  try {
    return { ...await call("GET", `${path}?version=${citation.version}`), current: now.version };
  } catch {
    return now;
  }
}

/** Close the panel; a document that is still being fetched, perhaps as somebody else, is not opened any more. */
export function closePassage() {
  opened++;
  byId("passage").hidden = true;
  byId("room").classList.remove("reading");
  byId("passage-text").replaceChildren();
  opener?.setAttribute("aria-expanded", "false");
  opener?.focus();
  opener = null;
}

/** Where a citation stands: headings, page, file. */
export function place(citation) {
  const heading = citation.heading.filter((part) => part !== citation.title).join(" › ");
  return [heading, citation.page ? `page ${citation.page}` : "", citation.external_id].filter(Boolean).join(" · ");
}

/** Fill the panel; returns the mark around the citation's span, or null where there is none to mark.

    Offsets count code points, and JavaScript's own count UTF-16 units: a string is taken apart before it is cut. */
function layOut(shown, citation) {
  const points = Array.from(shown.text);
  const cited = citation && points.slice(citation.start, citation.end).join("");
  // A link to a passage carries no quote: it holds for the version it names.
  const holds = cited && (citation.quote === undefined ? citation.version === shown.version : citation.quote === cited);
  const note = byId("passage-note");
  note.hidden = !citation || holds;
  note.textContent = note.hidden ? "" : "This document has changed since the answer was given. Ask again to see the passage.";
  if (!holds) {
    byId("passage-text").replaceChildren(shown.text);
    return null;
  }
  const mark = make("mark", { tabindex: "-1" }, cited);
  byId("passage-text").replaceChildren(points.slice(0, citation.start).join(""), mark, points.slice(citation.end).join(""));
  return mark;
}
