// A flow that is being edited: the document, its history, and every verb of the canvas and the outline. It touches no screen, so the tests
// drive it without one. Verbs give what they made ("" or null if nothing changed) and tell `onchange({doc, why})` once.
import { MAX_TEXT, piece, readPiece, withPiece } from "./model/clip.js"
import { edgesRead } from "./model/edges.js"
import * as edits from "./model/edits.js"
import { faceOf } from "./model/face.js"
import { arrange, freeBelow, layoutOf, local, NODE, settled } from "./model/geometry.js"
import { History } from "./model/history.js"
import { bodyOf, edgesOf, firstKey, freeKey, HANDLER, handlerOf, keyOf, nodeOf, partAt, pathOf, scopeOf, stepAt, stepsOf, walk, within, withPart } from "./model/places.js"
import { portsOf } from "./model/ports.js"

const EMPTY = { orchestrator: 1, name: "", steps: {}, edges: [] }
const APART = 88
const GRID = 8
const FAILING = { label: "Error handler", group: "", icon: "warning" } // stands for the kind of the handler's frame, which is no step
const NAMED = { label: "When a run fails" }

export class FlowModel {
  #history = new History(EMPTY)
  #kinds = new Map()
  #facts = {}
  #problems = []
  #seen = {}

  constructor({ now = () => performance.now(), onchange = () => {} } = {}) {
    this.now = now
    this.onchange = onchange
  }

  // --- what is there

  get doc() {
    return this.#history.doc
  }

  /** Another document; its history begins here. Throws TypeError for what is no object. */
  load(doc) {
    if (doc === null || typeof doc !== "object" || Array.isArray(doc)) throw new TypeError("A flow document is an object.")
    this.#history = new History(doc)
  }

