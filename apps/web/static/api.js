/* Talking to the server: calls that answer with JSON, and answers that come as a stream of events. */

/** The token that changes must carry; null while nobody is signed in. */
export const session = { csrf: null };

/** An answer of the server that is no success, in its own words. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function call(method, path, body) {
  const response = await send(method, path, body, "application/json");
  return response.status === 204 ? null : response.json();
}

const BROKEN_OFF = "The answer broke off. Ask again.";

/** Post `body` and call `on[event](data)` for each event of the answer, in order; ends with the answer.
    Raises `Problem` for a refusal, and for a stream that ends before its `done` or with an `error`. */
export async function stream(path, body, on, signal) {
  const response = await send("POST", path, body, "text/event-stream", signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  let done = false;
  for (let chunk = await next(reader); !chunk.done; chunk = await next(reader)) {
    const blocks = (waiting + chunk.value).split("\n\n");
    waiting = blocks.pop();
    for (const { event, data } of blocks.map(parsed).filter(Boolean)) {
      if (event === "error") throw new Problem(data.status, data.detail);
      done ||= event === "done";
      on[event]?.(data);
    }
  }
  if (!done) throw new Problem(0, BROKEN_OFF);
}

/** The next piece of a stream; a line that breaks in between is told as an end before its `done` is. */
async function next(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, BROKEN_OFF);
  }
}

async function send(method, path, body, accept, signal) {
  const headers = { Accept: accept };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (session.csrf) headers["X-CSRF-Token"] = session.csrf;
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "Footnote cannot be reached. Check that it is running, then try again.");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  throw new Problem(response.status, problem?.detail ?? `The server answered with status ${response.status}.`);
}

/** One block of a stream (HTML standard, 9.2.6); null for a comment, which only keeps the line open. */
function parsed(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return data.length ? { event, data: JSON.parse(data.join("\n")) } : null;
}
