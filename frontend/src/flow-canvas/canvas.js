// The element. It ties the model to the drawing, the pointer and the keyboard, and keeps what is only of the screen: selection, focus, view.
import { asText, asValue, ready } from "./clipboard.js"
import { make } from "./dom.js"
import { Gestures } from "./gestures.js"
import { onKey, onKeyUp } from "./keys.js"
import { handlerMenu, insertMenu, linkMenu, searchMenu } from "./menus.js"
import { Minimap } from "./minimap.js"
import { FlowModel, HANDLER, keyOf, nodeOf, scopeOf } from "./model.js"
import { bounds } from "./model/geometry.js"
import { Picker } from "./picker.js"
import { MANY, Scene } from "./scene.js"
import { toolbar } from "./toolbar.js"
import { Viewport } from "./viewport.js"

const SAID = 6000 // milliseconds that a note stays

export class FlowCanvas extends HTMLElement {
  static observedAttributes = ["readonly"]
  #selected = new Set()
  #edges = new Set()
  #statuses = {}
  #current = "start"
  #frame = 0
  #fitted = false
  #fresh = null // where the start stood when the view was fitted to it, until somebody touches the canvas
  #listening = null

  constructor() {
    super()
    this.model = new FlowModel({ onchange: (change) => this.#changed(change) })
  }

  connectedCallback() {
    if (!this.scene) this.#build()
    this.viewport = new Viewport(this.ground, this.scene, this.dots, { key: this.dataset.flow && `canvas:${this.dataset.flow}`, onchange: () => this.#seen() })
    if (this.lastView) this.viewport.zooming.setViewport(this.lastView)
    this.#listening = new AbortController()
    addEventListener("blur", () => this.viewport.hold(false), { signal: this.#listening.signal })
    for (const name of ["pointerdown", "wheel", "keydown"]) this.addEventListener(name, () => (this.#fresh = null), { signal: this.#listening.signal, passive: true, capture: true })
    this.sizes = new ResizeObserver(() => this.#sized())
    this.sizes.observe(this.ground)
    this.draw()
  }
  disconnectedCallback() {
    this.lastView = this.viewport.now
    this.gestures.cancel()
    this.picker.close(false)
    this.sizes.disconnect()
    this.#listening.abort()
    this.viewport.destroy()
    cancelAnimationFrame(this.#frame)
    this.#frame = 0
  }
  attributeChangedCallback() {
    this.tools?.render()
    this.draw()
  }

  #build() {
    const read = (script) => (script ? JSON.parse(script.textContent) : undefined)
    const catalogue = read(this.querySelector(":scope > script[id$='catalogue']"))
    const doc = read(this.querySelector(":scope > script[type='application/json']:not([id$='catalogue'])"))
    if (catalogue) this.model.catalogue = catalogue
    if (doc) this.model.load(doc)
    this.scene = new Scene()
    this.dots = make("div", { class: "fc-dots", "aria-hidden": "true" })
    this.ground = make("div", { class: "fc-ground", role: "group", "aria-label": this.getAttribute("aria-label") ?? "Steps of the flow" }, this.dots, this.scene.view)
    this.map = new Minimap(() => this.viewport)
    this.note = make("p", { class: "fc-say", role: "status", "aria-live": "polite", "data-testid": "canvas-note" })
    this.picker = new Picker(this)
    this.tools = toolbar(this)
    this.append(this.ground, this.tools.element, this.map.element, this.note, this.picker.element)
    this.gestures = new Gestures(this, this.ground, this.scene)
    this.ground.addEventListener("keydown", (event) => onKey(this, event))
    this.ground.addEventListener("keyup", (event) => onKeyUp(this, event))
    this.ground.addEventListener("focusin", (event) => this.#focused(event))
    for (const name of ["copy", "cut"]) this.addEventListener(name, (event) => this.#copied(event, name === "cut"))
    this.addEventListener("paste", (event) => this.#pasted(event))
  }

  // --- properties

  get value() {
    return this.model.doc
  }
  set value(doc) {
    this.model.load(doc)
    this.#known()
    this.tools?.render()
    this.draw()
  }
  get catalogue() {
    return { kinds: this.model.kinds }
  }
  set catalogue(catalogue) {
    this.model.catalogue = catalogue
    this.draw()
  }
  get statuses() {
    return this.#statuses
  }
  set statuses(statuses) {
    this.#statuses = { ...statuses }
    this.draw()
  }
  get problems() {
    return this.model.problems
  }
  set problems(problems) {
    this.model.problems = problems
    this.draw()
    this.#also()
  }
  get selection() {
    return [...this.#selected]
  }
  set selection(paths) {
    this.select(paths)
  }
  get readonly() {
    return this.hasAttribute("readonly")
  }
  set readonly(is) {
    this.toggleAttribute("readonly", Boolean(is))
  }
  get canUndo() {
    return this.model.canUndo
  }
  get canRedo() {
    return this.model.canRedo
  }
  /** The node that has, or would get, the focus. */
  get current() {
    return this.#current
  }

  setStatus(path, state) {
    this.#statuses = { ...this.#statuses, [nodeOf(this.model.doc, path) || path]: state }
    this.draw()
  }
  setFacts(facts) {
    this.model.facts = facts
    this.draw()
  }

  // --- acts

  undo() {
    const why = !this.readonly && this.model.undo()
    if (why) this.say(`Undone: ${why}`)
  }
  redo() {
    const why = !this.readonly && this.model.redo()
    if (why) this.say(`Done again: ${why}`)
  }
  layout() {
    if (!this.readonly && this.model.layout(this.selection.length > 1 ? this.selection : []) && this.selection.length < 2) this.fit()
  }
  fit() {
    this.viewport.fit(bounds([...this.model.nodes.values()]))
  }
  zoom(factor) {
    this.viewport.by(factor)
  }
  add(kind, point, settings) {
    if (this.readonly) return ""
    const at = point && this.viewport.at(point.x, point.y)
    const [only] = this.selection.length === 1 && !at ? this.selection : []
    if (only === HANDLER) return this.added(this.model.addHandling(kind, settings))
    if (!only || kind === "note" || !this.model.ports(only).length) return this.added(this.model.add(kind, { at, settings }))
    const ports = this.model.ports(only)
    const port = ports.find((name) => name !== "error" && !this.model.targets(only, name).length) ?? ports[0]
    const leads = this.model.targets(only, port)
    return this.added(this.model.add(kind, { ...(leads.length === 1 ? { between: leads[0].id } : { after: { path: only, port } }), settings }))
  }
  /** After a step was added: it is chosen, seen and focused. */
  added(path) {
    this.select([path])
    this.focusNode(path)
    return path
  }
  set(path, pointer, value) {
    if (!this.readonly) this.model.set(path, pointer, value)
  }
  replace(doc, why) {
    this.model.replace(doc, why)
  }
  rename(path, key) {
    const was = this.isSelected(path)
    const fault = this.readonly ? "This flow cannot be edited." : this.model.rename(path, key)
    if (!fault && was) this.select([scopeOf(path) ? `${scopeOf(path)}.${key}` : key])
    return fault
  }
  /** Without an argument it is what every element has: the canvas goes. */
  remove(paths) {
    if (paths === undefined) super.remove()
    else if (!this.readonly) this.model.remove(paths)
  }
  removeChosen() {
    const steps = this.selection.filter((path) => this.model.holds(path))
    const next = steps.length ? this.model.edges.find((edge) => edge.to === steps[0] && !steps.includes(edge.from))?.from : null
    if (!this.model.remove(steps, [...this.#edges])) return
    this.#edges.clear()
    this.select([])
    this.walk(next ?? (steps.length ? "start" : this.#current), false)
  }
  duplicate() {
    const paths = this.model.duplicate(this.selection)
    if (paths.length) this.select(paths)
  }
  search(text) {
    return this.model.find(text)
  }

  async copy() {
    const piece = this.model.piece(this.selection)
    if (!piece) return this.refuse("Choose the steps that you want to copy.")
    await ready()
    await navigator.clipboard.writeText(asText(piece))
    this.say(copied(piece))
  }
  async cut() {
    await this.copy()
    if (!this.readonly) this.removeChosen()
  }
  /** Puts pasted text in; gives the new paths, [] where it was refused. */
  async paste(text, at) {
    if (this.readonly) return []
    try {
      const value = await asValue(text)
      const { x, y, w, h } = this.viewport.seen
      const scope = this.selection.length === 1 && this.model.nodes.get(this.selection[0])?.frame ? this.selection[0] : ""
      const paths = this.model.paste(value, { scope, at: scope ? undefined : (at ?? this.#spot(x + w / 2 - 104, y + h / 2 - 32)) })
      this.select(paths)
      this.focusNode(paths[0])
      this.say(paths.length === 1 ? "Pasted a step." : `Pasted ${paths.length} steps.`)
      return paths
    } catch (error) {
      if (!(error instanceof Error)) throw error
      this.refuse(error.message)
      return []
    }
  }
  /** Near a point, where no node begins already. */
  #spot(x, y) {
    const taken = (left, top) => [...this.model.nodes.values()].some((node) => Math.abs(node.x - left) < 16 && Math.abs(node.y - top) < 16)
    while (taken(x, y)) [x, y] = [x + 32, y + 32]
    return { x, y }
  }

  // --- menus

  insertMenu(path = this.#source(), port, at, parallel = false) {
    if (this.readonly) return
    const [edgeId] = this.#edges
    if (edgeId && !port) return this.insertBetween(edgeId)
    const point = at && this.viewport.at(at.x, at.y)
    const free = path ? undefined : { point: point ?? this.#spot(this.viewport.seen.x + this.viewport.seen.w / 2, this.viewport.seen.y + this.viewport.seen.h / 2) }
    const anchor = at ?? this.#beside(path, port)
    this.#open(insertMenu(this.model, { path, port, parallel: parallel || Boolean(port), ...(point && { point }), ...free, at: anchor, returnTo: () => this.focusNode(path), onadded: (added) => this.added(added) }))
  }
  insertBetween(id) {
    const edge = this.model.edges.find((each) => each.id === id)
    const middle = this.scene.shownEdges.get(id)?.middle
    if (!edge || this.readonly) return
    this.gestures.offer(null)
    this.#open(insertMenu(this.model, { edge, path: edge.from, port: edge.port, at: this.#window(middle), returnTo: () => this.focusNode(edge.from), onadded: (added) => (this.#edges.clear(), this.added(added)) }))
  }
  /** The menu of steps for the error handler, behind the last that it has. */
  handlerMenu() {
    if (this.readonly) return
    const back = this.#current
    this.#open(handlerMenu(this.model, { at: this.#beside(HANDLER), returnTo: () => this.focusNode(back), onadded: (added) => this.added(added) }))
  }
  linkMenu(path = this.#source()) {
    if (this.readonly || !path || !this.model.ports(path).length) return
    this.#open(linkMenu(this.model, { path, at: this.#beside(path), returnTo: () => this.focusNode(path), onrefused: (reason) => this.refuse(reason) }))
  }
  openSearch() {
    const box = this.getBoundingClientRect()
    const back = this.#current
    const found = (path) => {
      this.select([path])
      this.focusNode(path)
    }
    this.#open(searchMenu(this.model, { at: { x: box.left + box.width / 2 - 150, y: box.top + 64 }, returnTo: () => this.focusNode(back), onfound: found }))
  }
  #open(menu) {
    this.picker.open(menu)
  }
  #source() {
    const [one] = this.selection
    const path = this.selection.length === 1 ? one : this.#current
    return this.model.has(path) && this.model.ports(path).length ? path : undefined
  }
  #beside(path, port) {
    const node = path && this.model.nodes.get(path)
    if (!node) return undefined
    const out = node.ports.find((each) => each.name === port)
    return this.#window({ x: node.x + (out ? out.x + 20 : node.w + 12), y: node.y + (out ? out.y - 12 : 0) })
  }
  #window({ x, y }) {
    const box = this.ground.getBoundingClientRect()
    const view = this.viewport.now
    return { x: box.left + x * view.zoom + view.x, y: box.top + y * view.zoom + view.y }
  }

  // --- selection and focus

  isSelected(path) {
    return this.#selected.has(path)
  }
  select(paths, { quiet = false } = {}) {
    const next = new Set(paths.map((path) => nodeOf(this.model.doc, path) || path).filter((path) => this.model.has(path)))
    const same = next.size === this.#selected.size && [...next].every((path) => this.#selected.has(path))
    const told = same && !this.unsaid
    this.unsaid = quiet && (!same || this.unsaid)
    this.#selected = next
    this.#edges.clear()
    if (next.size === 1) [this.#current] = next
    this.tools?.render()
    this.draw()
    if (!quiet && !told) this.tell("select", { paths: this.selection })
  }
  /** A click: this one, or with `more` this one too, or no longer. */
  choose(path, more = false) {
    if (!more) return this.select([path])
    this.select(this.isSelected(path) ? this.selection.filter((each) => each !== path) : [...this.selection, path])
    this.#current = path
  }
  chooseEdge(id, more = false) {
    const chosen = new Set(more ? this.#edges : [])
    chosen.add(id)
    this.select([])
    this.#edges = chosen
    this.ground.querySelector(".fc-face[tabindex='0']")?.focus({ preventScroll: true })
    this.draw()
  }
  walk(path, choosing = true) {
    if (!path || !this.model.has(path)) return
    if (choosing) this.select([path])
    this.focusNode(path)
  }
  focusNode(place) {
    const path = place && (this.model.has(place) ? place : nodeOf(this.model.doc, place))
    const node = path && this.model.nodes.get(path)
    if (!node) return
    this.#current = path
    this.#now()
    this.scene.face(path)?.focus({ preventScroll: true })
    this.viewport.show(node.frame ? { ...node, h: node.head } : node)
  }
  /** Brings a node into view; the focus stays where it is. */
  reveal(place) {
    const node = this.model.nodes.get(nodeOf(this.model.doc, place))
    if (node) this.viewport.show(node.frame ? { ...node, h: node.head } : node)
  }
  #focused(event) {
    ready()
    const path = event.target.closest?.(".fc-face")?.closest(".fc-node").dataset.path
    if (!path || path === this.#current) return
    this.#current = path
    this.draw()
  }
  #known() {
    this.#selected = new Set([...this.#selected].filter((path) => this.model.has(path)))
    const ids = new Set(this.model.edges.map((edge) => edge.id))
    this.#edges = new Set([...this.#edges].filter((id) => ids.has(id)))
    if (!this.model.has(this.#current)) this.#current = "start"
  }

  // --- drawing

  /** Soon: many calls make one drawing. In a drag `nodes` are where they would be. */
  draw(nodes) {
    this.drawn = nodes
    if (this.isConnected && this.scene) this.#frame ||= requestAnimationFrame(() => this.#now(this.drawn))
  }
  #now(nodes) {
    cancelAnimationFrame(this.#frame)
    this.#frame = 0
    this.drawn = undefined
    if (!this.isConnected) return
    this.#known()
    this.scene.render(this.model, { nodes: nodes ?? this.model.nodes, selected: this.#selected, chosenEdges: this.#edges, statuses: this.#byNode(), current: this.#current, readonly: this.readonly })
    const marked = new Set(this.model.problems.map((problem) => nodeOf(this.model.doc, problem.path ?? "")))
    this.map.render(nodes ?? this.model.nodes, marked)
    this.#seen()
    this.toggleAttribute("data-empty", !Object.keys(this.model.doc.steps ?? {}).length)
    if (!this.#fitted) this.#sized()
    else if (this.#fresh && this.#moved(this.#fresh)) this.#overview() // what was heard since has made steps larger, and all stands elsewhere
  }
  #moved({ x, y }) {
    const start = this.model.nodes.get("start")
    return start && (start.x !== x || start.y !== y)
  }
  #seen() {
    if (!this.viewport) return
    this.viewport.far = this.scene.places.size > MANY ? 0.55 : 0.35
    this.map.move()
    this.scene.cull(this.viewport.seen, this.viewport.now.zoom)
  }
  #byNode() {
    return Object.fromEntries(Object.entries(this.#statuses).map(([path, state]) => [nodeOf(this.model.doc, path) || path, state]))
  }
  #sized() {
    this.viewport.measure()
    if (!this.#fitted && this.ground.clientWidth && this.scene.shownNodes.size) {
      this.#fitted = true
      if (!this.viewport.recall()) this.#overview()
    }
    this.#seen()
  }
  /** All of it, or its beginning where all of it would be too small to read. */
  #overview() {
    const box = bounds([...this.model.nodes.values()])
    const readable = (this.ground.clientWidth - 96) / (box.right - box.left) > 0.5
    const start = this.model.nodes.get("start")
    const first = { left: start.x, top: Math.max(box.top, start.y - 240), right: start.x + Math.max(this.ground.clientWidth, 520), bottom: Math.min(box.bottom, start.y + 280) }
    this.#fresh = { x: start.x, y: start.y }
    this.viewport.fit(readable ? box : first, { smooth: false, pad: this.ground.clientWidth < 640 ? 20 : 48 })
  }

  #changed({ doc, why }) {
    this.#fresh = null
    this.#known()
    this.tools?.render()
    this.draw()
    this.gestures?.offer(null)
    this.#also()
    this.tell("change", { text: JSON.stringify(doc), doc, why })
  }
  #also() {
    this.dispatchEvent(new CustomEvent("flow-canvas:drawn"))
  }

  // --- telling

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }))
  }
  say(message, { kept = false, tone = "" } = {}) {
    clearTimeout(this.saying)
    if (this.note.textContent !== message) this.note.textContent = message
    this.note.dataset.tone = tone
    this.note.classList.add("is-shown")
    if (!kept) this.saying = setTimeout(() => this.hush(), SAID)
  }
  hush() {
    this.note.classList.remove("is-shown")
  }
  refuse(message) {
    this.say(message, { tone: "error" })
    this.tell("refused", { message })
  }

  #copied(event, cut) {
    if (event.target.closest?.("input, textarea") || (cut && this.readonly)) return
    const piece = this.model.piece(this.selection)
    if (!piece) return
    event.preventDefault()
    event.clipboardData.setData("text/plain", asText(piece))
    if (cut) this.removeChosen()
    this.say(copied(piece))
  }
  #pasted(event) {
    if (event.target.closest?.("input, textarea") || this.readonly) return
    event.preventDefault()
    this.paste(event.clipboardData.getData("text/plain"))
  }
}

function copied({ steps }) {
  const keys = Object.keys(steps)
  return keys.length === 1 ? `Copied ${keyOf(keys[0])}.` : `Copied ${keys.length} steps.`
}

customElements.define("flow-canvas", FlowCanvas)
