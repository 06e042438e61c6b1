// The icons of the kinds, all in one drawing above the nodes. As an element of its own in each node an icon would be a piece that the
// browser puts together anew in every frame; as the marker of a path without length it is a stroke like any other.
import { draw, sprite } from "./dom.js"

const SIZE = 18
const LEFT = 14 // from the node's edge; the face keeps this place free
const SMALL = 12 // of Start

let drawings = 0

export class Glyphs {
  constructor() {
    this.name = `fc-glyph-${++drawings}`
    this.marks = draw("defs")
    this.known = new Set()
    this.element = draw("svg", { class: "fc-edges fc-glyphs", "aria-hidden": "true" }, this.marks)
  }

  /** A path that shows this icon in the colour of the group, wherever `place` puts it. */
  add(icon, group, small) {
    const glyph = draw("path", { class: "fc-glyph", "data-icon": icon, "marker-start": `url(#${this.#mark(icon, group, small ? SMALL : SIZE)})` })
    this.element.append(glyph)
    return glyph
  }
  #mark(icon, group, size) {
    const id = `${this.name}-${icon}-${group || "none"}-${size}`
    if (!this.known.has(id)) {
      this.known.add(id)
      const frame = { viewBox: "0 0 16 16", refX: 8, refY: 8, markerWidth: size, markerHeight: size, markerUnits: "userSpaceOnUse" }
      this.marks.append(draw("marker", { id, class: "fc-mark", "data-group": group, ...frame }, draw("use", { href: sprite(icon), width: 16, height: 16 })))
    }
    return id
  }
}

/** Puts the icon at the left of the node's head. */
export const place = (glyph, { x, y, head, start }) => glyph.setAttribute("d", `M${x + LEFT + (start ? SMALL : SIZE) / 2} ${y + head / 2}h0`)
