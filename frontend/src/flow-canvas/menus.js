// What the picker offers: kinds to insert, steps to lead to, steps to go to.
import { iconOf, groupOf } from "./looks.js"
import { keyOf, pathOf, scopeOf, stepsOf, within } from "./model.js"
import { partAt } from "./model/places.js"

const has = (words, ...texts) => !words || texts.some((text) => String(text ?? "").toLowerCase().includes(words))
const rank = (words, label) => (!words ? 0 : label.toLowerCase().startsWith(words) ? 0 : label.toLowerCase().includes(words) ? 1 : 2)

/** The insert menu. Behind `path` at `port`, between an `edge`'s ends, or free at a point of the ground. `onadded(path)`. */
export function insertMenu(model, { path, port, edge, point, at, returnTo, onadded, parallel = false }) {
  const ports = path ? model.ports(path) : []
  const open = (name) => !model.targets(path, name).length
  const first = port ?? ports.find((name) => name !== "error" && open(name)) ?? ports.find(open) ?? ports[0]
  const joint = (name) => (edge || parallel || point || !path ? edge : only(model.targets(path, name)))
  const title = edge
    ? `Between ${model.title(edge.from)} and ${model.title(edge.to)}`
    : path
      ? `After ${model.title(path)}`
      : "Add a step"
  return {
    title,
    placeholder: "Search kinds of steps",
    chips: path && !port && !edge ? ports : [],
    chip: first,
    at,
    returnTo,
    options: (words, chip) =>
      model.kinds
        .filter((kind) => (path || edge ? kind.slug !== "note" : true) && has(words, kind.label, kind.slug, kind.group, kind.description))
        .map((kind) => ({ kind, place: model.kinds.findIndex((other) => other.group === kind.group) }))
        .sort((one, other) => rank(words, one.kind.label) - rank(words, other.kind.label) || one.place - other.place)
        .map(({ kind }) => ({
          ...{ id: kind.slug, label: kind.label, line: kind.description, icon: iconOf(kind.slug, kind), group: words ? "" : kind.group, tone: groupOf(kind), keeps: true },
          hint: joint(chip) && path && !edge ? `before ${model.title(joint(chip).to)}` : "",
        })),
    onpick: ({ id }, chip) => {
      const between = joint(chip)
      onadded(model.add(id, between ? { between: between.id } : path ? { after: { path, port: chip ?? first }, ...(point && { at: point }) } : { at: point }))
    },
  }
}
/** What to do when a run fails: a step behind the last one of the error handler, or its first. */
export function handlerMenu(model, { at, returnTo, onadded }) {
  const menu = insertMenu(model, { at, returnTo, onadded })
  return { ...menu, title: "When a run fails", onpick: ({ id }) => onadded(model.addHandling(id)) }
}

const only = (edges) => (edges.length === 1 ? edges[0] : null)

/** The link menu: every step of the scope; one that is linked already is unlinked, one that cannot be says why. */
export function linkMenu(model, { path, at, returnTo, onrefused }) {
  const scope = scopeOf(path)
  const ports = model.ports(path)
  return {
    title: `Lead from ${model.title(path)} to`,
    placeholder: "Search steps",
    chips: ports,
    chip: ports.find((name) => name !== "error" && !model.targets(path, name).length) ?? ports[0],
    at,
    returnTo,
    options: (words, chip) =>
      Object.keys(stepsOf(partAt(model.doc, scope)))
        .map((key) => pathOf(scope, key))
        .filter((each) => each !== path && model.step(each)?.kind !== "note" && has(words, model.title(each), keyOf(each)))
        .map((each) => {
          const edge = model.targets(path, chip).find((one) => one.to === each)
          const kind = model.kind(model.step(each)?.kind)
          return { id: each, edge, label: model.title(each), line: keyOf(each), icon: iconOf(model.step(each)?.kind, kind), tone: groupOf(kind), hint: edge ? "linked – removes" : "", refused: edge ? "" : model.refusal(path, chip, each) }
        })
        .sort((one, other) => Boolean(one.refused) - Boolean(other.refused)),
    onpick: ({ id, edge }, chip) => {
      const reason = edge ? (model.disconnect([edge.id]), "") : model.connect(path, chip, id)
      if (reason) onrefused(reason)
    },
  }
}

export function searchMenu(model, { at, returnTo, onfound }) {
  return {
    title: "Go to a step",
    placeholder: "Search this flow",
    at,
    returnTo,
    options: (words) =>
      (words ? model.find(words) : [...model.nodes.values()].filter((node) => !node.start).map((node) => node.path)).slice(0, 100).map((path) => {
        const step = model.step(path)
        const kind = model.kind(step?.kind)
        const inside = scopeOf(path) ? `in ${model.title(scopeOf(path))}` : ""
        return { id: path, label: model.title(path), line: [model.face(path).line, inside].filter(Boolean).join(" · "), icon: iconOf(step?.kind, kind), tone: groupOf(kind), keeps: true }
      }),
    onpick: ({ id }) => onfound(id),
  }
}

/** The move menu: out to the flow, or into a frame that is not within the step itself. */
export function moveMenu(model, { path, at, returnTo, onmoved }) {
  const frames = [...model.nodes.values()].filter((node) => node.frame && !within(node.path, path)).map((node) => node.path)
  const places = ["", ...frames].filter((scope) => scope !== scopeOf(path))
  return {
    title: `Move ${model.title(path)}`,
    placeholder: "Search frames",
    at,
    returnTo,
    options: (words) =>
      places
        .map((scope) => ({ id: scope, label: scope ? `Into ${model.title(scope)}` : "Out to the flow", line: scope, icon: scope ? iconOf(model.step(scope)?.kind, model.kindAt(scope)) : "flows", keeps: true }))
        .filter((option) => has(words, option.label, option.id)),
    onpick: ({ id }) => onmoved(model.moveInto(path, id)),
  }
}
