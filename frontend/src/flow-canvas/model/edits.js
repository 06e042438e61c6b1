// What one does to a flow, as functions from a document to a document. They know nothing of history, catalogue or screen.
import { edgesRead, edgeText, parseEdge, reachable } from "./edges.js"
import { edgesOf, freeKey, HANDLER, handlerOf, keyFault, keyOf, partAt, pathOf, scopeOf, stepAt, stepsOf, titleOf, walk, within, withPart } from "./places.js"
import { renameInPart, renameInStep } from "./references.js"

/** The parts of an edge's identity, `scope|text`. */
export const edgeId = (scope, text) => `${scope}|${text}`
export const readId = (id) => ({ scope: id.slice(0, id.indexOf("|")), text: id.slice(id.indexOf("|") + 1) })

/** Why `from` may not lead to `to` (paths), in words; "" if it may. */
export function refusal(doc, from, port, to) {
  const scope = scopeOf(from)
  const name = (path) => (path === HANDLER ? "the error handler" : keyOf(path) === "start" ? "Start" : titleOf(keyOf(path), stepAt(doc, path)))
  if (from === HANDLER || to === HANDLER) return "Nothing leads to the error handler: it begins by itself when a run is about to fail."
  if (keyOf(to) === "start") return "Nothing leads to Start: a flow begins there."
  if (from === to) return "A step cannot lead to itself. To repeat it, put it into a Loop."
  if (stepAt(doc, to)?.kind === "note" || stepAt(doc, from)?.kind === "note") return "A note is no step; nothing leads to it."
  if (scope !== scopeOf(to)) {
    const inner = scopeOf(to).length > scope.length ? to : from
    return `${name(inner)} is inside ${name(scopeOf(inner))}; edges do not cross a frame.`
  }
  const edges = edgesRead(edgesOf(partAt(doc, scope)))
  if (edges.some((edge) => edge.from === keyOf(from) && edge.port === port && edge.to === keyOf(to))) return `${name(from)} leads to ${name(to)} already.`
  if (reachable(edges, keyOf(to)).has(keyOf(from))) return `That would make a circle: ${name(to)} comes before ${name(from)}. To repeat steps, put them into a Loop.`
  return ""
}

export function connect(doc, from, port, to) {
  const text = edgeText({ from: keyOf(from), port, to: keyOf(to) })
  return withPart(doc, scopeOf(from), (part) => ({ ...part, edges: [...(part.edges ?? []), text] }))
}

export function disconnect(doc, ids) {
  for (const { scope, text } of ids.map(readId)) doc = withPart(doc, scope, (part) => ({ ...part, edges: part.edges.filter((edge) => edge !== text) }))
  return doc
}

/** A new step; `place` is [x, y] within its scope. */
export function insert(doc, scope, key, step, place) {
  const made = withPart(doc, scope, (part) => ({ ...part, steps: { ...part.steps, [key]: step } }))
  return place ? { ...made, layout: { ...made.layout, [pathOf(scope, key)]: place } } : made
}

/** The document without these steps; where one stood alone between two others, they are joined. An error handler goes with its last step. */
export function remove(doc, paths) {
  if (paths.includes(HANDLER)) doc = unhandled(doc)
  const outer = paths.filter((path) => !paths.some((other) => other !== path && within(path, other)) && stepAt(doc, path))
  for (const path of outer) {
    const key = keyOf(path)
    doc = withPart(doc, scopeOf(path), (part) => {
      const { [key]: _gone, ...steps } = stepsOf(part)
      return { ...part, steps, ...(part.edges && { edges: healed(part.edges, key) }) }
    })
  }
  if (outer.length && doc.layout) doc = { ...doc, layout: without(doc.layout, outer) }
  const emptied = outer.some((path) => scopeOf(path) === HANDLER) && !Object.keys(stepsOf(doc.on_error)).length
  return emptied ? unhandled(doc) : doc
}

function unhandled(doc) {
  if (!handlerOf(doc)) return doc
  const { on_error: _gone, ...rest } = doc
  return doc.layout ? { ...rest, layout: without(doc.layout, [HANDLER]) } : rest
}

