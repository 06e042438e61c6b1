// Pieces of flows as text: what the clipboard holds, and what may come in from it.
import { edgesRead, edgeText, parseEdge } from "./edges.js"
import { bounds, local } from "./geometry.js"
import { edgesOf, freeKey, KEY, MAX_KEY, partAt, pathOf, RESERVED, scopeOf, stepAt, stepsOf, within } from "./places.js"
import { renameInStep } from "./references.js"

export const MAX_TEXT = 1 << 20
const MAX_STEPS = 1000

/** The chosen steps (those of the first one's scope) with the edges between them and their places; null for none. */
export function piece(doc, nodes, paths) {
  const scope = scopeOf(paths.find((path) => stepAt(doc, path)) ?? "")
  const chosen = paths.filter((path) => stepAt(doc, path) && scopeOf(path) === scope)
  if (!chosen.length) return null
  const part = partAt(doc, scope)
  const keys = new Set(chosen.map((path) => path.slice(scope ? scope.length + 1 : 0)))
  const steps = Object.fromEntries(Object.entries(stepsOf(part)).filter(([key]) => keys.has(key)))
  const edges = edgesRead(edgesOf(part)).filter((edge) => keys.has(edge.from) && keys.has(edge.to))
  const layout = Object.fromEntries(local(nodes, scope).filter((node) => keys.has(node.key)).map((node) => [node.key, [node.rx, node.ry]]))
  for (const [place, at] of Object.entries(doc.layout ?? {})) {
    if (chosen.some((path) => place !== path && within(place, path))) layout[place.slice(scope ? scope.length + 1 : 0)] = at
  }
  return { orchestrator: 1, steps, edges: edges.map(edgeText), layout }
}

/** A piece from a value that somebody pasted. Throws an Error whose message says what is wrong with it. */
export function readPiece(value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error("This is not a piece of a flow: copy steps from a canvas, or a flow as YAML.")
  if (value.orchestrator !== undefined && value.orchestrator !== 1) throw new Error(`This was written for version ${shorten(String(value.orchestrator))} of flow documents; here it is 1.`)
  if (value.steps === null || typeof value.steps !== "object" || Array.isArray(value.steps)) throw new Error("This is not a piece of a flow: it has no `steps`.")
  const keys = Object.keys(value.steps)
  if (!keys.length) throw new Error("There are no steps in it.")
  checkSteps(value.steps, { left: MAX_STEPS }, 0)
  if (value.edges !== undefined && !Array.isArray(value.edges)) throw new Error("Its `edges` are no list.")
  const edges = (value.edges ?? []).filter((edge) => typeof edge === "string" && parseEdge(edge))
  const layout = value.layout !== null && typeof value.layout === "object" && !Array.isArray(value.layout) ? value.layout : {}
  return { steps: value.steps, edges, layout }
}

function checkSteps(steps, count, depth) {
  if (depth > 20) throw new Error("Its steps are nested too deeply.")
  for (const [key, step] of Object.entries(steps)) {
    if (--count.left < 0) throw new Error(`It has more than ${MAX_STEPS} steps.`)
    if (!KEY.test(key) || key.length > MAX_KEY || RESERVED.has(key)) throw new Error(`“${shorten(key)}” cannot be the key of a step: small letters, digits and underscores.`)
    if (step === null || typeof step !== "object" || typeof step.kind !== "string") throw new Error(`“${shorten(key)}” is no step: it has no kind.`)
    const inner = step.with?.body?.steps
    if (inner && typeof inner === "object") checkSteps(inner, count, depth + 1)
  }
}

const shorten = (text) => (text.length > 40 ? `${text.slice(0, 39)}…` : text)

/**
 * The document with the piece in `scope`, its upper left corner at `at` within the scope; clashing keys get others, in edges, places and
 * expressions of the piece, too. Edges from `start` come along only into a scope that has none.
 */
export function withPiece(doc, scope, piece, at) {
  const names = new Map()
  const taken = new Set(Object.keys(piece.steps))
  for (const key of Object.keys(piece.steps)) {
    const free = freeKey(doc, key, names.values())
    if (free !== key) names.set(key, freeKey(doc, key, [...names.values(), ...taken]))
  }
  const name = (key) => names.get(key) ?? key
  const here = partAt(doc, scope)
  const steps = { ...stepsOf(here) }
  for (const [key, step] of Object.entries(piece.steps)) steps[name(key)] = renameInStep(step, names)
  const begins = edgesOf(here).length === 0
  const edges = edgesRead(piece.edges)
    .filter((edge) => (Object.hasOwn(piece.steps, edge.from) || (begins && edge.from === "start")) && Object.hasOwn(piece.steps, edge.to))
    .map((edge) => edgeText({ ...edge, from: name(edge.from), to: name(edge.to) }))
  const layout = { ...doc.layout, ...moved(piece, at, (place) => pathOf(scope, [name(place.split(".")[0]), ...place.split(".").slice(1)].join("."))) }
  const part = { ...here, steps, edges: [...(here.edges ?? []), ...edges] }
  return { part, layout, paths: Object.keys(piece.steps).map((key) => pathOf(scope, name(key))) }
}

function moved(piece, at, path) {
  const places = Object.entries(piece.layout).filter(([place, xy]) => Object.hasOwn(piece.steps, place.split(".")[0]) && Array.isArray(xy) && xy.length === 2 && xy.every(Number.isFinite))
  const tops = places.filter(([place]) => !place.includes("."))
  if (!at || tops.length < Object.keys(piece.steps).length) return {}
  const box = bounds(tops.map(([, [x, y]]) => ({ x, y, w: 0, h: 0 })))
  return Object.fromEntries(places.map(([place, [x, y]]) => [path(place), place.includes(".") ? [x, y] : [at[0] + x - box.left, at[1] + y - box.top]]))
}
