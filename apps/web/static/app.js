/* The page: signs in, asks within a conversation, shows answers as they are checked, and the passage behind each footnote. */

import { Turn } from "./answers.js";
import { call, Problem, session, stream } from "./api.js";
import { conversation, current, listConversations } from "./conversations.js";
import { button, byId, make } from "./elements.js";
import { chosenFilters, chosenInWords, forgetFilters, offerFilters } from "./filters.js";
import { showIntake, stopIntake } from "./intake.js";
import { closePassage, openDocument } from "./reading.js";

/** The answer that is being written, if any, and the documents of the library. */
const state = { writing: null, documents: [], scopes: [] };

/** Which scope opens which view. */
const VIEWS = { desk: "ask", library: "read", intake: "admin" };

/* Saying what went wrong */

/** Show an error in words, or take the last one away. A sign-in that has ended leads back to the start. */
function say(error) {
  const notice = byId("notice");
  notice.textContent = error ? error.message : "";
  notice.hidden = !error;
  if (error?.status === 401) showSignIn();
}

/** Run something that may fail, and say so if it does; whether it went well. */
async function attempt(work) {
  say(null);
  return inBackground(work);
}

/** The same for what nobody has asked for: it takes no error away that somebody has yet to read. */
async function inBackground(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    say(error);
    return false;
  }
}

/* Signing in and out */

function showSignIn() {
  session.csrf = null;
  state.writing?.abort();
  closePassage();
  startOver();
  stopIntake();
  forgetFilters();
  for (const id of ["desk", "library", "intake", "who", "views", "shelf", "drawer"]) byId(id).hidden = true;
  for (const id of ["conversations", "library-list", "intake-body"]) byId(id).replaceChildren();
  byId("sign-in").hidden = false;
  byId("key").focus();
}

async function showDesk(me) {
  session.csrf = me.csrf;
  state.scopes = me.scopes;
  byId("person").textContent = me.principal.replace(/^user:/, "");
  byId("sign-in").hidden = true;
  byId("who").hidden = false;
  const open = Object.keys(VIEWS).filter((view) => me.scopes.includes(VIEWS[view]));
  for (const tab of byId("views").children) tab.hidden = !open.includes(tab.dataset.view);
  byId("views").hidden = open.length < 2;
  startOver();
  await show(open[0] ?? "desk");
  if (me.scopes.includes("ask")) await Promise.all([refreshConversations(), inBackground(offerFilters)]);
  await openLinked();
}