function healed(edges, key) {
  const read = edgesRead(edges)
  const before = read.filter((edge) => edge.to === key)
  const after = read.filter((edge) => edge.from === key && edge.port !== "error")
  const gone = new Set(read.filter((edge) => edge.from === key || edge.to === key).map((edge) => edge.text))
  const kept = edges.map((text) => (gone.has(text) ? null : text))
  if (before.length === 1 && after.length === 1 && before[0].port !== "error") {
    const joint = edgeText({ ...before[0], to: after[0].to })
    if (!edges.some((text) => edgeText(parseEdge(text) ?? {}) === joint)) kept[edges.indexOf(before[0].text)] = joint
  }
  return kept.filter((text) => text !== null)
}

const without = (layout, paths) => Object.fromEntries(Object.entries(layout).filter(([place]) => !paths.some((path) => within(place, path))))

/** Why a step cannot be called so, in words; "" if it can. */
export function renameFault(doc, path, key) {
  if (key === keyOf(path)) return ""
  const fault = keyFault(doc, scopeOf(path), key)
  if (fault) return fault
  const holds = (scope, step) => !scope || within(step, scope)
  const clash = [...walk(doc)].find((other) => other.key === key && (holds(scopeOf(path), other.path) || holds(other.scope, path)))
  return clash ? `“${key}” is the key of a step in ${clash.scope || "the flow"}; expressions could not tell them apart.` : ""
}

/** The step under another key: its edges, its place and every expression that names it follow. */
export function rename(doc, path, key) {
  const old = keyOf(path)
  const scope = scopeOf(path)
  const made = withPart(doc, scope, (part) => {
    const renamed = renameInPart(part, new Map([[old, key]]), false)
    const edge = (text) => {
      const read = parseEdge(text)
      if (!read || (read.from !== old && read.to !== old)) return text
      return edgeText({ ...read, from: read.from === old ? key : read.from, to: read.to === old ? key : read.to })
    }
    return {
      ...renamed,
      steps: Object.fromEntries(Object.entries(renamed.steps).map(([each, step]) => [each === old ? key : each, step])),
      ...(part.edges && { edges: part.edges.map(edge) }),
    }
  })
  const next = pathOf(scope, key)
  return doc.layout ? { ...made, layout: rekeyed(doc.layout, path, next) } : made
}

const rekeyed = (layout, path, next) => Object.fromEntries(Object.entries(layout).map(([place, at]) => [within(place, path) ? next + place.slice(path.length) : place, at]))

/** The step taken out of where it is and put into `scope` ("" for the flow itself); gives the document and its new path. */
export function moveInto(doc, path, scope) {
  const step = stepAt(doc, path)
  const taken = remove(doc, [path])
  const key = Object.hasOwn(stepsOf(partAt(taken, scope)), keyOf(path)) ? freeKey(taken, keyOf(path)) : keyOf(path)
  const renamed = key === keyOf(path) ? step : renameInStep(step, new Map([[keyOf(path), key]]))
  let made = insert(taken, scope, key, renamed)
  if (!edgesOf(partAt(made, scope)).length) made = connect(made, pathOf(scope, "start"), "done", pathOf(scope, key))
  const next = pathOf(scope, key)
  const inner = Object.entries(doc.layout ?? {}).filter(([place]) => place !== path && within(place, path))
  if (inner.length) made = { ...made, layout: { ...made.layout, ...Object.fromEntries(inner.map(([place, at]) => [next + place.slice(path.length), at])) } }
  return { doc: made, path: next }
}

/** `value` at `pointer` (`with.prompt`, `/with/prompt` or a list of keys) within the step at `path`, or within the flow for path "". Undefined takes the key away. */
export function assign(doc, path, pointer, value) {
  const words = Array.isArray(pointer) ? pointer : pointer.startsWith("/") ? pointer.slice(1).split("/").map(unescaped) : pointer.split(".")
  if (!path) return put(doc, words, value)
  const key = keyOf(path)
  return withPart(doc, scopeOf(path), (part) => ({ ...part, steps: { ...part.steps, [key]: put(part.steps[key], words, value) } }))
}

const unescaped = (word) => word.replaceAll("~1", "/").replaceAll("~0", "~")

function put(owner, [word, ...rest], value) {
  const list = Array.isArray(owner) || (owner === undefined && /^\d+$/.test(word))
  const made = list ? [...(owner ?? [])] : { ...owner }
  const next = rest.length ? put(made[word], rest, value) : value
  if (next === undefined) list ? made.splice(Number(word), 1) : delete made[word]
  else if (list) made[Number(word)] = next
  else Object.defineProperty(made, word, { value: next, enumerable: true, writable: true, configurable: true })
  return made
}
