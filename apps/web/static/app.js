"use strict";

/* The page: signs in, asks, shows an answer with its footnotes and the passage behind each.
   What comes from a document or a person is only ever inserted as text, never as markup. */

const byId = (id) => document.getElementById(id);

/** What the page knows: the token its changes must carry, and what had the focus before a passage opened. */
const state = { csrf: null, opener: null, documents: [], asked: 0, opened: 0 };

const REASONS = {
  no_evidence: ["I found nothing that answers this.", "None of the documents you may read has anything to say about it."],
  low_support: ["I found no answer I can support.", "Some passages come near, but none of them bears out an answer."],
  conflicting: ["The documents disagree.", "They say different things about this, and nothing tells which one holds."],
  filtered: ["This answer is withheld.", "A safety rule of your organization does not let it be shown."],
  unavailable: ["I cannot answer right now.", "Try again in a moment."],
};

/* Talking to the server */

/** An answer of the server that is no success, in its own words. */
class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (state.csrf) headers["X-CSRF-Token"] = state.csrf;
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Problem(0, "Footnote cannot be reached. Check that it is running, then try again.");
  }
  const content = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return content;
  throw new Problem(response.status, content?.detail ?? `The server answered with status ${response.status}.`);
}

/* Making elements */

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function button(className, label, action) {
  const element = make("button", { type: "button", class: className, dir: "auto" }, label);
  element.addEventListener("click", () => action(element));
  return element;
}

/** Show an error in words, or take the last one away. A sign-in that has ended leads back to the start. */
function say(error) {
  const notice = byId("notice");
  notice.textContent = error ? error.message : "";
  notice.hidden = !error;
  if (error?.status === 401) showSignIn();
}

/** Run something that may fail, and say so if it does. */
async function attempt(work) {
  try {
    say(null);
    await work();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    say(error);
  }
}

/* Signing in and out */

function showSignIn() {
  state.csrf = null;
  closePassage();
  byId("desk").hidden = byId("who").hidden = true;
  byId("reply").replaceChildren();
  byId("library-list").replaceChildren();
  byId("sign-in").hidden = false;
  byId("key").focus();
}

async function showDesk(me) {
  state.csrf = me.csrf;
  byId("person").textContent = me.principal.replace(/^user:/, "");
  byId("sign-in").hidden = true;
  byId("desk").hidden = byId("who").hidden = false;
  byId("reply").hidden = true;
  document.body.classList.remove("answered");
  byId("question").value = "";
  byId("question").focus();
  await showDocuments(me.scopes.includes("read"));
}

/** Sign in with a key from the address's fragment (which never reaches a server), else with the cookie. */
async function start() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) {
    history.replaceState(null, "", location.pathname);
    await showDesk(await call("POST", "/v1/session", { key }));
    return;
  }
  const me = await call("GET", "/v1/me").catch((error) => (error.status === 401 ? null : Promise.reject(error)));
  if (me) await showDesk(me);
  else showSignIn();
}

async function signIn(event) {
  event.preventDefault();
  const field = byId("key");
  const key = field.value;
  await attempt(async () => {
    await showDesk(await call("POST", "/v1/session", { key }));
    field.value = "";
  });
}

async function signOut() {
  await attempt(async () => {
    await call("DELETE", "/v1/session");
    showSignIn();
  });
}

/* Asking */

async function ask(event) {
  event?.preventDefault();
  const question = byId("question").value.trim();
  if (!question) return;
  const number = ++state.asked;
  const reply = byId("reply");
  closePassage();
  reply.setAttribute("aria-busy", "true");
  byId("ask").disabled = true;
  await attempt(async () => {
    const answer = await call("POST", "/v1/ask", { question });
    if (number !== state.asked || !state.csrf) return;
    reply.replaceChildren(...(answer.abstained ? abstention(answer) : grounded(answer)));
    reply.hidden = false;
    document.body.classList.add("answered");
    byId("question").value = "";
    byId("question").placeholder = "Ask something else";
  });
  reply.removeAttribute("aria-busy");
  byId("ask").disabled = false;
}

function grounded(answer) {
  const citations = new Map(answer.citations.map((citation) => [citation.marker, citation]));
  const sources = new Set(answer.citations.map((citation) => citation.document_id)).size;
  return [
    make("h2", { class: "asked", dir: "auto" }, answer.question),
    make("p", { class: "answer", dir: "auto" }, ...withMarkers(answer.answer, citations)),
    made(answer, sources === 1 ? "One source" : `${sources} sources`),
    make("ol", { class: "footnotes", "aria-label": "Footnotes" }, ...answer.citations.map(footnote)),
  ];
}

/** The answer's text, each `[n]` that names a citation become a superscript after the sentence's full stop. */
function withMarkers(text, citations) {
  const parts = [];
  let done = 0;
  for (const match of text.matchAll(/\s?((?:\[\d+\])+)([.,;:!?…。]*)/gu)) {
    const numbers = Array.from(match[1].matchAll(/\d+/g), ([digits]) => Number(digits));
    if (!numbers.every((number) => citations.has(number))) continue;
    parts.push(text.slice(done, match.index) + match[2], ...numbers.map((number) => marker(citations.get(number))));
    done = match.index + match[0].length;
  }
  return [...parts, text.slice(done)];
}

function marker(citation) {
  const element = button("marker", String(citation.marker), (opener) => openPassage(citation, opener));
  element.setAttribute("aria-label", `Footnote ${citation.marker}: ${citation.title || citation.external_id}`);
  element.setAttribute("aria-expanded", "false");
  return element;
}

