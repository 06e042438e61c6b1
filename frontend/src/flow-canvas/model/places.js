// Where steps are. A node's path is the keys that lead to it, `rate.assess` for a step in the body of `rate`; its scope is the path
// of the container, empty for the flow itself. The flow's error handler is a frame of its own at the path `error`, and `error.notify` a
// step in it. Functions give new documents and share what they did not change.

export const KEY = /^[a-z][a-z0-9_]*$/
export const MAX_KEY = 64
export const HANDLER = "error"
export const RESERVED = new Set(["start", "input", "state", "run", "item", "index", "loop", "error"])

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value)
const own = (object, key) => (isObject(object) && Object.hasOwn(object, key) ? object[key] : undefined)

export const scopeOf = (path) => path.slice(0, Math.max(path.lastIndexOf("."), 0))
export const keyOf = (path) => path.slice(path.lastIndexOf(".") + 1)
export const pathOf = (scope, key) => (scope ? `${scope}.${key}` : key)
export const within = (path, container) => path === container || path.startsWith(`${container}.`)

/** The steps of a flow, a body, or anything; never null. */
export const stepsOf = (part) => (isObject(part?.steps) ? part.steps : {})
export const edgesOf = (part) => (Array.isArray(part?.edges) ? part.edges.filter((edge) => typeof edge === "string") : [])
export const bodyOf = (step) => (isObject(step?.with?.body) ? step.with.body : null)
export const handlerOf = (doc) => (isObject(doc?.on_error) ? doc.on_error : null)

/** The flow (scope "") or the body of the container at `scope`; null where there is none. */
export function partAt(doc, scope) {
  const [first, ...rest] = scope.split(".")
  let part = first === HANDLER ? own(doc, "on_error") : doc
  for (const key of first === HANDLER ? rest : scope ? scope.split(".") : []) part = bodyOf(own(stepsOf(part), key))
  return part ?? null
}

export const stepAt = (doc, path) => (path ? own(stepsOf(partAt(doc, scopeOf(path))), keyOf(path)) : undefined)

/** The document with the part at `scope` replaced by what `edit` makes of it. */
export function withPart(doc, scope, edit) {
  if (!scope) return edit(doc)
  if (scope === HANDLER) return { ...doc, on_error: edit(doc.on_error ?? { steps: {}, edges: [] }) }
  return withStep(doc, scope, (step) => ({ ...step, with: { ...step.with, body: edit(bodyOf(step) ?? { steps: {}, edges: [] }) } }))
}

export function withStep(doc, path, edit) {
  const key = keyOf(path)
  return withPart(doc, scopeOf(path), (part) => ({ ...part, steps: { ...part.steps, [key]: edit(part.steps[key]) } }))
}

/** Every step, containers before what is in them, those of the error handler last: `{path, key, scope, step}`. */
export function* walk(part, scope = "") {
  for (const [key, step] of Object.entries(stepsOf(part))) {
    const path = pathOf(scope, key)
    yield { path, key, scope, step }
    if (bodyOf(step)) yield* walk(bodyOf(step), path)
  }
  if (!scope && handlerOf(part)) yield* walk(handlerOf(part), HANDLER)
}

/** The node that a place of the document (`steps.rate.with.body.steps.assess.with.prompt`) or of a run (`rate[3].assess`) is about; "" for none. */
export function nodeOf(doc, place) {
  const plain = place.replace(/\[\d+\]/g, "")
  if (stepAt(doc, plain)) return plain
  const words = plain.split(".")
  let path = ""
  if ((words[0] === "on_error" || plain === HANDLER) && handlerOf(doc)) {
    path = HANDLER
    words.shift()
  }
  while (words[0] === "steps" && words.length > 1) {
    path = pathOf(path, words[1])
    if (words[2] !== "with" || words[3] !== "body") break
    words.splice(0, 4)
  }
  return path === HANDLER || stepAt(doc, path) ? path : ""
}

/** What is wrong with `key` for a new step in `scope`, in words; "" if nothing is. */
export function keyFault(doc, scope, key) {
  if (RESERVED.has(key)) return `“${key}” is a reserved word.`
  if (key.length > MAX_KEY) return `A key has at most ${MAX_KEY} characters; the label takes a long name.`
  if (!KEY.test(key)) return "A key has small letters, digits and underscores, and begins with a letter."
  if (Object.hasOwn(stepsOf(partAt(doc, scope)), key)) return `There is already a step “${key}” here.`
  return ""
}

/** What a new step of a kind is called: as the kind is, or as people call it where that word is reserved. */
export const firstKey = (slug, kind) => (RESERVED.has(slug) ? (kind?.label ?? `${slug}_step`).toLowerCase().replace(/[^a-z0-9]+/g, "_") : slug)

/** `wanted`, or `wanted_2` …: a key that no step of the whole document has, so that no reference changes its meaning. */
export function freeKey(doc, wanted, taken = new Set()) {
  const used = new Set(taken)
  for (const { key } of walk(doc)) used.add(key)
  const base = wanted.slice(0, MAX_KEY - 5)
  for (let number = 1; ; number++) {
    const key = number === 1 ? base : `${base}_${number}`
    if (!used.has(key) && !RESERVED.has(key)) return key
  }
}

export const titleOf = (key, step) =>
  (typeof step?.label === "string" && step.label) || key.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase())
