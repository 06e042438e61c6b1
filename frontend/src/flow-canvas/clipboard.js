// Steps as YAML on the clipboard, and back. The YAML library is fetched when the canvas is first used; until it is there, JSON, which is YAML.
import { MAX_TEXT } from "./model.js"

let loaded = null
let library = null
export const ready = () => (loaded ??= import("yaml").then((module) => (library = module)))

export const asText = (piece) => (library ? library.stringify(piece, { lineWidth: 0, aliasDuplicateObjects: false }) : JSON.stringify(piece, null, 2))

/** The value of a pasted text. Throws an Error that says in words why it cannot be used. */
export async function asValue(text) {
  if (text.length > MAX_TEXT) throw new Error(`That is ${(text.length / 1e6).toFixed(1)} MB of text; a piece of a flow has at most 1 MB.`)
  if (!text.trim()) throw new Error("The clipboard holds no text.")
  const { parseDocument } = await ready()
  const parsed = parsing(() => parseDocument(text, { version: "1.2", schema: "core", uniqueKeys: true, merge: false, prettyErrors: true }))
  const [problem] = parsed.errors
  if (problem) {
    const { line, col } = problem.linePos?.[0] ?? {}
    throw new Error(`This is no YAML${line ? ` (line ${line}, column ${col})` : ""}: copy steps from a canvas, or a flow as YAML.`)
  }
  try {
    return parsed.toJS({ maxAliasCount: 0 })
  } catch {
    throw new Error("This YAML uses anchors, which a flow does not.")
  }
}

function parsing(parse) {
  try {
    return parse()
  } catch (error) {
    if (error instanceof RangeError) throw new Error("This YAML is nested too deeply.") // the stack is used up
    throw error
  }
}
