// Where everything stands. The document's `layout` has a place a step, `key` or `container.key`, and `start`; within a container it counts
// from the upper left corner of the frame's inside. What has no place there gets one from the layered layout, so a document without
// places is drawn as the automatic layout would have it, and stays as it is.
import { edgesRead } from "./edges.js"
import { layered } from "./layered.js"
import { bodyOf, edgesOf, HANDLER, handlerOf, pathOf, stepsOf } from "./places.js"

export const NODE = { w: 208, h: 64 }
export const START = { w: 96, h: 40 }
export const PAD = 28 // inside a frame
export const EMPTY = { w: 300, h: 92 } // the inside of a frame that has nothing but its start
const PORT = 24 // height that a port takes
const ERROR_X = 104
const APART = 64 // between the flow and its error handler

/**
 * Every node of the document by path, containers before their contents:
 * {path, key, scope, step, kind, x, y, w, h, head, depth, frame, start, ports: [{name, x, y, error}]}; x and y count from the flow's origin,
 * a port's from its node's corner. `portsOf(step, path)` names the ports.
 */
export function arrange(doc, portsOf) {
  const nodes = new Map()
  spread(measure(doc, doc, "", portsOf), 0, 0, 0, nodes)
  return nodes
}

function spread(boxes, left, top, depth, nodes) {
  for (const { inner, rx, ry, ...box } of boxes) {
    const node = { ...box, x: left + rx, y: top + ry, depth }
    nodes.set(node.path, node)
    if (inner) spread(inner, node.x + PAD, node.y + node.head + PAD, depth + 1, nodes)
  }
}

/** The boxes of one scope with places that count from its corner. */
function measure(doc, part, scope, portsOf) {
  const boxes = [startBox(scope)]
  for (const [key, step] of Object.entries(stepsOf(part))) boxes.push(stepBox(doc, step, key, scope, portsOf))
  place(doc, part, boxes)
  if (!scope && handlerOf(doc)) boxes.push(handlerBox(doc, boxes, portsOf))
  if (scope) {
    const left = Math.min(...boxes.map((box) => box.rx))
    const top = Math.min(...boxes.map((box) => box.ry))
    for (const box of boxes) {
      box.rx -= Math.min(left, 0)
      box.ry -= Math.min(top, 0)
    }
  }
  return boxes
}

const startBox = (scope) => ({
  ...{ path: pathOf(scope, "start"), key: "start", scope, step: null, kind: "start", ...START, head: START.h, frame: false, start: true },
  ports: [{ name: "done", x: START.w, y: START.h / 2, error: false }],
})

/** The frame of the error handler: below everything, unless it was given a place. */
function handlerBox(doc, others, portsOf) {
  const box = { path: HANDLER, key: HANDLER, scope: "", step: null, kind: HANDLER, head: NODE.h, start: false, ports: [] }
  Object.assign(box, framed(doc, handlerOf(doc), HANDLER, NODE.h, portsOf))
  const { left, bottom } = bounds(others.map(({ rx, ry, w, h }) => ({ x: rx, y: ry, w, h })))
  ;[box.rx, box.ry] = given(doc, HANDLER) ?? [left, bottom + APART]
  return box
}

/** What makes a box a frame around the steps of a part. */
function framed(doc, part, path, head, portsOf) {
  const inner = measure(doc, part, path, portsOf)
  const wide = Math.max(EMPTY.w, ...inner.map((each) => each.rx + each.w))
  const tall = Math.max(inner.length > 1 ? 0 : EMPTY.h, ...inner.map((each) => each.ry + each.h))
  return { inner, frame: true, w: wide + 2 * PAD, h: head + tall + 2 * PAD }
}

function stepBox(doc, step, key, scope, portsOf) {
  const path = pathOf(scope, key)
  const kind = typeof step?.kind === "string" ? step.kind : ""
  const names = portsOf(step, path)
  const right = names.filter((name) => name !== "error")
  const head = kind === "note" ? noteHeight(step) : Math.max(NODE.h, 16 + right.length * PORT)
  const box = { path, key, scope, step, kind, w: NODE.w, h: head, head, frame: false, start: false }
  if (bodyOf(step)) Object.assign(box, framed(doc, bodyOf(step), path, head, portsOf))
  box.ports = right.map((name, at) => ({ name, x: box.w, y: 8 + ((head - 16) / right.length) * (at + 0.5), error: false }))
  if (names.includes("error")) box.ports.push({ name: "error", x: box.frame ? PAD + 12 : ERROR_X, y: box.h, error: true })
  return box
}

