// Layout from left to right, in layers (Sugiyama's method): layers by the longest way, order by the neighbours' middle, and heights by
// an exact least-squares fit that keeps the order and the gaps. A few milliseconds for hundreds of nodes, so it runs where it is asked.

const GAP_X = 88
const GAP_Y = 40
const THIN = 16 // the height that a long edge takes of a layer that it passes
const SWEEPS = 12

/**
 * Places for `nodes` [{id, w, h}] joined by `edges` [{from, to, at}], `at` being how far below the top of its node an edge leaves.
 * Gives a Map from id to {x, y}, the upper left corner; the whole begins at 0, 0. Nodes without edges stand in a row below.
 */
export function layered(nodes, edges) {
  const placed = new Map()
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const known = acyclic(nodes, edges.filter((edge) => byId.has(edge.from) && byId.has(edge.to) && edge.from !== edge.to))
  let top = 0
  const alone = []
  for (const ids of components(nodes, known)) {
    if (ids.length === 1) {
      alone.push(byId.get(ids[0]))
      continue
    }
    const inside = new Set(ids)
    const places = component(ids.map((id) => byId.get(id)), known.filter((edge) => inside.has(edge.from)))
    const low = Math.min(...[...places.values()].map((place) => place.y))
    let bottom = 0
    for (const [id, { x, y }] of places) {
      placed.set(id, { x, y: y - low + top })
      bottom = Math.max(bottom, y - low + byId.get(id).h)
    }
    top += bottom + GAP_Y * 1.5
  }
  row(alone, top, placed)
  return placed
}

function row(alone, top, placed) {
  const widest = Math.max(1200, Math.sqrt(alone.length) * 300)
  let x = 0
  let y = top
  let tall = 0
  for (const node of alone) {
    if (x && x + node.w > widest) {
      x = 0
      y += tall + GAP_Y
      tall = 0
    }
    placed.set(node.id, { x, y })
    x += node.w + GAP_Y
    tall = Math.max(tall, node.h)
  }
}

/** The edges without those that close a circle. */
function acyclic(nodes, edges) {
  const after = new Map(nodes.map((node) => [node.id, []]))
  for (const edge of edges) after.get(edge.from).push(edge)
  const state = new Map()
  const back = new Set()
  for (const { id } of nodes) {
    if (state.has(id)) continue
    const stack = [[id, 0]]
    state.set(id, 1)
    while (stack.length) {
      const frame = stack[stack.length - 1]
      const edge = after.get(frame[0])[frame[1]++]
      if (!edge) {
        state.set(frame[0], 2)
        stack.pop()
      } else if (state.get(edge.to) === 1) back.add(edge)
      else if (!state.has(edge.to)) {
        state.set(edge.to, 1)
        stack.push([edge.to, 0])
      }
    }
  }
  return edges.filter((edge) => !back.has(edge))
}

function components(nodes, edges) {
  const beside = new Map(nodes.map((node) => [node.id, []]))
  for (const { from, to } of edges) {
    beside.get(from).push(to)
    beside.get(to).push(from)
  }
  const seen = new Set()
  const found = []
  for (const { id } of nodes) {
    if (seen.has(id)) continue
    const ids = [id]
    seen.add(id)
    for (const each of ids) for (const next of beside.get(each)) if (!seen.has(next)) seen.add(next), ids.push(next)
    found.push(ids)
  }
  return found
}

function component(nodes, edges) {
  const rank = ranks(nodes, edges)
  const slots = new Map(nodes.map((node) => [node.id, { id: node.id, w: node.w, h: node.h, rank: rank.get(node.id), links: [], real: true }]))
  const layers = []
  const put = (slot) => ((layers[slot.rank] ??= []).push(slot), slot)
  for (const node of nodes) put(slots.get(node.id))
  for (const edge of edges) {
    let from = slots.get(edge.from)
    let at = edge.at ?? from.h / 2
    const to = slots.get(edge.to)
    for (let layer = from.rank + 1; layer < to.rank; layer++) {
      const passing = put({ w: 0, h: THIN, rank: layer, links: [], real: false })
      link(from, at, passing)
      from = passing
      at = THIN / 2
    }
    link(from, at, to)
  }
  order(layers)
  heights(layers)
  const places = new Map()
  let x = 0
  for (const layer of layers) {
    const wide = Math.max(...layer.map((slot) => slot.w))
    for (const slot of layer) if (slot.real) places.set(slot.id, { x, y: Math.round(slot.y / 4) * 4 })
    x += wide + GAP_X
  }
  return places
}

