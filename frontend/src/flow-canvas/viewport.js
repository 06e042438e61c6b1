// Panning and zooming: wheel at the pointer, pinch, drag on empty ground, middle button, space. Remembered a flow.
//
// What is drawn once is moved by the compositor: the outer element is shifted, and while a zoom goes on it is stretched, too. The inner one
// has the true scale; it follows when the zoom rests or has gone far, and only then everything is drawn anew, sharp.
import { PanOnScrollMode, XYPanZoom } from "@xyflow/system"

const NEAREST = 2
const FARTHEST = 0.1
const GRID = 24
const DOTTED = 0.45 // below this the dots would be a grey
const STRETCH = 2.2 // how far a drawing is stretched before it is made anew
const STILL = 8 // frames without a change, after which a zoom is over; in milliseconds it would be over too soon where frames are slow
const TOOLS = 76 // pixels that the toolbar takes at the bottom

export class Viewport {
  constructor(ground, scene, dots, { onchange, key }) {
    Object.assign(this, { ground, scene, dots, onchange, key })
    this.measure()
    this.far = 0.35 // below this zoom only names are shown
    this.drawn = 0 // the zoom at which everything was drawn
    this.held = false
    this.busy = false
    const all = [[-Infinity, -Infinity], [Infinity, Infinity]]
    this.zooming = XYPanZoom({ domNode: ground, minZoom: FARTHEST, maxZoom: NEAREST, translateExtent: all, viewport: { x: 0, y: 0, zoom: 1 }, onDraggingChange: (is) => ground.classList.toggle("is-panning", is), onPanZoomEnd: () => this.#remember() })
    this.update()
  }

  update() {
    this.zooming.update({
      ...{ noWheelClassName: "nowheel", noPanClassName: this.held ? "none" : "nopan", preventScrolling: true, panOnScroll: false, panOnDrag: [0, 1], panOnScrollMode: PanOnScrollMode.Free, panOnScrollSpeed: 0.5 },
      ...{ userSelectionActive: this.busy, zoomOnPinch: true, zoomOnScroll: true, zoomOnDoubleClick: false, zoomActivationKeyPressed: false, panActivationKeyPressed: this.held, lib: "fc", connectionInProgress: this.busy, paneClickDistance: 4 },
      onTransformChange: ([x, y, zoom]) => this.#apply(x, y, zoom),
    })
  }

  /** Asked of the browser only when the size changes, for asking makes it lay out. */
  measure() {
    this.size = { w: this.ground.clientWidth, h: this.ground.clientHeight }
  }

  /** While the space bar is held, everything pans. */
  hold(is) {
    if (this.held === is) return
    this.held = is
    this.ground.classList.toggle("is-held", is)
    this.update()
  }
  /** While something is dragged, nothing pans. */
  lock(is) {
    this.busy = is
    this.update()
  }

  get now() {
    return this.zooming.getViewport()
  }
  #apply(x, y, zoom) {
    const stretch = zoom / this.drawn
    if (stretch > STRETCH || stretch < 1 / STRETCH) this.#sharpen(zoom)
    else if (stretch !== 1) this.#rests()
    this.#place({ x, y, zoom })
    this.onchange()
  }
  #rests(left = STILL) {
    cancelAnimationFrame(this.rest)
    this.rest = requestAnimationFrame(() => {
      if (left) return this.#rests(left - 1)
      this.#sharpen(this.now.zoom)
      this.#place(this.now)
    })
  }
  #sharpen(zoom) {
    cancelAnimationFrame(this.rest)
    this.drawn = zoom
    this.scene.scale(zoom)
    this.scene.view.classList.toggle("is-far", zoom < this.far)
    this.dots.hidden = zoom < DOTTED
    this.dots.style.backgroundSize = `${GRID * zoom}px ${GRID * zoom}px`
  }
  #place({ x, y, zoom }) {
    const stretch = zoom / this.drawn
    const step = GRID * zoom
    this.scene.view.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px) scale(${stretch})`
    this.dots.style.transform = `translate(${(x % step) - step}px, ${(y % step) - step}px) scale(${stretch})`
  }
  #remember() {
    if (!this.key) return
    const { x, y, zoom } = this.now
    try {
      localStorage.setItem(this.key, JSON.stringify([Math.round(x), Math.round(y), Math.round(zoom * 1000) / 1000]))
    } catch {
      // private windows have no storage: the view is not remembered there
    }
  }
  /** The view of last time; false if there was none. */
  recall() {
    try {
      const [x, y, zoom] = JSON.parse(localStorage.getItem(this.key))
      if (![x, y, zoom].every(Number.isFinite)) return false
      this.zooming.setViewport({ x, y, zoom })
      return true
    } catch {
      return false
    }
  }

  /** A point of the window on the flow's ground. */
  at(clientX, clientY) {
    const box = this.ground.getBoundingClientRect()
    const { x, y, zoom } = this.now
    return { x: (clientX - box.left - x) / zoom, y: (clientY - box.top - y) / zoom }
  }
  /** What of the flow's ground is seen. */
  get seen() {
    const { x, y, zoom } = this.now
    return { x: -x / zoom, y: -y / zoom, w: this.size.w / zoom, h: this.size.h / zoom }
  }

  fit(box, { most = 1, smooth = true, pad = 48 } = {}) {
    const { clientWidth: wide, clientHeight: high } = this.ground
    if (!box || !wide || !high) return
    const w = Math.max(box.right - box.left, 1)
    const h = Math.max(box.bottom - box.top, 1)
    const zoom = Math.max(Math.min((wide - 2 * pad) / w, (high - 2 * pad) / h, most), FARTHEST)
    this.#go({ x: (wide - w * zoom) / 2 - box.left * zoom, y: (high - h * zoom) / 2 - box.top * zoom, zoom }, smooth)
  }
  /** Moves just so far that the box is seen. */
  show(box) {
    const seen = this.seen
    const pad = 40
    const beside = 96 // names of ports stand at the right
    const below = TOOLS / this.now.zoom
    const dx = box.x < seen.x + pad ? box.x - pad - seen.x : box.x + box.w > seen.x + seen.w - beside ? Math.min(box.x + box.w + beside - seen.x - seen.w, box.x - pad - seen.x) : 0
    const dy = box.y < seen.y + pad ? box.y - pad - seen.y : box.y + box.h > seen.y + seen.h - below ? Math.min(box.y + box.h + below - seen.y - seen.h, box.y - pad - seen.y) : 0
    const { x, y, zoom } = this.now
    if (dx || dy) this.#go({ x: x - dx * zoom, y: y - dy * zoom, zoom }, true)
  }
  centre({ x, y }) {
    const { zoom } = this.now
    this.#go({ x: this.ground.clientWidth / 2 - x * zoom, y: this.ground.clientHeight / 2 - y * zoom, zoom }, false)
  }
  nudge(dx, dy) {
    const { x, y, zoom } = this.now
    this.#go({ x: x + dx, y: y + dy, zoom }, false)
  }
  by(factor) {
    this.zooming.scaleBy(factor, { duration: calm() ? 0 : 120 })
    setTimeout(() => this.#remember(), 200)
  }
  #go(viewport, smooth) {
    this.zooming.setViewport(viewport, smooth && !calm() ? { duration: 180 } : undefined)
    setTimeout(() => this.#remember(), 250)
  }

  destroy() {
    cancelAnimationFrame(this.rest)
    this.zooming.destroy()
  }
}

const calm = () => document.documentElement.dataset.motion === "reduced" || matchMedia("(prefers-reduced-motion: reduce)").matches
