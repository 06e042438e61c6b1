// What the builder asks of the server. An answer is `{status, data}`: status 0 where nobody answered, 401 where the session has ended.

const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? JSON.parse(document.body.getAttribute("hx-headers:inherited"))["X-CSRFToken"]

const PATIENCE = 10_000 // milliseconds without an answer, after which nobody answers

export async function ask(url, body, { method = body === undefined ? "GET" : "POST", signal } = {}) {
  try {
    const response = await fetch(url, {
      method,
      signal: AbortSignal.any([AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])]),
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token() },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const isJSON = response.headers.get("content-type")?.includes("json")
    return { status: response.status, data: isJSON ? await response.json() : { text: await response.text() } }
  } catch (error) {
    if (error.name === "AbortError") throw error
    return { status: 0, data: {} }
  }
}

/** Asks for the newest only: a call that is overtaken by another never answers. */
export function latest() {
  let going = null
  return async (url, body) => {
    going?.abort()
    const mine = (going = new AbortController())
    try {
      const answer = await ask(url, body, { signal: mine.signal })
      return mine === going ? answer : null
    } catch {
      return null
    }
  }
}
