// The drawing: one element a node, one group an edge, kept by path and changed only where what they show changed.
import { draw, icon, make } from "./dom.js"
import { Glyphs, place } from "./glyphs.js"
import { groupOf, iconOf, STATES } from "./looks.js"
import { bounds } from "./model/geometry.js"
import { HANDLER } from "./model/places.js"
import { route } from "./routes.js"

const MARGIN = 400
export const MANY = 60 // nodes; of more than that, those far outside the window are not painted
const AROUND = 160 // pixels of the window that count as near
const LONGEST = 60 // characters of a name that can be seen

export class Scene {
  constructor() {
    this.frames = make("div", { class: "fc-layer" })
    this.edges = draw("svg", { class: "fc-edges", "aria-hidden": "true" })
    this.nodes = make("div", { class: "fc-layer" })
    this.glyphs = new Glyphs()
    this.wire = draw("path", { class: "fc-wire" })
    this.top = draw("svg", { class: "fc-edges fc-top", "aria-hidden": "true" }, this.wire)
    this.between = make("button", { type: "button", class: "fc-between", tabindex: "-1", "aria-label": "Insert a step here", title: "Insert a step here", hidden: true }, icon("plus"))
    this.scaled = make("div", { class: "fc-scaled" }, this.frames, this.edges, this.nodes, this.glyphs.element, this.top, this.between)
    // One sheet beneath everything: without it the browser takes distant nodes for layers of their own, and each frame costs ten times as much.
    // It is not in what is scaled: there the browser would draw everything at full size and shrink it in each frame.
    this.sheet = make("div", { class: "fc-sheet" })
    this.view = make("div", { class: "fc-view" }, this.sheet, this.scaled)
    this.zoom = 1
    this.shownNodes = new Map()
    this.shownEdges = new Map()
    this.places = new Map()
  }

  /** Draws the model; `nodes` are its nodes or, in a drag, where they would be. */
  render(model, { nodes = model.nodes, selected, chosenEdges, statuses, current, readonly }) {
    this.places = nodes
    for (const [path, shown] of this.shownNodes) if (!nodes.has(path)) this.#forget(path, shown)
    for (const node of nodes.values()) this.#node(model, node, { selected: selected.has(node.path), state: statuses[node.path], current: current === node.path, readonly })
    this.#order(nodes)
    this.#spread()
    const edges = model.edges
    const known = new Set(edges.map((edge) => edge.id))
    for (const [id, shown] of this.shownEdges) if (!known.has(id)) shown.group.remove(), this.shownEdges.delete(id)
    const solid = [...nodes.values()]
    for (const edge of edges) this.#edge(edge, nodes, solid, chosenEdges.has(edge.id), selected.has(edge.from) || selected.has(edge.to), statuses)
    this.kept = current
    this.culled = null
  }

  /** Of a large flow, only what is near the window is painted; the node with the focus always is. */
  cull({ x, y, w, h }, zoom) {
    const near = AROUND / zoom
    const moved = this.culled && Math.max(Math.abs(x - this.culled.x), Math.abs(y - this.culled.y), Math.abs(x + w - this.culled.right), Math.abs(y + h - this.culled.bottom))
    if (this.culled && moved < near / 2) return
    this.culled = { x, y, right: x + w, bottom: y + h }
    const all = this.places.size <= MANY
    const sees = (left, top, right, bottom) => all || (right > x - near && left < x + w + near && bottom > y - near && top < y + h + near)
    for (const [path, shown] of this.shownNodes) {
      const node = this.places.get(path)
      const away = path !== this.kept && !sees(node.x, node.y, node.x + node.w, node.y + node.h)
      if (shown.away !== away) this.#away(shown, away)
    }
    for (const shown of this.shownEdges.values()) {
      const away = !sees(...shown.box)
      if (shown.away !== away) shown.group.toggleAttribute("data-away", (shown.away = away))
    }
  }

