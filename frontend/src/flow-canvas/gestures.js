// The pointer: choose, drag nodes, draw a connection, draw a box. Mouse, pen and finger alike; empty ground belongs to the viewport.
import { curve } from "./routes.js"
import { make } from "./dom.js"

const STILL = { mouse: 4, pen: 6, touch: 9 } // pixels that are no drag yet
const GRID = 8
const EDGE = 36 // pixels from the border where the view follows a drag

export class Gestures {
  constructor(canvas, ground, scene) {
    Object.assign(this, { canvas, ground, scene })
    this.box = make("div", { class: "fc-box", hidden: true })
    ground.append(this.box)
    ground.addEventListener("pointerdown", (event) => this.#down(event))
    ground.addEventListener("mousedown", (event) => event.shiftKey && event.button === 0 && event.stopImmediatePropagation(), true)
    ground.addEventListener("pointermove", (event) => this.#hover(event))
    ground.addEventListener("dblclick", (event) => {
      const path = event.target.closest(".fc-face")?.closest(".fc-node").dataset.path
      if (path && canvas.model.holds(path)) canvas.tell("open", { path })
    })
    ground.addEventListener("dragover", (event) => {
      if (canvas.readonly || !dragged) return
      event.preventDefault()
      event.dataTransfer.dropEffect = "copy"
      this.#aim(event)
    })
    ground.addEventListener("dragleave", () => this.#unaim())
    ground.addEventListener("drop", (event) => {
      if (canvas.readonly || !dragged) return
      event.preventDefault()
      const between = this.aimed
      this.#unaim()
      const { kind, settings } = dragged
      canvas.added(canvas.model.add(kind, { ...(between ? { between } : { at: canvas.viewport.at(event.clientX, event.clientY) }), settings }))
    })
  }

  get busy() {
    return Boolean(this.now)
  }

  #down(event) {
    if (this.now || event.button !== 0 || this.canvas.viewport.held) return
    const port = event.target.closest(".fc-port")
    const node = event.target.closest(".fc-node")
    const edge = event.target.closest(".fc-edge")
    if (event.target.closest(".fc-between")) return this.#begin(event, { click: () => this.canvas.insertBetween(this.hovered) })
    if (port && !this.canvas.readonly) return this.#port(event, node.dataset.path, port.dataset.port)
    if (node) return this.#node(event, node)
    if (edge) return this.#begin(event, { click: () => this.canvas.chooseEdge(edge.dataset.edge, event.shiftKey) })
    if (event.shiftKey) return this.#marquee(event)
    this.#begin(event, { free: true, click: () => this.canvas.select([]) })
  }

  /** Follows one pointer until it is up; `start` when it begins to move, `move`, `drop`, `cancel`, and `click` if it did not move. */
  #begin(event, acts) {
    const origin = { x: event.clientX, y: event.clientY }
    const still = STILL[event.pointerType] ?? 4
    let last = event
    let moving = false
    let frame = 0
    if (!acts.free) this.canvas.viewport.lock(true)
    const draw = () => {
      frame = 0
      if (!moving) return
      if (this.#follow(last)) frame = requestAnimationFrame(draw)
      acts.move?.(last)
    }
    const move = (next) => {
      if (next.pointerId !== event.pointerId) return
      last = next
      if (!moving && Math.hypot(next.clientX - origin.x, next.clientY - origin.y) > still) {
        moving = true
        acts.start?.(event)
      }
      if (moving && acts.move) frame ||= requestAnimationFrame(draw)
    }
    const end = (next, done) => {
      if (next.pointerId !== undefined && next.pointerId !== event.pointerId) return
      cancelAnimationFrame(frame)
      for (const [name, act] of Object.entries(on)) removeEventListener(name, act, true)
      this.now = null
      if (!acts.free) this.canvas.viewport.lock(false)
      if (!done) acts.cancel?.()
      else if (moving) acts.drop?.(next)
      else acts.click?.(next)
    }
    const on = { pointermove: move, pointerup: (next) => end(next, true), pointercancel: (next) => end(next, false) }
    for (const [name, act] of Object.entries(on)) addEventListener(name, act, true)
    this.now = { cancel: () => end({}, false) }
  }
  cancel() {
    this.now?.cancel()
  }

  /** Near the border the ground moves under the pointer; true while it does. */
  #follow({ clientX, clientY }) {
    const box = this.ground.getBoundingClientRect()
    const pull = (near, far) => (near < EDGE ? Math.min(EDGE - near, EDGE) / 3 : far < EDGE ? -Math.min(EDGE - far, EDGE) / 3 : 0)
    const dx = pull(clientX - box.left, box.right - clientX)
    const dy = pull(clientY - box.top, box.bottom - clientY)
    if (dx || dy) this.canvas.viewport.nudge(dx, dy)
    return Boolean(dx || dy)
  }

  #node(event, element) {
    const { canvas } = this
    const path = element.dataset.path
    const click = () => {
      canvas.choose(path, event.shiftKey || event.ctrlKey || event.metaKey)
      this.scene.face(path)?.focus({ preventScroll: true })
    }
    if (canvas.readonly) return this.#begin(event, { click })
    const origin = canvas.viewport.at(event.clientX, event.clientY)
    let moved = { dx: 0, dy: 0, paths: [] }
    const by = (pointer) => {
      const at = canvas.viewport.at(pointer.clientX, pointer.clientY)
      const node = canvas.model.nodes.get(path)
      const snap = (value, home) => Math.round((home + value) / GRID) * GRID - home
      return { dx: snap(at.x - origin.x, node.x), dy: snap(at.y - origin.y, node.y), paths: canvas.selection }
    }
    this.#begin(event, {
      click,
      start: () => {
        if (!canvas.isSelected(path)) canvas.choose(path, event.shiftKey)
        this.ground.classList.add("is-dragging")
      },
      move: (pointer) => {
        moved = by(pointer)
        canvas.draw(canvas.model.nodesOf(canvas.model.moved(moved.paths, moved.dx, moved.dy)))
      },
      drop: (pointer) => {
        moved = by(pointer)
        this.ground.classList.remove("is-dragging")
        if (!canvas.model.move(moved.paths, moved.dx, moved.dy)) canvas.draw()
      },
      cancel: () => {
        this.ground.classList.remove("is-dragging")
        canvas.draw()
      },
    })
  }

  #port(event, path, port) {
    const { canvas, scene } = this
    const from = scene.places.get(path)
    const out = from.ports.find((each) => each.name === port)
    const start = { x: from.x + out.x, y: from.y + out.y }
    const over = (pointer) => document.elementFromPoint(pointer.clientX, pointer.clientY)?.closest(".fc-node")?.dataset.path
    const done = () => {
      scene.wire.removeAttribute("d")
      scene.view.classList.remove("is-connecting")
      for (const { element } of scene.shownNodes.values()) element.classList.remove("cannot", "is-target")
      canvas.hush()
    }
    this.#begin(event, {
      click: () => canvas.insertMenu(path, port),
      start: () => {
        scene.view.classList.add("is-connecting")
        for (const [each, { element }] of scene.shownNodes) element.classList.toggle("cannot", each !== path && canvas.model.refusal(path, port, each) !== "")
      },
      move: (pointer) => {
        const end = canvas.viewport.at(pointer.clientX, pointer.clientY)
        const target = over(pointer)
        scene.wire.setAttribute("d", curve(start, end).path)
        const reason = target && target !== path ? canvas.model.refusal(path, port, target) : ""
        for (const [each, { element }] of scene.shownNodes) element.classList.toggle("is-target", each === target && target !== path && !reason)
        scene.wire.classList.toggle("is-refused", Boolean(reason))
        if (reason) canvas.say(reason, { kept: true })
        else canvas.hush()
      },
      drop: (pointer) => {
        done()
        const target = over(pointer)
        const at = { x: pointer.clientX, y: pointer.clientY }
        if (target === path) return
        if (!target || canvas.model.scopeAt(canvas.viewport.at(at.x, at.y)) === target) return canvas.insertMenu(path, port, at)
        const reason = canvas.model.connect(path, port, target)
        if (reason) canvas.refuse(reason)
      },
      cancel: done,
    })
  }

  #marquee(event) {
    const { canvas } = this
    const origin = canvas.viewport.at(event.clientX, event.clientY)
    const before = canvas.selection
    const area = (pointer) => {
      const end = canvas.viewport.at(pointer.clientX, pointer.clientY)
      return { x: Math.min(origin.x, end.x), y: Math.min(origin.y, end.y), w: Math.abs(end.x - origin.x), h: Math.abs(end.y - origin.y) }
    }
    const inside = ({ x, y, w, h }) =>
      [...this.scene.places.values()]
        .filter((node) => !node.start && (node.frame ? node.x >= x && node.y >= y && node.x + node.w <= x + w && node.y + node.h <= y + h : node.x < x + w && node.x + node.w > x && node.y < y + h && node.y + node.h > y))
        .map((node) => node.path)
    this.#begin(event, {
      move: (pointer) => {
        const at = area(pointer)
        const { x, y, zoom } = canvas.viewport.now
        this.box.hidden = false
        this.box.style.transform = `translate(${at.x * zoom + x}px, ${at.y * zoom + y}px)`
        this.box.style.width = `${at.w * zoom}px`
        this.box.style.height = `${at.h * zoom}px`
        canvas.select([...new Set([...before, ...inside(at)])], { quiet: true })
      },
      drop: (pointer) => {
        this.box.hidden = true
        canvas.select([...new Set([...before, ...inside(area(pointer))])])
      },
      cancel: () => {
        this.box.hidden = true
        canvas.select(before)
      },
    })
  }

  /** Over an edge, a plus in its middle. */
  #hover(event) {
    if (this.now || this.canvas.readonly || event.pointerType === "touch") return
    const id = event.target.closest(".fc-edge")?.dataset.edge ?? (event.target.closest(".fc-between") ? this.hovered : null)
    if (id !== this.hovered) this.offer(id)
  }
  offer(id) {
    this.hovered = id
    const shown = id && this.scene.shownEdges.get(id)
    this.scene.between.hidden = !shown
    if (shown) this.scene.between.style.transform = `translate(${shown.middle.x}px, ${shown.middle.y}px)`
  }

  #aim(event) {
    const id = document.elementFromPoint(event.clientX, event.clientY)?.closest(".fc-edge")?.dataset.edge ?? null
    if (id === this.aimed) return
    this.#unaim()
    this.aimed = id
    this.scene.shownEdges.get(id)?.group.classList.add("is-aimed")
  }
  #unaim() {
    this.scene.shownEdges.get(this.aimed)?.group.classList.remove("is-aimed")
    this.aimed = null
  }
}

/** The kind that an item of a palette adds, and what its step is set to: the item of a tool names it. */
export const offered = ({ dataset: { kind, tool } }) => ({ kind, settings: tool ? { tool } : {} })

// What is being dragged from a palette, anywhere on the page.
let dragged = null
document.addEventListener("dragstart", (event) => {
  const item = event.target.closest?.("[data-kind][draggable]")
  dragged = item ? offered(item) : null
  if (dragged) event.dataTransfer.setData("text/plain", dragged.kind)
})
document.addEventListener("dragend", () => (dragged = null))
