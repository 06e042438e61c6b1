// Which ports a step has. A kind says it by a list of names and rules:
//   "done"                                                            a name
//   {"from": "with.cases[].port", "plus": ["with.else"], "or": ["else"]}   the texts found there; `or` where nothing is found
//   {"keys": "with.outcomes", "or": ["approve", "reject"]}                 the keys of the object there
// A step that goes on when it has failed (`on_error: continue`) then leaves by `done`, whatever its kind.
// `error: false` says that it has no error port. A list with nothing in it stands for no ports at all (a note).

/** Values at a path such as `with.cases[].port`. */
export function pick(value, path) {
  let found = [value]
  for (const word of path.split(".")) {
    const many = word.endsWith("[]")
    const key = many ? word.slice(0, -2) : word
    found = found.flatMap((each) => {
      const next = each !== null && typeof each === "object" && Object.hasOwn(each, key) ? each[key] : undefined
      return many ? (Array.isArray(next) ? next : []) : next === undefined ? [] : [next]
    })
  }
  return found
}

function named(rule, step) {
  if (typeof rule === "string") return [rule]
  const found = rule.keys
    ? pick(step, rule.keys).flatMap((value) => (value && typeof value === "object" ? Object.keys(value) : []))
    : [rule.from, ...(rule.plus ?? [])].flatMap((path) => pick(step, path))
  const texts = found.filter((each) => typeof each === "string" && each)
  return texts.length ? texts : (rule.or ?? [])
}

/** The step's ports in their order, `error` last; `facts` of the server win. */
export function portsOf(step, kind, facts) {
  if (facts?.ports) return facts.ports
  const rules = kind ? [kind.ports ?? ["done"]].flat() : ["done"]
  const names = [...new Set(rules.flatMap((rule) => named(rule, step)))]
  if (rules.length === 0) return []
  if (step?.on_error === "continue" && !names.includes("done")) names.push("done")
  return kind?.error === false || names.includes("error") ? names : [...names, "error"]
}
