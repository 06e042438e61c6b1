// Where steps and values stand in a document. A path (`rate.assess`) is how the canvas and runs name a step; a place
// (["steps", "rate", "with", "body", "steps", "assess"]) is where it stands.

import { HANDLER } from "../flow-canvas/model/places.js"

const INSIDE = `${HANDLER}.` // what the paths of the error handler's steps begin with

export const placeOf = (path) => {
  if (path.startsWith(INSIDE)) return ["on_error", ...placeOf(path.slice(INSIDE.length))]
  return path ? path.split(".").flatMap((key, at) => (at ? ["with", "body", "steps", key] : ["steps", key])) : []
}

/** The value at a place or at the words of a pointer; undefined where there is none. */
export const valueAt = (value, place) => place.reduce((holder, part) => (holder !== null && typeof holder === "object" ? holder[part] : undefined), value)

/** The step that a place is in or at, and the words that lead on from it: `[path, rest]`; path "" is the flow itself. */
export function stepOf(doc, place) {
  if (place[0] === "on_error" && doc.on_error) {
    const [inner, rest] = stepOf(doc.on_error, place.slice(1))
    return inner ? [INSIDE + inner, rest] : ["", place]
  }
  let path = "", at = 0
  while (place[at] === "steps" && place.length > at + 1) {
    path = path ? `${path}.${place[at + 1]}` : String(place[at + 1])
    at += 2
    if (place[at] !== "with" || place[at + 1] !== "body" || place[at + 2] !== "steps") break
    at += 2
  }
  return valueAt(doc, placeOf(path)) === undefined ? ["", place] : [path, place.slice(at)]
}

export const pointerOf = (words) => words.map((word) => `/${String(word).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")
export const wordsOf = (pointer) => pointer.split("/").slice(1).map((word) => word.replaceAll("~1", "/").replaceAll("~0", "~"))
