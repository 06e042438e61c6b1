// How edges run. Most are one curve; a long one keeps level and looks for a passage between the nodes in its way; an error edge leaves by
// the bottom and turns corners.
const TURN = 64 // pixels that a curve takes at either end
const CLEAR = 10 // between an edge and a node that it passes
const ARROW = 7
const CORNER = 10

const round = (number) => Math.round(number * 10) / 10

/** {path, arrow, middle: {x, y}} for an edge between two nodes; `others` are nodes that it should not run behind. */
export function route(from, port, to, others) {
  const start = { x: from.x + port.x, y: from.y + port.y }
  const end = { x: to.x - 1, y: to.y + (to.frame ? 32 : to.head / 2) }
  const drawn = port.error ? corners(start, end, others) : end.x - start.x > 2 * TURN + 96 ? long(start, end, others) : curve(start, end)
  return { ...drawn, arrow: `M${round(end.x - ARROW)} ${round(end.y - 4.5)}L${round(end.x)} ${round(end.y)}L${round(end.x - ARROW)} ${round(end.y + 4.5)}Z` }
}

export function curve(start, end) {
  const dx = end.x - start.x
  const reach = dx >= 0 ? Math.max(dx / 2, 28) : Math.min(60 + -dx / 3, 220)
  const to = end.x - ARROW + 2
  return {
    path: `M${round(start.x)} ${round(start.y)}C${round(start.x + reach)} ${round(start.y)} ${round(to - reach)} ${round(end.y)} ${round(to)} ${round(end.y)}`,
    middle: { x: (start.x + end.x) / 2, y: (start.y + end.y) / 2 },
  }
}

function long(start, end, others) {
  const left = start.x + TURN
  const right = end.x - TURN
  const inWay = others.filter((node) => node.x < right && node.x + node.w > left)
  const blocked = (y) => inWay.some((node) => y > node.y - CLEAR && y < node.y + node.h + CLEAR)
  const levels = [end.y, start.y, ...inWay.flatMap((node) => [node.y - CLEAR - 6, node.y + node.h + CLEAR + 6])]
  const cost = (y) => Math.abs(y - start.y) + Math.abs(y - end.y) + Math.abs(y - (start.y + end.y) / 2) / 1000
  const free = levels.filter((y) => !blocked(y)).sort((one, other) => cost(one) - cost(other))
  if (!free.length || (!inWay.length && Math.abs(start.y - end.y) < 1)) return curve(start, end)
  const y = inWay.length ? free[0] : start.y
  const near = inWay.length ? left : right
  const to = end.x - ARROW + 2
  const path =
    `M${round(start.x)} ${round(start.y)}` +
    (Math.abs(y - start.y) < 1 ? `H${round(near)}` : `C${round(start.x + TURN / 2)} ${round(start.y)} ${round(left - TURN / 2)} ${round(y)} ${round(left)} ${round(y)}`) +
    `H${round(right)}C${round(right + TURN / 2)} ${round(y)} ${round(to - TURN / 2)} ${round(end.y)} ${round(to)} ${round(end.y)}`
  return { path, middle: { x: (left + right) / 2, y } }
}

/** From the bottom of a node to the left side of another; of the ways with few corners, one that runs behind no node, and the shortest of those. */
function corners(start, end, others) {
  const into = end.x - 20
  const down = start.y + 20
  const last = { x: end.x - ARROW + 2, y: end.y }
  const ways = [[start, { x: start.x, y: down }, { x: into, y: down }, { x: into, y: end.y }, last]]
  if (into >= start.x + CORNER && end.y > start.y + CORNER) ways.unshift([start, { x: start.x, y: end.y }, last])
  if (end.y < start.y) ways.push([start, { x: start.x, y: down }, { x: start.x + NODE_SIDE, y: down }, { x: start.x + NODE_SIDE, y: end.y }, last])
  for (const node of others) {
    const below = node.y + node.h + 20
    if (below > down && node.x < Math.max(end.x, start.x) && node.x + node.w > Math.min(end.x, start.x)) ways.push([start, { x: start.x, y: below }, { x: into, y: below }, { x: into, y: end.y }, last])
  }
  const points = ways.reduce((best, way) => (cost(way, others) < cost(best, others) ? way : best))
  return { path: rounded(points), middle: { x: (points[1].x + points[2].x) / 2, y: points[1].y } }
}
const NODE_SIDE = 124 // from the error port to beside its node

function cost(points, others) {
  let sum = points.length * CORNER
  for (let at = 1; at < points.length; at++) {
    const [one, other] = [points[at - 1], points[at]]
    const [left, right, top, bottom] = [Math.min(one.x, other.x), Math.max(one.x, other.x), Math.min(one.y, other.y), Math.max(one.y, other.y)]
    sum += right - left + bottom - top
    for (const node of others) if (left < node.x + node.w && right > node.x && top < node.y + node.h && bottom > node.y) sum += BEHIND
  }
  return sum
}
const BEHIND = 1500 // pixels of detour that running behind a node is worth

/** A line through the points with round corners. */
function rounded(points) {
  let path = `M${round(points[0].x)} ${round(points[0].y)}`
  for (let at = 1; at < points.length - 1; at++) {
    const [before, here, after] = points.slice(at - 1, at + 2)
    const reach = Math.min(CORNER, distance(before, here) / 2, distance(here, after) / 2)
    const [enter, leave] = [toward(here, before, reach), toward(here, after, reach)]
    path += `L${round(enter.x)} ${round(enter.y)}Q${round(here.x)} ${round(here.y)} ${round(leave.x)} ${round(leave.y)}`
  }
  const last = points[points.length - 1]
  return `${path}L${round(last.x)} ${round(last.y)}`
}
const distance = (one, other) => Math.hypot(one.x - other.x, one.y - other.y)
const toward = (from, to, reach) => {
  const far = distance(from, to) || 1
  return { x: from.x + ((to.x - from.x) * reach) / far, y: from.y + ((to.y - from.y) * reach) / far }
}