/** Open the passage that the address names, as footnotes in Slack do: #document=…&version=…&start=…&end=… */
async function openLinked() {
  const named = new URLSearchParams(location.hash.slice(1));
  if (!named.has("document")) return;
  history.replaceState(null, "", location.pathname);
  const [version, start, end] = ["version", "start", "end"].map((name) => Number(named.get(name)));
  await attempt(() => openDocument({ document_id: named.get("document") }, null, "", end > start ? { version, start, end } : null));
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

/* Views */

async function show(view) {
  closePassage();
  for (const one of Object.keys(VIEWS)) byId(one).hidden = one !== view;
  for (const tab of byId("views").children) tab.toggleAttribute("aria-current", tab.dataset.view === view);
  const asking = view === "desk" && state.scopes.includes("ask");
  byId("shelf").hidden = byId("drawer").hidden = !asking;
  stopIntake();
  if (view === "desk") byId("question").focus();
  if (asking && !byId("narrow").hidden) await inBackground(offerFilters);
  if (view === "library") await showDocuments();
  if (view === "intake") await showIntake(attempt);
}

/* Conversations */

function startOver() {
  state.writing?.abort();
  current.id = null;
  byId("thread").replaceChildren();
  document.body.classList.remove("answered");
  byId("question").value = "";
  byId("question").placeholder = "Ask your documents";
}

const refreshConversations = () => listConversations(attempt, (id) => attempt(() => openConversation(id)), newConversation);

function newConversation() {
  closePassage();
  startOver();
  closeDrawer();
  for (const one of byId("conversations").querySelectorAll("[aria-current]")) one.removeAttribute("aria-current");
  byId("question").focus();
}

/** Show an earlier conversation: of its answers those that its owner may still read whole. */
async function openConversation(id) {
  closePassage();
  const shown = await call("GET", `/v1/conversations/${encodeURIComponent(id)}`);
  startOver();
  closeDrawer();
  current.id = id;
  for (const one of shown.turns) {
    const turn = addTurn(one.question);
    if (one.available) turn.done(one.answer);
    else turn.broken("This answer is no longer available: a document behind it has changed, or is no longer yours to read.");
  }
  await refreshConversations();
}

/** `narrowed` says in words which documents the question is asked of; empty: all. */
function addTurn(question, narrowed = "") {
  const turn = new Turn(question, attempt, narrowed);
  byId("thread").append(turn.element);
  document.body.classList.add("answered");
  byId("question").value = "";
  byId("question").placeholder = "Ask on";
  return turn;
}

/* Asking */

async function ask(event) {
  event?.preventDefault();
  const question = byId("question").value.trim();
  if (!question || state.writing) return;
  closePassage();
  const writing = new AbortController();
  state.writing = writing;
  byId("ask").hidden = true;
  byId("stop").hidden = false;
  let asked = false;
  try {
    asked = await attempt(async () => {
      const conversationId = await conversation();
      if (writing.signal.aborted) return;
      const turn = addTurn(question, chosenInWords());
      turn.element.scrollIntoView({ block: "start", behavior: "smooth" });
      await write(turn, { question, conversation_id: conversationId, filters: chosenFilters() }, writing.signal);
    });
  } finally {
    // Whatever went wrong, the next question can be asked.
    state.writing = null;
    byId("ask").hidden = false;
    byId("stop").hidden = true;
  }
  // What went wrong stays said.
  if (asked && session.csrf && !byId("desk").hidden) await inBackground(refreshConversations);
}

/** Let one answer be written into its turn; what broke it off is said there, or by the caller. */
async function write(turn, body, signal) {
  try {
    await stream("/v1/ask", body, {
      passages: (found) => turn.passages(found),
      sentence: (one) => turn.sentence(one),
      done: (answer) => turn.done(answer),
    }, signal);
  } catch (error) {
    turn.broken(signal.aborted ? "Stopped." : "No answer.");
    if (!signal.aborted) throw error;
  }
}

/* Documents */

async function showDocuments() {
  await attempt(async () => {
    state.documents = await call("GET", "/v1/documents");
    byId("library-count").textContent = `(${state.documents.length})`;
    listDocuments();
  });
}

function listDocuments() {
  const wanted = byId("library-filter").value.trim().toLocaleLowerCase();
  const found = state.documents.filter((one) => `${one.title} ${one.external_id}`.toLocaleLowerCase().includes(wanted));
  byId("library-list").replaceChildren(...found.map((one) => make("li", {},
    button("title", one.title || one.external_id, (opener) => attempt(() => openDocument(one, opener, one.external_id, null))),
    make("p", { class: "where" }, one.external_id))));
}

/* Wiring */

function closeDrawer() {
  document.body.classList.remove("shelved");
  byId("drawer").setAttribute("aria-expanded", "false");
}

byId("sign-in-form").addEventListener("submit", signIn);
byId("sign-out").addEventListener("click", signOut);
byId("ask-form").addEventListener("submit", ask);
byId("stop").addEventListener("click", () => state.writing?.abort());
byId("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) ask(event);
});
for (const hint of byId("hints").children) {
  hint.addEventListener("click", () => {
    byId("question").value = hint.textContent;
    ask();
  });
}
for (const tab of byId("views").children) tab.addEventListener("click", () => show(tab.dataset.view));
byId("new-conversation").addEventListener("click", newConversation);
byId("drawer").addEventListener("click", () => {
  const open = document.body.classList.toggle("shelved");
  byId("drawer").setAttribute("aria-expanded", String(open));
});
byId("library-filter").addEventListener("input", listDocuments);
byId("passage-close").addEventListener("click", closePassage);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (!byId("passage").hidden) closePassage();
  else closeDrawer();
});
window.addEventListener("hashchange", () => {
  if (location.hash.includes("key=")) attempt(start);
  else if (session.csrf) openLinked();
});
attempt(start).then(() => {
  if (!session.csrf) showSignIn();
});