  #away(shown, away) {
    shown.away = away
    shown.element.classList.toggle("is-away", away)
    shown.glyph?.toggleAttribute("data-away", away)
  }

  element(path) {
    return this.shownNodes.get(path)?.element
  }
  face(path) {
    return this.shownNodes.get(path)?.face
  }

  #forget(path, shown) {
    shown.element.remove()
    shown.glyph?.remove()
    this.shownNodes.delete(path)
  }
  #node(model, node, { selected, state, current, readonly }) {
    const face = node.start ? { title: model.title(node.path), line: "", badges: [] } : model.face(node.path)
    const kind = model.kind(node.kind)
    const types = model.facts[node.path]?.types ?? {}
    const strange = node.ports.filter((port) => !model.isPortKnown(node.path, port.name)).map((port) => port.name)
    const text = node.kind === "note" ? String(node.step.with?.text ?? "") : ""
    const looks = JSON.stringify([node.kind, node.frame, node.head, face, text, node.ports, types, strange, state, readonly, kind?.label, kind?.icon, kind?.group])
    let shown = this.shownNodes.get(node.path)
    if (!shown || shown.frame !== node.frame) {
      if (shown) this.#forget(node.path, shown)
      shown = { frame: node.frame, element: make("div", { class: "fc-node nopan", "data-testid": "node", "data-path": node.path }) }
      this.shownNodes.set(node.path, shown)
      ;(node.frame ? this.frames : this.nodes).append(shown.element)
    }
    if (shown.looks !== looks) {
      shown.looks = looks
      const focused = shown.face && document.activeElement === shown.face
      this.#fill(shown, node, { face, kind, types, strange, state, text, readonly })
      if (focused) shown.face.focus({ preventScroll: true })
    }
    const { style, classList } = shown.element
    if (shown.glyph && (shown.x !== node.x || shown.y !== node.y || shown.head !== node.head)) place(shown.glyph, node)
    shown.head = node.head
    if (shown.x !== node.x) style.left = `${(shown.x = node.x)}px`
    if (shown.y !== node.y) style.top = `${(shown.y = node.y)}px`
    if (shown.w !== node.w) style.width = `${(shown.w = node.w)}px`
    if (shown.h !== node.h) style.height = `${(shown.h = node.h)}px`
    if (shown.selected !== selected) {
      classList.toggle("is-selected", (shown.selected = selected))
      shown.face.setAttribute("aria-pressed", String(selected))
    }
    const tab = current ? "0" : "-1"
    if (shown.face.getAttribute("tabindex") !== tab) shown.face.setAttribute("tabindex", tab)
  }

  #fill(shown, node, { face, kind, types, strange, state, text, readonly }) {
    const { element } = shown
    const unknown = !node.start && !kind
    element.className = `fc-node nopan${node.frame ? " is-frame" : ""}${node.start ? " is-start" : ""}${node.kind === "note" ? " is-note" : ""}${node.kind === HANDLER ? " is-handler" : ""}${unknown ? " is-unknown" : ""}${node.scope ? " is-inside" : ""}${shown.selected ? " is-selected" : ""}${shown.away ? " is-away" : ""}`
    element.dataset.kind = node.kind
    element.dataset.group = groupOf(kind)
    if (state) element.dataset.state = state
    else delete element.dataset.state
    const said = [node.start ? "" : (kind?.label ?? node.kind), ...face.badges.map((badge) => badge.words), state && STATES[state]]
    const unseen = said.filter((word) => word && word !== face.line)
    shown.face = make(
      "button",
      { type: "button", class: "fc-face", tabindex: "-1", "aria-pressed": String(Boolean(shown.selected)) },
      node.kind === "note" ? make("span", { class: "fc-text" }, text || "Empty note") : wordsOf(face, state),
      unseen.length ? make("span", { class: "fc-unseen" }, unseen.join(", ")) : null,
    )
    shown.glyph?.remove()
    shown.glyph = node.kind === "note" ? null : this.glyphs.add(iconOf(node.kind, kind), groupOf(kind), node.start)
    if (shown.glyph) place(shown.glyph, node), shown.glyph.toggleAttribute("data-away", Boolean(shown.away)), shown.glyph.classList.toggle("is-idle", state === "skipped")
    shown.face.style.height = node.frame ? `${node.head}px` : ""
    const takes = node.start || ["note", HANDLER].includes(node.kind) ? null : make("span", { class: "fc-in", "aria-hidden": "true" })
    if (takes) takes.style.top = `${node.frame ? 32 : node.head / 2}px`
    const many = node.ports.filter((port) => !port.error).length > 1
    const ports = node.ports.map((port) => portOf(port, { title: face.title, type: types[port.name], strange: strange.includes(port.name), named: many || port.error || port.name !== "done", readonly }))
    element.replaceChildren(shown.face, ...(takes ? [takes] : []), ...ports)
  }

  /** Everything is drawn at this zoom. */
  scale(zoom) {
    this.zoom = zoom
    this.scaled.style.zoom = zoom
    this.#spread()
  }
  #spread() {
    if (!this.places.size) return
    const box = bounds([...this.places.values()])
    const sides = { left: box.left - MARGIN, top: box.top - MARGIN, width: box.right - box.left + 2 * MARGIN, height: box.bottom - box.top + 2 * MARGIN }
    for (const [side, value] of Object.entries(sides)) this.sheet.style[side] = `${Math.round(value * this.zoom)}px`
  }

  /** Elements stand in the order of the document, so that reading aloud follows it. */
  #order(nodes) {
    for (const layer of [this.frames, this.nodes]) {
      const wanted = [...nodes.values()].map((node) => this.shownNodes.get(node.path).element).filter((element) => element.parentNode === layer)
      wanted.forEach((element, at) => {
        if (layer.children[at] !== element && !element.contains(document.activeElement)) layer.insertBefore(element, layer.children[at] ?? null)
      })
    }
  }

  #edge(edge, nodes, solid, chosen, near, statuses) {
    const from = nodes.get(edge.from)
    const to = nodes.get(edge.to)
    const port = from.ports.find((each) => each.name === edge.port)
    if (!port) return
    let shown = this.shownEdges.get(edge.id)
    if (!shown) {
      shown = { hit: draw("path", { class: "fc-hit" }), line: draw("path", { class: "fc-line-path" }), arrow: draw("path", { class: "fc-arrow" }) }
      shown.group = draw("g", { class: "fc-edge", "data-edge": edge.id }, shown.hit, shown.line, shown.arrow)
      this.shownEdges.set(edge.id, shown)
      this.edges.append(shown.group)
    }
    const others = solid.filter((node) => node !== from && node !== to && node.scope === edge.scope)
    const { path, arrow, middle } = route(from, port, to, others)
    shown.middle = middle
    shown.box = [Math.min(from.x, to.x), Math.min(from.y, to.y), Math.max(from.x + from.w, to.x + to.w), Math.max(from.y + from.h, to.y + to.h)]
    if (shown.path !== path) {
      shown.path = path
      for (const part of [shown.hit, shown.line]) part.setAttribute("d", path)
      shown.arrow.setAttribute("d", arrow)
    }
    const idle = statuses[edge.to] === "skipped"
    const looks = `fc-edge${port.error ? " is-error" : ""}${chosen ? " is-selected" : ""}${near ? " is-near" : ""}${idle ? " is-idle" : ""}`
    if (shown.looks !== looks) shown.group.setAttribute("class", (shown.looks = looks))
  }
}