/** A link pulls `to` so that its middle lies at the height where the edge leaves `from`. */
function link(from, at, to) {
  const weight = from.real && to.real ? 1 : from.real || to.real ? 2 : 8
  from.links.push({ slot: to, mine: at, other: to.h / 2, weight, forward: true })
  to.links.push({ slot: from, mine: to.h / 2, other: at, weight, forward: false })
}

function ranks(nodes, edges) {
  const rank = new Map(nodes.map((node) => [node.id, 0]))
  const missing = new Map(nodes.map((node) => [node.id, 0]))
  const after = new Map(nodes.map((node) => [node.id, []]))
  for (const { from, to } of edges) {
    after.get(from).push(to)
    missing.set(to, missing.get(to) + 1)
  }
  const ready = nodes.filter((node) => !missing.get(node.id)).map((node) => node.id)
  for (const id of ready) {
    for (const next of after.get(id)) {
      rank.set(next, Math.max(rank.get(next), rank.get(id) + 1))
      missing.set(next, missing.get(next) - 1)
      if (!missing.get(next)) ready.push(next)
    }
  }
  for (const { id } of nodes) {
    const first = Math.min(...after.get(id).map((next) => rank.get(next)))
    if (Number.isFinite(first) && !edges.some((edge) => edge.to === id)) rank.set(id, Math.max(first - 1, 0)) // a source stands beside what it leads to
  }
  return rank
}

function order(layers) {
  for (const layer of layers) layer.forEach((slot, at) => (slot.order = at))
  let best = layers.map((layer) => [...layer])
  let fewest = crossings(layers)
  for (let sweep = 0; sweep < SWEEPS && fewest; sweep++) {
    const forward = sweep % 2 === 0
    for (let step = 1; step < layers.length; step++) {
      const layer = layers[forward ? step : layers.length - 1 - step]
      for (const slot of layer) {
        const near = slot.links.filter((each) => each.forward !== forward)
        slot.middle = near.length ? near.reduce((sum, each) => sum + each.slot.order + each.other / 1000, 0) / near.length : slot.order
      }
      layer.sort((one, other) => one.middle - other.middle || one.order - other.order)
      layer.forEach((slot, at) => (slot.order = at))
    }
    const count = crossings(layers)
    if (count < fewest) {
      fewest = count
      best = layers.map((layer) => [...layer])
    }
  }
  best.forEach((layer, at) => {
    layers[at] = layer
    layer.forEach((slot, place) => (slot.order = place))
  })
}

function crossings(layers) {
  let count = 0
  for (const layer of layers) {
    const lines = layer.flatMap((slot) =>
      slot.links.filter((each) => each.forward).map((each) => [slot.order + each.mine / 1000, each.slot.order]),
    )
    lines.sort((one, other) => one[0] - other[0] || one[1] - other[1])
    for (let at = 0; at < lines.length; at++) for (let next = at + 1; next < lines.length; next++) if (lines[at][1] > lines[next][1]) count++
  }
  return count
}

function heights(layers) {
  for (const layer of layers) {
    let y = 0
    for (const slot of layer) {
      slot.y = y
      y += slot.h + GAP_Y
    }
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forward = sweep % 2 === 0
    for (let step = 0; step < layers.length; step++) fit(layers[forward ? step : layers.length - 1 - step], sweep < SWEEPS - 2 ? forward : null)
  }
}

/** Each slot as near as can be to where its links want it (those from one side, or all), in order and with gaps: pooled adjacent violators. */
function fit(layer, forward) {
  const blocks = []
  let offset = 0
  layer.forEach((slot, at) => {
    const pulls = slot.links.filter((each) => forward === null || each.forward !== forward)
    const weight = pulls.reduce((sum, each) => sum + each.weight, 0)
    const wanted = weight ? pulls.reduce((sum, each) => sum + each.weight * (each.slot.y + each.other - each.mine), 0) / weight : slot.y
    if (at) offset += layer[at - 1].h + (layer[at - 1].real || slot.real ? GAP_Y : GAP_Y / 2)
    slot.offset = offset
    blocks.push({ slots: [slot], weight: weight || 0.1, sum: (weight || 0.1) * (wanted - offset) })
    while (blocks.length > 1) {
      const last = blocks[blocks.length - 1]
      const before = blocks[blocks.length - 2]
      if (before.sum / before.weight <= last.sum / last.weight) break
      before.slots.push(...last.slots)
      before.weight += last.weight
      before.sum += last.sum
      blocks.pop()
    }
  })
  for (const block of blocks) for (const slot of block.slots) slot.y = block.sum / block.weight + slot.offset
}
