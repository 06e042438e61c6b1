// The whole flow, small, with what is seen of it; a click or a drag goes there.
import { draw, make } from "./dom.js"
import { bounds } from "./model/geometry.js"

const WIDE = 168
const HIGH = 104

export class Minimap {
  constructor(viewport) {
    this.viewport = viewport
    this.frames = draw("path", { class: "fc-map-frames" })
    this.nodes = draw("path", { class: "fc-map-nodes" })
    this.bad = draw("path", { class: "fc-map-bad" })
    this.seen = make("div", { class: "fc-map-seen" })
    const drawing = draw("svg", { width: WIDE, height: HIGH, viewBox: `0 0 ${WIDE} ${HIGH}` }, this.frames, this.nodes, this.bad)
    this.element = make("div", { class: "fc-minimap nopan nowheel", "aria-hidden": "true", "data-testid": "minimap" }, drawing, this.seen)
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId)
      this.#go(event)
    })
    this.element.addEventListener("pointermove", (event) => event.buttons && this.#go(event))
  }

  render(nodes, marked) {
    const box = bounds([...nodes.values()]) ?? { left: 0, top: 0, right: 1, bottom: 1 }
    const w = box.right - box.left
    const h = box.bottom - box.top
    this.scale = Math.min((WIDE - 16) / w, (HIGH - 16) / h, 0.15)
    this.left = box.left - (WIDE / this.scale - w) / 2
    this.top = box.top - (HIGH / this.scale - h) / 2
    const rect = (node) => {
      const [x, y, wide, high] = [(node.x - this.left) * this.scale, (node.y - this.top) * this.scale, Math.max(node.w * this.scale, 2), Math.max(node.h * this.scale, 2)]
      return `M${x.toFixed(1)} ${y.toFixed(1)}h${wide.toFixed(1)}v${high.toFixed(1)}h${(-wide).toFixed(1)}z`
    }
    const all = [...nodes.values()]
    this.frames.setAttribute("d", all.filter((node) => node.frame).map(rect).join(""))
    this.nodes.setAttribute("d", all.filter((node) => !node.frame && !marked.has(node.path)).map(rect).join(""))
    this.bad.setAttribute("d", all.filter((node) => !node.frame && marked.has(node.path)).map(rect).join(""))
    this.move()
  }
  move() {
    if (this.scale === undefined) return
    const seen = this.viewport().seen
    const clamp = (value, most) => Math.min(Math.max(value, 1), most - 1)
    const [x, y] = [clamp((seen.x - this.left) * this.scale, WIDE), clamp((seen.y - this.top) * this.scale, HIGH)]
    const { style } = this.seen
    style.transform = `translate(${x}px, ${y}px)`
    const [w, h] = [clamp((seen.x + seen.w - this.left) * this.scale, WIDE) - x, clamp((seen.y + seen.h - this.top) * this.scale, HIGH) - y]
    style.width = `${Math.max(w, 0)}px`
    style.height = `${Math.max(h, 0)}px`
  }
  #go({ clientX, clientY }) {
    const box = this.element.getBoundingClientRect()
    this.viewport().centre({ x: (clientX - box.left) / this.scale + this.left, y: (clientY - box.top) / this.scale + this.top })
  }
}
