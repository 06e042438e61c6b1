// The keyboard, while the focus is on the canvas. Tab is not taken; every key is also a control.
import { keyOf, scopeOf } from "./model.js"

const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }
const STEP = 8

export function onKey(canvas, event) {
  if (event.target.closest(".fc-picker, .fc-tools")) return
  if (event.key === " " && !event.target.closest(".fc-tools")) {
    canvas.viewport.hold(true)
    event.preventDefault()
    return
  }
  const command = event.ctrlKey || event.metaKey
  const act = command ? (event.altKey ? null : commandOf(canvas, event)) : event.altKey ? null : plain(canvas, event)
  if (!act) return
  event.preventDefault()
  event.stopPropagation()
  act()
}
export function onKeyUp(canvas, event) {
  if (event.key === " ") canvas.viewport.hold(false)
}

function commandOf(canvas, { key, shiftKey }) {
  const edit = (act) => (canvas.readonly ? null : act)
  switch (key.toLowerCase()) {
    case "z":
      return edit(() => (shiftKey ? canvas.redo() : canvas.undo()))
    case "y":
      return edit(() => canvas.redo())
    case "a":
      return () => canvas.select([...canvas.model.nodes.values()].filter((node) => !node.start).map((node) => node.path))
    case "d":
      return edit(() => canvas.duplicate())
  }
  return null
}

function plain(canvas, event) {
  const { key, shiftKey } = event
  const edit = (act) => (canvas.readonly ? null : act)
  const here = canvas.current
  if (ARROWS[key]) {
    const [x, y] = ARROWS[key]
    if (!shiftKey) return () => canvas.walk(neighbour(canvas.model, here, x, y))
    return edit(() => canvas.selection.length && canvas.model.move(canvas.selection, x * STEP, y * STEP, { tag: "keys" }))
  }
  switch (key) {
    case "Delete":
    case "Backspace":
      return edit(() => canvas.removeChosen())
    case "n":
    case "N":
      return edit(() => canvas.insertMenu(undefined, undefined, undefined, shiftKey))
    case "l":
    case "L":
      return edit(() => canvas.linkMenu())
    case "e":
    case "E":
      return edit(() => canvas.handlerMenu())
    case "Enter":
      return here && canvas.model.holds(here) ? () => (canvas.choose(here), canvas.tell("open", { path: here })) : null
    case "Escape":
      return () => (canvas.gestures.busy ? canvas.gestures.cancel() : canvas.select([]))
    case "/":
      return () => canvas.openSearch()
    case "+":
    case "=":
      return () => canvas.zoom(1.2)
    case "-":
      return () => canvas.zoom(1 / 1.2)
    case "0":
      return () => canvas.fit()
  }
  return null
}

/** The node that an arrow leads to: along an edge, else the nearest that way; down goes into a frame, and up or left out of it. */
export function neighbour(model, path, x, y) {
  const node = model.nodes.get(path)
  if (!node) return "start"
  const along = x > 0 ? model.targets(path).map((edge) => edge.to) : x < 0 ? model.edges.filter((edge) => edge.to === path).map((edge) => edge.from) : []
  if (along.length) return along.map((each) => model.nodes.get(each)).sort((one, other) => Math.abs(one.y - node.y) - Math.abs(other.y - node.y))[0].path
  if (y > 0 && node.frame) return `${path}.start`
  const near = nearest(model, node, x, y)
  return near ?? (keyOf(path) === "start" && (y < 0 || x < 0) && scopeOf(path) ? scopeOf(path) : path)
}

function nearest(model, node, x, y) {
  const middle = (each) => [each.x + each.w / 2, each.y + each.head / 2]
  const [mx, my] = middle(node)
  let best = null
  let least = Infinity
  for (const other of model.nodes.values()) {
    if (other === node || other.scope !== node.scope) continue
    const [dx, dy] = [middle(other)[0] - mx, middle(other)[1] - my]
    const ahead = dx * x + dy * y
    const aside = Math.abs(dx * y) + Math.abs(dy * x)
    if (ahead < 8 || aside > ahead * 3) continue
    if (ahead + 2 * aside < least) [best, least] = [other.path, ahead + 2 * aside]
  }
  return best
}
