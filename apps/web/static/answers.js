/* One question and its answer: sentences as they come, footnotes under them, and what the reader thinks of it. */

import { call } from "./api.js";
import { button, make } from "./elements.js";
import { openDocument, place } from "./reading.js";

const REASONS = {
  no_evidence: ["I found nothing that answers this.", "None of the documents you may read has anything to say about it."],
  low_support: ["I found no answer I can support.", "Some passages come near, but none of them bears out an answer."],
  conflicting: ["The documents disagree.", "They say different things about this, and nothing tells which one holds."],
  filtered: ["This question is not answered here.", "A safety rule of your organization holds it back."],
  unavailable: ["I cannot answer right now.", "The documents behind the answer are changing. Try again in a moment."],
};

/** A turn of the conversation on the page. `attempt` runs work that may fail and says so; `narrowed` are the documents
    asked of, in words, where these are not all. */
export class Turn {
  constructor(question, attempt, narrowed = "") {
    this.attempt = attempt;
    this.citations = new Map();
    this.status = make("p", { class: "status" }, "Looking through what you may read…");
    this.text = make("p", { class: "answer", dir: "auto" });
    this.footnotes = make("ol", { class: "footnotes", "aria-label": "Footnotes" });
    const asked = make("h2", { class: "asked", dir: "auto" }, question);
    if (narrowed) asked.append(make("small", {}, `only in ${narrowed}`));
    this.element = make("article", { class: "turn", "aria-busy": "true" }, asked, this.status, this.text, this.footnotes);
  }

  /** What was found, before the first sentence. */
  passages({ hits = [] }) {
    const titles = [...new Set(hits.map((hit) => hit.title || hit.external_id))];
    if (titles.length) this.status.textContent = `Reading ${titles.slice(0, 3).join(", ")}${titles.length > 3 ? ` and ${titles.length - 3} more` : ""}…`;
  }

  /** One checked sentence, with its markers in its text and the citations it brings. */
  sentence({ text, citations }) {
    this.status.hidden = true;
    for (const citation of citations) this.cite(citation);
    // Scripts without spaces between sentences end them with a stop of their own.
    const gap = !this.text.hasChildNodes() || this.text.textContent.endsWith("。") ? "" : " ";
    this.text.append(make("span", { class: "sentence" }, gap, ...this.withMarkers(text)));
  }

  /** The whole answer: what the sentences did not say yet. */
  done(answer) {
    this.element.removeAttribute("aria-busy");
    this.status.remove();
    if (answer.abstained) this.abstain(answer);
    else if (!this.text.hasChildNodes()) this.sentence({ text: answer.answer, citations: answer.citations });
    if (!this.footnotes.hasChildNodes()) this.footnotes.remove();
    const sources = new Set(answer.citations.map((citation) => citation.document_id)).size;
    this.footnotes.before(this.made(answer, sources));
    if (!answer.abstained) this.footnotes.before(this.opinion(answer.audit_id, answer));
  }

  /** The reader pressed Stop, or the line broke: what is there stays. */
  broken(words) {
    this.element.removeAttribute("aria-busy");
    this.status.hidden = false;
    this.status.textContent = words;
    if (!this.footnotes.hasChildNodes()) this.footnotes.remove();
  }

  cite(citation) {
    if (this.citations.has(citation.marker)) return;
    this.citations.set(citation.marker, citation);
    this.footnotes.append(make("li", {},
      make("span", { class: "number", "aria-hidden": "true" }, String(citation.marker)),
      make("div", {},
        button("title", citation.title || citation.external_id, (opener) => this.open(citation, opener)),
        make("p", { class: "where" }, place(citation)),
        make("blockquote", { dir: "auto" }, citation.quote))));
  }

  open(citation, opener) {
    this.attempt(() => openDocument(citation, opener, place(citation), citation));
  }

  /** A sentence, each `[n]` that names a citation become a superscript after its full stop. */
  withMarkers(text) {
    const parts = [];
    let done = 0;
    for (const match of text.matchAll(/\s?((?:\s?\[\d+\])+)([.,;:!?…。]*)/gu)) {
      const numbers = Array.from(match[1].matchAll(/\d+/g), ([digits]) => Number(digits));
      if (!numbers.every((number) => this.citations.has(number))) continue;
      parts.push(text.slice(done, match.index) + match[2], ...numbers.map((number) => this.marker(this.citations.get(number))));
      done = match.index + match[0].length;
    }
    return [...parts, text.slice(done)];
  }

  marker(citation) {
    const element = button("marker", String(citation.marker), (opener) => this.open(citation, opener));
    element.setAttribute("aria-label", `Footnote ${citation.marker}: ${citation.title || citation.external_id}`);
    element.setAttribute("aria-expanded", "false");
    return element;
  }

  /** Why there is no answer, and which readable documents come closest. What may be shown no longer goes. */
  abstain(answer) {
    const [title, explanation] = REASONS[answer.reason] ?? ["I cannot answer this.", ""];
    const box = make("div", { class: "abstained" }, make("h3", {}, title), make("p", {}, explanation));
    if (answer.nearest?.length) {
      const items = answer.nearest.map((near) => make("li", {},
        button("title", near.title || near.external_id, (opener) => this.attempt(() => openDocument(near, opener, near.external_id, null))),
        make("p", { class: "where" }, near.external_id)));
      box.append(make("p", { class: "label" }, "What comes closest"), make("ul", { class: "nearest" }, ...items));
    }
    this.text.replaceWith(box);
    this.footnotes.replaceChildren();
  }

  /** How the answer came about, in one line. */
  made(answer, sources) {
    const parts = [];
    if (sources) parts.push(sources === 1 ? "One source" : `${sources} sources`);
    if (answer.degraded) parts.push("quoted in place of the model, which failed");
    const planted = answer.safety.passages.length;
    if (planted) parts.push(`${planted === 1 ? "one document was" : `${planted} documents were`} kept out: text in it gives the assistant orders`);
    if (answer.safety.output.some((finding) => finding.action === "redact" && finding.category !== "link")) parts.push("personal data or secrets are masked");
    return make("p", { class: "made" }, [...parts, seconds(answer.timings_ms.total), `on record as ${answer.audit_id}`].join(" · "));
  }

  /** Was it helpful? The last word counts. */
  opinion(auditId, answer) {
    const said = make("span", { class: "where", role: "status" });
    const box = make("div", { class: "opinion" });
    const give = (verdict) => (pressed) => this.attempt(async () => {
      await call("POST", "/v1/feedback", { audit_id: auditId, verdict });
      for (const one of box.querySelectorAll("[aria-pressed]")) one.setAttribute("aria-pressed", String(one === pressed));
      said.textContent = "Thank you.";
    });
    const choices = [button("chip", "Helpful", give("helpful")), button("chip", "Not helpful", give("not_helpful"))];
    for (const choice of choices) choice.setAttribute("aria-pressed", "false");
    box.append(...choices);
    // Browsers have no clipboard for a page that came over plain HTTP from elsewhere.
    if (navigator.clipboard) box.append(button("chip", "Copy with sources", async () => {
      await navigator.clipboard.writeText(asText(answer));
      said.textContent = "Copied.";
    }));
    box.append(said);
    return box;
  }
}

/** An answer as plain text, its footnotes listed under it. */
function asText(answer) {
  const notes = answer.citations.map((citation) => `[${citation.marker}] ${citation.title || citation.external_id} (${place(citation)}): “${citation.quote}”`);
  return [answer.answer, "", ...notes].join("\n");
}

function seconds(milliseconds) {
  return milliseconds < 1000 ? `${Math.max(1, Math.round(milliseconds))} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
