// Expressions name other steps as `steps.key` or `steps['key']`; renaming a step renames it there too.
import { bodyOf, handlerOf, stepsOf } from "./places.js"

const BRACES = /\{\{[\s\S]*?\}\}/g

function renamer(names) {
  const keys = [...names.keys()].join("|")
  const dotted = new RegExp(`(?<![\\w.])steps(\\s*\\.\\s*)(${keys})(?!\\w)`, "g")
  const quoted = new RegExp(`(?<![\\w.])steps(\\s*\\[\\s*(["']))(${keys})\\2`, "g")
  const inside = (text) =>
    text
      .replace(dotted, (_, dot, key) => `steps${dot}${names.get(key)}`)
      .replace(quoted, (_, open, quote, key) => `steps${open}${names.get(key)}${quote}`)
  return (text) => (text.includes("{{") ? text.replace(BRACES, inside) : inside(text))
}

function mapTexts(value, rename) {
  if (typeof value === "string") return rename(value)
  if (Array.isArray(value)) {
    const made = value.map((each) => mapTexts(each, rename))
    return made.every((each, at) => each === value[at]) ? value : made
  }
  if (value === null || typeof value !== "object") return value
  const made = Object.entries(value).map(([key, each]) => [key, mapTexts(each, rename)])
  return made.every(([key, each]) => each === value[key]) ? value : Object.fromEntries(made)
}

/** A step that speaks of the new names (`names`: old key → new key). A body with a step of an old key of its own keeps that key's meaning. */
export function renameInStep(step, names) {
  if (!names.size || !step || typeof step !== "object") return step
  const { body, ...settings } = step.with && typeof step.with === "object" ? step.with : {}
  const rename = renamer(names)
  const made = { ...step }
  if (step.with !== undefined) {
    made.with = Object.fromEntries(Object.keys(step.with).map((key) => [key, key === "body" ? body : mapTexts(settings[key], rename)]))
    if (names.has(settings.seals)) made.with.seals = names.get(settings.seals)
    if (bodyOf(step)) made.with.body = renameInPart(bodyOf(step), names)
  }
  return same(made, step) ? step : made
}

/** The steps and the output of a part, and of a flow its error handler; its own steps hide outer ones of the same key. */
export function renameInPart(part, names, hides = true) {
  const seen = hides ? new Map([...names].filter(([key]) => !Object.hasOwn(stepsOf(part), key))) : names
  if (!seen.size) return part
  const steps = Object.fromEntries(Object.entries(stepsOf(part)).map(([key, step]) => [key, renameInStep(step, seen)]))
  const made = { ...part, steps }
  if (part.output !== undefined) made.output = mapTexts(part.output, renamer(seen))
  if (handlerOf(part)) made.on_error = renameInPart(handlerOf(part), seen)
  return made
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other)
