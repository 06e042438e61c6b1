// What a node shows: its name, a second line, badges. The server may know better (`facts`: it knows fallbacks and pins).
import { titleOf } from "./places.js"

const text = (value) => (typeof value === "string" || typeof value === "number" ? String(value) : "")
const list = (value) => (Array.isArray(value) ? value : [])
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`

const memoryOf = (by) => (by.scope === "key" ? text(by.key) : text(by.scope ?? "flow"))

const SECOND = {
  model: (by) => text(by.route),
  agent: (by) => [text(by.route), by.max_turns && `≤ ${count(by.max_turns, "turn")}`].filter(Boolean).join(" · "),
  tool: (by) => text(by.tool),
  retrieve: (by) => text(by.base),
  recall: (by) => [memoryOf(by), list(by.names).map(text).join(", ")].filter(Boolean).join(" · "),
  remember: (by) => [memoryOf(by), Object.keys(by.values ?? {}).join(", ")].filter(Boolean).join(" · "),
  subflow: (by) => text(by.flow),
  branch: (by) => count(list(by.cases).length, "case"),
  check: (by) => count(list(by.rules).length, "rule"),
  set: (by) => Object.keys({ ...by.values, ...by.state }).join(", "),
  map: (by) => (by.over ? `over ${text(by.over)}` : ""),
  loop: (by) => [by.until && `until ${text(by.until)}`, by.max && `≤ ${by.max}`].filter(Boolean).join(" · "),
  wait: (by) => (by.event ? `for ${text(by.event)}` : by.until ? `until ${text(by.until)}` : by.for ? `for ${text(by.for)}` : ""),
  approval: (by) => [...list(by.approvers?.teams), ...list(by.approvers?.people)].map(text).join(", "),
}

/** {title, line, badges: [{icon, text, words, tone}]} of a step; `problems` are those of this step and, closed frames aside, what is in it. */
export function faceOf(key, step, kind, facts, problems) {
  const by = step?.with && typeof step.with === "object" ? step.with : {}
  const title = facts?.title || titleOf(key, step)
  const line = facts?.line2 ?? (SECOND[step?.kind]?.(by) || kind?.label || `${text(step?.kind) || "no kind"} (not installed)`)
  return { title, line, badges: badgesOf(step, facts?.badges ?? {}, problems) }
}

function badgesOf(step, facts, problems) {
  const badges = []
  const attempts = step?.retry?.attempts
  const cost = step?.limits?.cost
  if (attempts > 1) badges.push({ icon: "retrying", text: text(attempts), words: `tried up to ${attempts} times` })
  if (facts.fallbacks) badges.push({ icon: "fallback", text: text(facts.fallbacks), words: count(facts.fallbacks, "fallback") })
  if (cost !== undefined && cost !== null) badges.push({ text: `≤$${text(cost)}`, words: `at most $${text(cost)}` })
  if (facts.approval) badges.push({ icon: "hand", words: "needs approval" })
  if (facts.pin) badges.push({ icon: "pin", words: "pinned sample" })
  const errors = problems.filter((each) => each.severity !== "warning").length
  if (errors) badges.push({ icon: "problem", text: text(errors), words: count(errors, "problem"), tone: "error" })
  else if (problems.length) badges.push({ icon: "warning", text: text(problems.length), words: count(problems.length, "warning"), tone: "warning" })
  return badges
}
