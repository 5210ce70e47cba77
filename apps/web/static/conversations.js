/* The reader's conversations: their list, opening one again, forgetting one. */

import { call } from "./api.js";
import { button, byId, make } from "./elements.js";

/** The conversation that the next question belongs to; null: the next question begins one. */
export const current = { id: null };

/** Draw the list; `open(id)` is called when one is chosen, `forgotten()` when the open one was deleted. */
export async function listConversations(attempt, open, forgotten) {
  const { conversations } = await call("GET", "/v1/conversations");
  byId("no-conversations").hidden = conversations.length > 0;
  byId("conversations").replaceChildren(...conversations.map((one) => {
    const chosen = button("title", one.title || "A conversation", () => open(one.conversation_id));
    if (one.conversation_id === current.id) chosen.setAttribute("aria-current", "true");
    const forget = button("quiet forget", "Forget", (pressed) => attempt(async () => {
      // A second press within three seconds means it.
      if (pressed.textContent === "Forget") {
        pressed.textContent = "Really?";
        setTimeout(() => { pressed.textContent = "Forget"; }, 3000);
        return;
      }
      await call("DELETE", `/v1/conversations/${encodeURIComponent(one.conversation_id)}`);
      if (one.conversation_id === current.id) forgotten();
      await listConversations(attempt, open, forgotten);
    }));
    forget.setAttribute("aria-label", `Forget the conversation “${one.title}”`);
    return make("li", {}, chosen, forget);
  }));
}

/** The id of the open conversation, which the first question makes. */
export async function conversation() {
  current.id ??= (await call("POST", "/v1/conversations", {})).conversation_id;
  return current.id;
}
