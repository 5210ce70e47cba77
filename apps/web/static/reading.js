/* The panel that shows a document, the cited passage marked. */

import { call, session } from "./api.js";
import { byId, make } from "./elements.js";

let opener = null;
let opened = 0;

/** Open a document; with a citation, its passage is marked and scrolled to. `from`, if any, gets the focus back. */
export async function openDocument(about, from, where, citation) {
  const number = ++opened;
  const shown = await call("GET", `/v1/documents/${encodeURIComponent(about.document_id)}/text`);
  if (number !== opened || !session.csrf) return;
  closePassage();
  opener = from;
  opener?.setAttribute("aria-expanded", "true");
  byId("passage-title").textContent = shown.title || shown.external_id;
  byId("passage-where").textContent = where || shown.external_id;
  byId("passage").hidden = false;
  byId("room").classList.add("reading");
  const mark = layOut(shown, citation);
  const target = mark ?? byId("passage-title");
  target.focus({ preventScroll: true });
  // Only the panel scrolls: the answer stays where the reader left it.
  byId("passage-text").scrollTop = mark ? mark.offsetTop - byId("passage-text").clientHeight / 3 : 0;
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