  set catalogue(catalogue) {
    this.#kinds = new Map((catalogue?.kinds ?? []).map((kind) => [kind.slug, kind]))
    this.#seen = {}
  }
  get kinds() {
    return [...this.#kinds.values()]
  }
  set facts(facts) {
    this.#facts = facts ?? {}
    this.#seen = {}
  }
  get facts() {
    return this.#facts
  }
  set problems(problems) {
    this.#problems = Array.isArray(problems) ? problems : []
  }
  get problems() {
    return this.#problems
  }

  /** A kind by its slug, or what stands for it in the frame of the error handler. */
  kind(slug) {
    return slug === HANDLER ? FAILING : this.#kinds.get(slug)
  }
  kindAt(path) {
    return this.kind(path === HANDLER ? HANDLER : this.step(path)?.kind)
  }
  step(path) {
    return stepAt(this.doc, path)
  }
  /** What a frame holds: the body of a container, or the error handler; null where nothing can be inside. */
  inside(path) {
    return path === HANDLER ? handlerOf(this.doc) : bodyOf(this.step(path))
  }
  /** Whether a step, or the error handler, is there to be taken away. */
  holds(path) {
    return path === HANDLER ? this.inside(path) !== null : this.step(path) !== undefined
  }
  has(path) {
    return keyOf(path) === "start" ? partAt(this.doc, scopeOf(path)) !== null : this.holds(path)
  }

  /** Names of the ports, those that only edges know of included (they may be mistakes, and are shown as such). */
  ports(path) {
    if (keyOf(path) === "start") return ["done"]
    return path === HANDLER ? [] : this.#ports(this.step(path), path)
  }
  #ports(step, path) {
    const known = portsOf(step, this.#kinds.get(step?.kind), this.#facts[path])
    const used = this.#leaving(scopeOf(path)).get(keyOf(path)) ?? []
    const strange = used.filter((port) => !known.includes(port))
    return strange.length ? [...known.filter((port) => port !== "error"), ...strange, ...known.filter((port) => port === "error")] : known
  }
  #leaving(scope) {
    if (this.#seen.doc !== this.doc) this.#seen = { doc: this.doc, scopes: new Map() }
    let found = this.#seen.scopes.get(scope)
    if (!found) {
      found = new Map()
      for (const edge of edgesRead(edgesOf(partAt(this.doc, scope)))) {
        const ports = found.get(edge.from) ?? []
        if (!ports.includes(edge.port)) ports.push(edge.port)
        found.set(edge.from, ports)
      }
      this.#seen.scopes.set(scope, found)
    }
    return found
  }
  isPortKnown(path, port) {
    return keyOf(path) === "start" || portsOf(this.step(path), this.#kinds.get(this.step(path)?.kind), this.#facts[path]).includes(port)
  }

  /** Nodes by path with their places; made once a document. */
  get nodes() {
    this.#leaving("")
    this.#seen.nodes ??= arrange(this.doc, (step, path) => this.#ports(step, path))
    return this.#seen.nodes
  }

  /** Every edge: {id, scope, from, port, to} with paths; one that is there twice or leads nowhere is left out. */
  get edges() {
    this.#leaving("")
    if (this.#seen.edges) return this.#seen.edges
    const found = new Map()
    const frames = [...walk(this.doc)].filter(({ step }) => bodyOf(step)).map(({ path }) => path)
    for (const scope of ["", ...frames, ...(handlerOf(this.doc) ? [HANDLER] : [])]) {
      for (const edge of edgesRead(edgesOf(partAt(this.doc, scope)))) {
        const made = { id: edits.edgeId(scope, edge.text), scope, from: pathOf(scope, edge.from), port: edge.port, to: pathOf(scope, edge.to) }
        if (this.nodes.has(made.from) && this.nodes.has(made.to)) found.set(made.id, made)
      }
    }
    return (this.#seen.edges = [...found.values()])
  }

  targets(path, port) {
    return this.edges.filter((edge) => edge.from === path && (port === undefined || edge.port === port))
  }
  problemsOf(path) {
    return this.#problems.filter((problem) => nodeOf(this.doc, problem.path ?? "") === path)
  }
  face(path) {
    const step = path === HANDLER ? NAMED : this.step(path)
    return faceOf(keyOf(path), step, this.kindAt(path), this.#facts[path], this.problemsOf(path))
  }
  /** Name of a node for people. */
  title(path) {
    if (keyOf(path) !== "start") return this.face(path).title
    if (scopeOf(path) === HANDLER) return "Run fails"
    return { map: "Each item", loop: "Each round" }[this.step(scopeOf(path))?.kind] ?? "Start"
  }
  find(text) {
    const words = text.trim().toLowerCase()
    if (!words) return []
    return [...walk(this.doc)].map(({ path }) => path).filter((path) => {
      const face = this.face(path)
      return [keyOf(path), face.title, face.line, this.step(path)?.kind].some((each) => String(each).toLowerCase().includes(words))
    })
  }
  refusal(from, port, to) {
    return edits.refusal(this.doc, from, port, to)
  }

  // --- verbs

  #commit(doc, why, merge) {
    if (doc === this.doc) return false
    this.#history.push(doc, why, merge)
    this.onchange({ doc, why })
    return true
  }
  get canUndo() {
    return this.#history.past.length > 0
  }
  get canRedo() {
    return this.#history.future.length > 0
  }
  undo() {
    const why = this.#history.undo()
    if (why) this.onchange({ doc: this.doc, why: `Undo: ${why}` })
    return why
  }
  redo() {
    const why = this.#history.redo()
    if (why) this.onchange({ doc: this.doc, why: `Redo: ${why}` })
    return why
  }
  replace(doc, why = "Edit the text") {
    if (doc === null || typeof doc !== "object" || Array.isArray(doc)) throw new TypeError("A flow document is an object.")
    return this.#commit(doc, why)
  }
  set(path, pointer, value) {
    const tag = JSON.stringify([path, pointer])
    return this.#commit(edits.assign(this.doc, path, pointer, value), path ? `Edit ${this.title(path)}` : "Edit the flow", { tag, at: this.now() })
  }

  /**
   * A new step of a kind; gives its path. `at` {x, y}: its middle, on the flow's ground or in the frame there. `after` {path, port}: wired
   * behind that port; with `between` (an edge's id) on that edge; otherwise free, or first in an empty flow. `settings` are some of its own.
   */
  add(slug, { at, scope, after, between, settings } = {}) {
    const kind = this.#kinds.get(slug)
    const edge = between && this.edges.find((each) => each.id === between)
    const source = edge ? { path: edge.from, port: edge.port } : after
    const where = source ? scopeOf(source.path) : (scope ?? (at ? this.scopeAt(at) : ""))
    const key = freeKey(this.doc, firstKey(slug, kind))
    const path = pathOf(where, key)
    const step = this.#fresh(slug, kind, settings)
    const box = { w: step.with?.body ? 356 : NODE.w, h: step.with?.body ? 212 : NODE.h }
    const ground = where === HANDLER && !handlerOf(this.doc) ? { ...this.doc, on_error: { steps: {}, edges: [] } } : this.doc
    const nodes = this.nodesOf(ground)
    let doc = settled(ground, nodes, where)
    const places = local(nodes, where)
    const behind = edge ? following(this.edges, edge.to) : new Set()
    const place = at ? this.#at(at, where, box) : source ? beside(places, source, box, behind) : fresh(places, box)
    if (edge) doc = { ...doc, layout: { ...doc.layout, ...room(places, behind, edge, place, box) } }
    doc = edits.insert(doc, where, key, step, place)
    if (edge) doc = edits.disconnect(doc, [edge.id])
    const from = source ?? (!edgesOf(partAt(doc, where)).length && slug !== "note" ? { path: pathOf(where, "start"), port: "done" } : null)
    if (from && slug !== "note") doc = edits.connect(doc, from.path, from.port, path)
    if (edge) {
      const port = portsOf(step, kind)[0] ?? "done"
      doc = edits.connect(doc, path, port, edge.to)
    }
    this.#commit(doc, `Add ${kind?.label ?? slug}`)
    return path
  }
  /** A new step of a kind behind the last one of the error handler, which is made if there is none; gives its path. */
  addHandling(slug, settings) {
    const leading = new Set(this.edges.filter((edge) => edge.scope === HANDLER).map((edge) => edge.from))
    const last = [...this.nodes.values()].filter((node) => node.scope === HANDLER && !node.start && node.kind !== "note" && !leading.has(node.path)).at(-1)
    return this.add(slug, last ? { after: { path: last.path, port: last.ports[0]?.name ?? "done" }, settings } : { scope: HANDLER, settings })
  }
  #fresh(slug, kind, settings) {
    const defaults = { ...structuredClone(kind?.defaults ?? {}), ...settings }
    if (kind?.container) defaults.body ??= { steps: {}, edges: [], output: null }
    return Object.keys(defaults).length ? { kind: slug, with: defaults } : { kind: slug }
  }
  #at({ x, y }, scope, box) {
    const start = local(this.nodes, scope).find((node) => node.start)
    const left = x - (start.x - start.rx) - box.w / 2
    const top = y - (start.y - start.ry) - box.h / 2
    return [snap(scope ? Math.max(left, 0) : left), snap(scope ? Math.max(top, 0) : top)]
  }
  /** The innermost frame whose inside is there, or "". */
  scopeAt({ x, y }) {
    let found = ""
    for (const node of this.nodes.values()) if (node.frame && x > node.x && x < node.x + node.w && y > node.y + node.head && y < node.y + node.h) found = node.path
    return found
  }

  /** Joins two nodes; gives the reason if that is refused, else "". */
  connect(from, port, to) {
    const reason = this.refusal(from, port, to)
    if (!reason) this.#commit(edits.connect(this.doc, from, port, to), `Connect ${this.title(from)} to ${this.title(to)}`)
    return reason
  }
  disconnect(ids) {
    return this.#commit(edits.disconnect(this.doc, ids), ids.length === 1 ? "Remove a connection" : `Remove ${ids.length} connections`)
  }
  /** Removes steps, and edges by id, as one act. */
  remove(paths, ids = []) {
    const steps = paths.filter((path) => this.holds(path))
    if (!steps.length && !ids.length) return false
    const doc = edits.remove(edits.disconnect(this.doc, ids), steps)
    const what = steps.length === 1 ? this.title(steps[0]) : steps.length ? `${steps.length} steps` : "a connection"
    return this.#commit(doc, `Delete ${what}`)
  }
  rename(path, key) {
    const fault = edits.renameFault(this.doc, path, key)
    if (!fault && key !== keyOf(path)) this.#commit(edits.rename(this.doc, path, key), `Rename ${keyOf(path)} to ${key}`)
    return fault
  }
  /** Moves nodes by so many pixels; `tag` makes quick keyboard moves one step. */
  move(paths, dx, dy, { tag = "" } = {}) {
    const doc = this.moved(paths, dx, dy)
    return this.#commit(doc, paths.length === 1 ? `Move ${this.title(paths[0])}` : `Move ${paths.length} nodes`, { tag: tag && `${tag} ${paths.join()}`, at: this.now() })
  }
  /** The document as it would be with these nodes moved: for drawing a drag. */
  moved(paths, dx, dy) {
    const outer = paths.filter((path) => this.nodes.has(path) && !paths.some((other) => other !== path && within(path, other)))
    if (!outer.length || (!dx && !dy)) return this.doc
    let doc = this.doc
    for (const scope of new Set(outer.map(scopeOf))) doc = settled(doc, this.nodes, scope)
    const layout = { ...doc.layout }
    for (const path of outer) {
      const [x, y] = layout[path]
      const floor = scopeOf(path) ? 0 : -Infinity
      layout[path] = [Math.max(Math.round(x + dx), floor), Math.max(Math.round(y + dy), floor)]
    }
    return { ...doc, layout }
  }
  nodesOf(doc) {
    return doc === this.doc ? this.nodes : arrange(doc, (step, path) => this.#ports(step, path))
  }

  /** Gives every node a new place, or, of two or more `paths`, these. */
  layout(paths = []) {
    const scope = paths.length ? scopeOf(paths[0]) : ""
    const chosen = paths.filter((path) => scopeOf(path) === scope && this.nodes.has(path))
    if (chosen.length > 1) return this.#commit(this.#tidied(scope, new Set(chosen)), `Lay out ${chosen.length} nodes`)
    const nodes = this.nodesOf({ ...this.doc, layout: {} })
    let doc = { ...this.doc, layout: {} }
    for (const each of new Set([...nodes.values()].map((node) => node.scope))) doc = settled(doc, nodes, each)
    return this.#commit(doc, "Lay out the flow")
  }
  #tidied(scope, chosen) {
    const places = local(this.nodes, scope)
    const boxes = places.filter((node) => chosen.has(node.path))
    const others = places.filter((node) => !chosen.has(node.path))
    const auto = layoutOf(boxes, edgesRead(edgesOf(partAt(this.doc, scope))))
    const left = Math.min(...boxes.map((box) => box.rx))
    const high = Math.min(...boxes.map((box) => box.ry))
    const block = {
      w: Math.max(...boxes.map((box) => auto.get(box.key).x + box.w)),
      h: Math.max(...boxes.map((box) => auto.get(box.key).y + box.h)),
    }
    const top = freeBelow(others, block, left, high)
    const doc = settled(this.doc, this.nodes, scope)
    const layout = { ...doc.layout }
    for (const box of boxes) layout[box.path] = [left + auto.get(box.key).x, top + auto.get(box.key).y]
    return { ...doc, layout }
  }

  /** The chosen steps as a value for the clipboard, or null. */
  piece(paths) {
    return piece(this.doc, this.nodes, paths)
  }
  /** Puts a piece in; gives the new paths. Throws an Error that says what is wrong with it. `at` {x, y} is where its middle goes. */
  paste(value, { at, scope = "", why = "Paste" } = {}) {
    const read = readPiece(value)
    const places = local(this.nodes, scope)
    const start = places.find((node) => node.start)
    const corner = at ? [snap(at.x - (start.x - start.rx)), snap(at.y - (start.y - start.ry))] : fresh(places, NODE)
    if (scope) corner.forEach((each, index) => (corner[index] = Math.max(each, 0)))
    const settledDoc = settled(this.doc, this.nodes, scope)
    const { part, layout, paths } = withPiece(settledDoc, scope, read, corner)
    this.#commit({ ...withPart(settledDoc, scope, () => part), layout }, paths.length === 1 ? `${why} a step` : `${why} ${paths.length} steps`)
    return paths
  }
  duplicate(paths) {
    const value = this.piece(paths)
    if (!value) return []
    const scope = scopeOf(paths.find((path) => this.step(path)))
    const chosen = local(this.nodes, scope).filter((node) => Object.hasOwn(value.steps, node.key))
    const at = { x: Math.min(...chosen.map((node) => node.x)) + 32, y: Math.max(...chosen.map((node) => node.y + node.h)) + 24 }
    return this.paste(value, { at, scope, why: "Duplicate" })
  }
  /** Takes a step into a container, or with "" out to the flow; gives its new path. */
  moveInto(path, scope) {
    if (scope === scopeOf(path) || within(scope, path)) return path
    const { doc, path: next } = edits.moveInto(this.doc, path, scope)
    this.#commit(doc, scope ? `Move ${this.title(path)} into ${this.title(scope)}` : `Move ${this.title(path)} out`)
    return next
  }
}

export { HANDLER, MAX_TEXT, keyOf, nodeOf, pathOf, scopeOf, stepsOf, walk, within }

const snap = (number, grid = GRID) => Math.round(number / grid) * grid
const level = (height) => snap(height, GRID / 2) // ports stand so that an edge between neighbours can be level

/** The node at `path` and all that it leads to. */
function following(edges, path) {
  const found = new Set([path])
  for (const each of found) for (const edge of edges) if (edge.from === each) found.add(edge.to)
  return found
}

/** A place right of a node, at the height of its port, where nothing stands but what will make room. */
function beside(places, { path, port }, box, behind) {
  const from = places.find((node) => node.path === path)
  const out = from.ports.find((each) => each.name === port) ?? from.ports[0] ?? { y: from.head / 2 }
  const x = snap(from.rx + (out.error ? out.x + 48 : from.w + APART))
  const y = level(out.error ? from.ry + from.h + 48 : from.ry + out.y - NODE.h / 2)
  return [x, freeBelow(places.filter((node) => !behind.has(node.path)), box, x, y)]
}

function fresh(places, box) {
  const x = snap(Math.max(...places.filter((node) => node.path !== HANDLER).map((node) => node.rx + node.w)) + APART)
  return [x, freeBelow(places, box, x, level(places[0].ry + (places[0].h - NODE.h) / 2))]
}

/** Places for what stands behind an edge, moved right so that a node fits on it. */
function room(places, behind, edge, place, box) {
  const target = places.find((node) => node.path === edge.to)
  const missing = place[0] + box.w + APART - target.rx
  if (missing <= 0) return {}
  return Object.fromEntries(places.filter((node) => behind.has(node.path) && node.rx >= target.rx).map((node) => [node.path, [snap(node.rx + missing), node.ry]]))
}