function noteHeight(step) {
  const text = typeof step?.with?.text === "string" ? step.with.text : ""
  const lines = text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / 30)), 0)
  return Math.min(24 + 20 * Math.max(lines, 1), 224)
}

const isPlace = (value) => Array.isArray(value) && value.length === 2 && value.every(Number.isFinite)
const given = (doc, path) => (doc.layout && Object.hasOwn(doc.layout, path) && isPlace(doc.layout[path]) ? doc.layout[path] : null)

function place(doc, part, boxes) {
  const known = boxes.filter((box) => given(doc, box.path))
  for (const box of known) [box.rx, box.ry] = given(doc, box.path)
  const missing = boxes.filter((box) => !known.includes(box))
  if (!missing.length) return
  const edges = edgesRead(edgesOf(part))
  if (known.length && missing.length === 1 && missing[0].start) {
    const first = known.find((box) => edges.some((edge) => edge.from === "start" && edge.to === box.key)) ?? known[0]
    missing[0].rx = Math.min(...known.map((box) => box.rx)) - START.w - 88
    missing[0].ry = first.ry + (first.head - START.h) / 2
    return
  }
  const auto = layoutOf(boxes, edges)
  const anchor = known.find((box) => auto.has(box.key))
  const dx = anchor ? anchor.rx - auto.get(anchor.key).x : 0
  const dy = anchor ? anchor.ry - auto.get(anchor.key).y : 0
  const standing = [...known]
  for (const box of missing) {
    box.rx = auto.get(box.key).x + dx
    box.ry = auto.get(box.key).y + dy
    if (known.length) box.ry = freeBelow(standing, box, box.rx, box.ry)
    standing.push(box)
  }
}

/** Places by key from the layered layout. */
export function layoutOf(boxes, edges) {
  const byKey = new Map(boxes.map((box) => [box.key, box]))
  const links = edges.flatMap((edge) => {
    const from = byKey.get(edge.from)
    if (!from || !byKey.has(edge.to)) return []
    const port = from.ports.find((each) => each.name === edge.port)
    return [{ from: edge.from, to: edge.to, at: port ? port.y + (port.error ? 48 : 0) : from.h / 2 }]
  })
  return layered(boxes.map((box) => ({ id: box.key, w: box.w, h: box.h, middle: box.head / 2 })), links)
}

/** The first height from `y` downwards at which `box` touches none of the others. */
export function freeBelow(others, box, x, y, gap = 24) {
  for (let tries = 0; tries <= others.length; tries++) {
    const hit = others.find(
      (other) => other !== box && x < other.rx + other.w + gap && other.rx < x + box.w + gap && y < other.ry + other.h + gap && other.ry < y + box.h + gap,
    )
    if (!hit) return y
    y = hit.ry + hit.h + gap
  }
  return y
}

/** Where the nodes of a scope stand within it: [{…node, rx, ry}]. */
export function local(nodes, scope) {
  const frame = scope ? nodes.get(scope) : null
  const left = frame ? frame.x + PAD : 0
  const top = frame ? frame.y + frame.head + PAD : 0
  return [...nodes.values()].filter((node) => node.scope === scope).map((node) => ({ ...node, rx: node.x - left, ry: node.y - top }))
}

/** The document with a place for every node of the scope, as they stand now. */
export function settled(doc, nodes, scope) {
  const layout = { ...doc.layout }
  for (const node of local(nodes, scope)) if (!given(doc, node.path) || scope) layout[node.path] = [node.rx, node.ry]
  return { ...doc, layout }
}

/** The box around nodes; null around none. */
export function bounds(nodes) {
  let found = null
  for (const { x, y, w, h } of nodes) {
    found ??= { left: x, top: y, right: x + w, bottom: y + h }
    found.left = Math.min(found.left, x)
    found.top = Math.min(found.top, y)
    found.right = Math.max(found.right, x + w)
    found.bottom = Math.max(found.bottom, y + h)
  }
  return found
}
