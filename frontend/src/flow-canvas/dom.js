// Small helpers for making elements. Text goes in as text only.
const SVG = "http://www.w3.org/2000/svg"

/** `make("button", {class: "x", "aria-label": "…", type: "button"}, child, "text")`; null attributes and children are left out. */
export function make(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children)
}
export function draw(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children)
}
function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value)
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""))
  return element
}
/** Where the drawing of an icon is. */
export const sprite = (name) => `${document.documentElement.dataset.icons ?? "/static/icons.svg"}#${name}`
export function icon(name, extra = "") {
  return draw("svg", { class: `icon ${extra}`.trim(), "aria-hidden": "true", "data-icon": name }, draw("use", { href: sprite(name) }))
}
export function button(label, glyph, attributes = {}) {
  return make("button", { type: "button", class: "button quiet icon-only", "aria-label": label, title: label, ...attributes }, icon(glyph))
}
