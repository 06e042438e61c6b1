// Edges as the document writes them: `from -> to`, `from.port -> to`; the port `done` is not written.
const FORM = /^\s*([\w-]{1,200})(?:\.([\w-]{1,200}))?\s*->\s*([\w-]{1,200})\s*$/

/** `{from, port, to}`, or null for a text that is no edge. */
export function parseEdge(text) {
  const found = FORM.exec(text)
  return found && { from: found[1], port: found[2] ?? "done", to: found[3] }
}

export const edgeText = ({ from, port, to }) => (port === "done" ? `${from} -> ${to}` : `${from}.${port} -> ${to}`)

/** The edges of a part that can be read, each with its text. */
export const edgesRead = (texts) =>
  texts.flatMap((text) => {
    const edge = parseEdge(text)
    return edge ? [{ ...edge, text }] : []
  })

/** Keys that can be reached from `key` along edges, itself included. */
export function reachable(edges, key) {
  const after = new Map()
  for (const { from, to } of edges) after.set(from, [...(after.get(from) ?? []), to])
  const found = new Set([key])
  for (const each of found) for (const next of after.get(each) ?? []) found.add(next)
  return found
}