function footnote(citation) {
  return make("li", {},
    make("span", { class: "number", "aria-hidden": "true" }, String(citation.marker)),
    make("div", {},
      button("title", citation.title || citation.external_id, (opener) => openPassage(citation, opener)),
      make("p", { class: "where" }, place(citation)),
      make("blockquote", { dir: "auto" }, citation.quote)));
}

function abstention(answer) {
  const [title, explanation] = REASONS[answer.reason] ?? ["I cannot answer this.", answer.answer];
  const box = make("div", { class: "abstained" }, make("h2", {}, title), make("p", {}, explanation));
  if (answer.nearest?.length) {
    const items = answer.nearest.map((near) => make("li", {}, documentButton(near), make("p", { class: "where" }, near.external_id)));
    box.append(make("p", { class: "label" }, "What comes closest"), make("ul", { class: "nearest" }, ...items));
  }
  return [
    make("h2", { class: "asked", dir: "auto" }, answer.question),
    box,
    made(answer),
  ];
}

/** How an answer came about, in one line. */
function made(answer, ...parts) {
  const planted = answer.safety.passages.length;
  if (planted) parts.push(`${planted === 1 ? "one document was" : `${planted} documents were`} kept out: text in it gives the assistant orders`);
  return make("p", { class: "made" }, [...parts, seconds(answer.timings_ms.total), `on record as ${answer.audit_id}`].join(" · "));
}

function place(citation) {
  const heading = citation.heading.filter((part) => part !== citation.title).join(" › ");
  return [heading, citation.page ? `page ${citation.page}` : "", citation.external_id].filter(Boolean).join(" · ");
}

function seconds(milliseconds) {
  return milliseconds < 1000 ? `${Math.max(1, Math.round(milliseconds))} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/* Reading */

/** Open the document behind a citation, its passage marked. */
async function openPassage(citation, opener) {
  await openDocument(citation, opener, place(citation), citation);
}

async function openDocument(about, opener, where, citation) {
  const number = ++state.opened;
  await attempt(async () => {
    const shown = await call("GET", `/v1/documents/${encodeURIComponent(about.document_id)}/text`);
    if (number !== state.opened || !state.csrf) return;
    closePassage();
    state.opener = opener;
    opener.setAttribute("aria-expanded", "true");
    byId("passage-title").textContent = shown.title || shown.external_id;
    byId("passage-where").textContent = where;
    byId("passage").hidden = false;
    byId("room").classList.add("reading");
    const mark = layOut(shown, citation);
    const target = mark ?? byId("passage-title");
    target.focus({ preventScroll: true });
    // Only the panel scrolls: the answer stays where the reader left it.
    byId("passage-text").scrollTop = mark ? mark.offsetTop - byId("passage-text").clientHeight / 3 : 0;
  });
}

/** Fill the panel; returns the mark around the citation's span, or null where there is none to mark.

    Offsets count code points, and JavaScript's own count UTF-16 units: a string is taken apart before it is cut. */
function layOut(shown, citation) {
  const points = Array.from(shown.text);
  const holds = citation && points.slice(citation.start, citation.end).join("") === citation.quote;
  const note = byId("passage-note");
  note.hidden = !citation || holds;
  note.textContent = note.hidden ? "" : "This document has changed since the answer was given. Ask again to see the passage.";
  if (!holds) {
    byId("passage-text").replaceChildren(shown.text);
    return null;
  }
  const mark = make("mark", { tabindex: "-1" }, citation.quote);
  byId("passage-text").replaceChildren(points.slice(0, citation.start).join(""), mark, points.slice(citation.end).join(""));
  return mark;
}

function closePassage() {
  byId("passage").hidden = true;
  byId("room").classList.remove("reading");
  byId("passage-text").replaceChildren();
  state.opener?.setAttribute("aria-expanded", "false");
  state.opener?.focus();
  state.opener = null;
}

/* Documents */

async function showDocuments(readable) {
  byId("library").hidden = !readable;
  state.documents = readable ? await call("GET", "/v1/documents") : [];
  byId("library-count").textContent = `(${state.documents.length})`;
  listDocuments();
}

function listDocuments() {
  const wanted = byId("library-filter").value.trim().toLocaleLowerCase();
  const found = state.documents.filter((one) => `${one.title} ${one.external_id}`.toLocaleLowerCase().includes(wanted));
  byId("library-list").replaceChildren(...found.map((one) => make("li", {}, documentButton(one), make("p", { class: "where" }, one.external_id))));
}

function documentButton(about) {
  return button("title", about.title || about.external_id, (opener) => openDocument(about, opener, about.external_id, null));
}

/* Wiring */

byId("sign-in-form").addEventListener("submit", signIn);
byId("sign-out").addEventListener("click", signOut);
byId("ask-form").addEventListener("submit", ask);
byId("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) ask(event);
});
for (const hint of byId("hints").children) {
  hint.addEventListener("click", () => {
    byId("question").value = hint.textContent;
    ask();
  });
}
byId("library-filter").addEventListener("input", listDocuments);
byId("passage-close").addEventListener("click", closePassage);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !byId("passage").hidden) closePassage();
});
window.addEventListener("hashchange", () => location.hash.includes("key=") && attempt(start));
attempt(start).then(() => {
  if (byId("desk").hidden) showSignIn();
});
