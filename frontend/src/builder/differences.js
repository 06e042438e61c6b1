// What differs between two documents, value by value: what was saved on the left, one's own on the right.
import { make } from "../behaviours/listen.js"

const isObject = (value) => value !== null && typeof value === "object"
const shown = (value) => (value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value))

export function* changed(before, after, place = "") {
  if (JSON.stringify(before) === JSON.stringify(after)) return
  if (isObject(before) && isObject(after) && Array.isArray(before) === Array.isArray(after) && !Array.isArray(before)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) yield* changed(before[key], after[key], place ? `${place}.${key}` : key)
  } else {
    yield { place, before, after }
  }
}

export function differences(theirs, mine, by) {
  const rows = [...changed(theirs, mine)].filter(({ place }) => !place.startsWith("layout"))
  if (!rows.length) return make("p", {}, "Both say the same; only places on the canvas differ.")
  const body = rows.map(({ place, before, after }) =>
    make("tr", {}, make("th", { scope: "row", class: "mono" }, place), make("td", { class: "removed" }, shown(before)), make("td", { class: "added" }, shown(after))))
  const head = make("tr", {}, make("th", { scope: "col" }, "Where"), make("th", { scope: "col" }, by.startsWith("You") ? "The other tab" : by), make("th", { scope: "col" }, "Mine"))
  return make("table", { class: "table" }, make("thead", {}, head), make("tbody", {}, ...body))
}
