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

/** A short text that two documents share if, the order of keys aside, they say the same. */
export function printOf(value) {
  const text = JSON.stringify(value, (_, each) => (isObject(each) && !Array.isArray(each) ? Object.fromEntries(Object.entries(each).sort(([one], [other]) => (one < other ? -1 : 1))) : each))
  let [high, low] = [0xdeadbeef, 0x41c6ce57]
  for (let at = 0; at < text.length; at++) {
    high = Math.imul(high ^ text.charCodeAt(at), 2654435761)
    low = Math.imul(low ^ text.charCodeAt(at), 1597334677)
  }
  return `${text.length}-${(high >>> 0).toString(36)}${(low >>> 0).toString(36)}`
}

export function differences(theirs, mine, by) {
  const rows = [...changed(theirs, mine)].filter(({ place }) => !place.startsWith("layout"))
  if (!rows.length) return make("p", {}, "Both say the same; only places on the canvas differ.")
  const body = rows.map(({ place, before, after }) =>
    make("tr", {}, make("th", { scope: "row", class: "mono" }, place), make("td", { class: "removed" }, shown(before)), make("td", { class: "added" }, shown(after))))
  const head = make("tr", {}, make("th", { scope: "col" }, "Where"), make("th", { scope: "col" }, by.startsWith("You") ? "The other tab" : by), make("th", { scope: "col" }, "Mine"))
  return make("table", { class: "table" }, make("thead", {}, head), make("tbody", {}, ...body))
}