function wordsOf(face, state) {
  return make(
    "span",
    { class: "fc-words" },
    make("span", { class: "fc-name" }, make("span", { class: `fc-title${long(face.title, 20)}` }, face.title.length > LONGEST ? `${face.title.slice(0, LONGEST)}…` : face.title), state ? icon(state, "fc-state") : null),
    face.line ? make("span", { class: `fc-line${long(face.line, 24)}` }, face.line) : null,
    face.badges.length ? make("span", { class: "fc-badges", "aria-hidden": "true" }, face.badges.map(badge)) : null,
  )
}

/** Only what may be too wide is cut off, for each clip costs time in every frame. */
const long = (text, most) => (String(text).length > most ? " is-long" : "")

const badge = ({ icon: glyph, text, words, tone }) =>
  make("span", { class: `fc-badge${tone ? ` is-${tone}` : ""}`, title: words, "data-badge": glyph ?? "limit" }, glyph ? icon(glyph) : null, text ?? null)

function portOf(port, { title, type, strange, named, readonly }) {
  const about = `${port.name}${type ? `: ${type}` : ""}${strange ? " (this step has no such port)" : ""}`
  const element = make(
    readonly ? "span" : "button",
    { ...(readonly ? {} : { type: "button", tabindex: "-1", "aria-label": `Add a step after ${title}, port ${port.name}` }), class: `fc-port${port.error ? " is-error" : ""}${strange ? " is-strange" : ""}`, "data-port": port.name, title: about },
    make("span", { class: "fc-dot" }),
    named ? make("span", { class: "fc-port-name", "aria-hidden": "true" }, port.name) : null,
  )
  element.style.left = `${port.x}px`
  element.style.top = `${port.y}px`
  return element
}
