// The model of the canvas, without a screen: node --test tests/frontend
import assert from "node:assert/strict"
import { test } from "node:test"
import { FlowModel, keyOf, scopeOf, walk } from "../../frontend/src/flow-canvas/model.js"
import { portsOf } from "../../frontend/src/flow-canvas/model/ports.js"
import { CATALOGUE } from "./catalogue.mjs"

const REFUND = {
  orchestrator: 1,
  name: "Refund decision",
  steps: {
    classify: { kind: "model", with: { route: "balanced", prompt: "Sort {{ input.message }}" }, limits: { cost: "0.05" }, retry: { attempts: 3 } },
    decide: { kind: "branch", with: { cases: [{ port: "large", when: "steps.classify.output.topic == 'refund'" }], else: "other" } },
    approve: { kind: "approval", with: { seals: "refund", outcomes: { approve: "approve", reject: "reject" } } },
    refund: { kind: "tool", with: { tool: "refunds.create", arguments: { topic: "{{ steps['classify'].output }}" } } },
    notify: { kind: "tool", with: { tool: "mail.send" } },
  },
  edges: ["start -> classify", "classify -> decide", "classify.error -> notify", "decide.large -> approve", "approve.approve -> refund"],
  output: { done: "{{ steps.refund.output is not None }}" },
}
const NESTED = {
  orchestrator: 1,
  name: "Nested",
  steps: {
    split: { kind: "set", with: { values: { x: 1 } } },
    rate: {
      kind: "map",
      with: {
        over: "steps.split.output.x",
        body: { steps: { assess: { kind: "model", with: { prompt: "{{ steps.split.output }}" } }, note: { kind: "note", with: { text: "Hm" } } }, edges: ["start -> assess"], output: "{{ steps.assess.output }}" },
      },
    },
  },
  edges: ["start -> split", "split -> rate"],
}

function modelOf(doc, options) {
  const told = []
  const model = new FlowModel({ onchange: (change) => told.push(change), ...options })
  model.catalogue = CATALOGUE
  model.load(doc)
  return { model, told }
}

test("ports follow the kind's rule", () => {
  const { model } = modelOf(REFUND)
  assert.deepEqual(model.ports("decide"), ["large", "other", "error"])
  assert.deepEqual(model.ports("approve"), ["approve", "reject", "error"])
  assert.deepEqual(portsOf({ kind: "note" }, model.kind("note")), [])
  assert.deepEqual(portsOf({}, model.kind("tool"), { ports: ["done", "late"] }), ["done", "late"])
})

test("an edge from a port that the kind does not have is kept and shown", () => {
  const { model } = modelOf({ ...REFUND, edges: [...REFUND.edges, "notify.gone -> refund"] })
  assert.deepEqual(model.ports("notify"), ["done", "gone", "error"])
  assert.equal(model.isPortKnown("notify", "gone"), false)
})

test("a connection is refused with its reason", () => {
  const { model, told } = modelOf(NESTED)
  assert.match(model.connect("rate", "done", "split"), /circle/)
  assert.match(model.connect("split", "done", "split"), /itself/)
  assert.match(model.connect("split", "done", "rate.assess"), /inside Rate/)
  assert.match(model.connect("split", "done", "start"), /begins there/)
  assert.match(model.connect("split", "done", "rate"), /already/)
  assert.match(model.connect("rate.assess", "done", "rate.note"), /note/)
  assert.equal(told.length, 0)
  assert.equal(model.doc, NESTED)
})

test("a step is added behind a port, wired, and stands free", () => {
  const { model, told } = modelOf(REFUND)
  const path = model.add("tool", { after: { path: "decide", port: "other" } })
  assert.ok(model.doc.edges.includes(`decide.other -> ${path}`))
  assert.equal(told.length, 1)
  noOverlaps(model)
})

test("a step on an edge keeps the way", () => {
  const { model } = modelOf(REFUND)
  const path = model.add("set", { between: "|classify -> decide" })
  assert.ok(!model.doc.edges.includes("classify -> decide"))
  assert.ok(model.doc.edges.includes(`classify -> ${path}`) && model.doc.edges.includes(`${path} -> decide`))
  noOverlaps(model)
})

test("the first step of an empty flow is where it begins", () => {
  const { model } = modelOf({ orchestrator: 1, name: "New" })
  model.add("model")
  assert.deepEqual(model.doc.edges, ["start -> model"])
})

test("deleting heals a linear gap and leaves others open", () => {
  const { model } = modelOf(REFUND)
  model.remove(["approve"])
  assert.ok(model.doc.edges.includes("decide.large -> refund"))
  model.remove(["classify"])
  assert.ok(model.doc.edges.includes("start -> decide"))
  assert.ok(!model.doc.edges.some((edge) => edge.includes("notify")))
})

test("renaming follows edges, places, seals and expressions, not other words", () => {
  const doc = { ...REFUND, layout: { classify: [8, 8] }, steps: { ...REFUND.steps, other: { kind: "model", with: { prompt: "steps.classify stays {{ x.steps.classify }} {{ steps.classify_2 }}" } } } }
  const { model } = modelOf(doc)
  assert.equal(model.rename("classify", "sort"), "")
  assert.equal(model.rename("refund", "pay"), "")
  assert.deepEqual(model.doc.edges.slice(0, 3), ["start -> sort", "sort -> decide", "sort.error -> notify"])
  assert.deepEqual(model.doc.layout, { sort: [8, 8] })
  assert.equal(model.doc.steps.approve.with.seals, "pay")
  assert.equal(model.doc.steps.decide.with.cases[0].when, "steps.sort.output.topic == 'refund'")
  assert.equal(model.doc.steps.pay.with.arguments.topic, "{{ steps['sort'].output }}")
  assert.equal(model.doc.output.done, "{{ steps.pay.output is not None }}")
  assert.equal(model.doc.steps.other.with.prompt, doc.steps.other.with.prompt)
  assert.deepEqual(Object.keys(model.doc.steps), ["sort", "decide", "approve", "pay", "notify", "other"])
})

test("an outer name reaches into bodies, unless they have a step of that name", () => {
  const { model } = modelOf(NESTED)
  assert.equal(model.rename("split", "cut"), "")
  assert.equal(model.doc.steps.rate.with.over, "steps.cut.output.x")
  assert.equal(model.doc.steps.rate.with.body.steps.assess.with.prompt, "{{ steps.cut.output }}")
  assert.match(model.rename("cut", "assess"), /assess/)
  assert.match(model.rename("cut", "rate"), /already/)
  assert.match(model.rename("cut", "loop"), /reserved/)
  assert.match(model.rename("cut", "<b>"), /small letters/)
})

test("typing in one field is one step of history", () => {
  let now = 0
  const { model } = modelOf(REFUND, { now: () => now })
  for (const text of ["H", "Ho", "How"]) model.set("classify", "with.prompt", text), (now += 300)
  model.set("classify", "/with/system", "You")
  now += 2000
  model.set("classify", "with.system", "You sort")
  assert.equal(model.undo(), "Edit Classify")
  assert.equal(model.undo(), "Edit Classify")
  assert.equal(model.doc.steps.classify.with.prompt, "How")
  model.undo()
  assert.deepEqual(model.doc, REFUND)
  model.set("decide", ["with", "cases", "0", "port"], "big")
  assert.equal(model.doc.steps.decide.with.cases[0].port, "big")
  model.set("classify", "limits", undefined)
  assert.ok(!("limits" in model.doc.steps.classify))
})

test("more than a hundred steps can be undone and done again", () => {
  const { model } = modelOf(REFUND)
  for (let at = 0; at < 130; at++) model.move(["decide"], 8, at % 3)
  const last = model.doc
  for (let at = 0; at < 130; at++) assert.ok(model.undo())
  assert.equal(model.undo(), "")
  assert.deepEqual(model.doc, REFUND)
  while (model.redo());
  assert.deepEqual(model.doc, last)
})

test("the error handler is a frame below the flow, and its steps are steps", () => {
  const { model } = modelOf({ ...REFUND, on_error: { steps: { tell: { kind: "tool", with: { arguments: { topic: "{{ steps.classify.output }}" } } } }, edges: ["start -> tell"] } })
  const frame = model.nodes.get("error")
  const others = [...model.nodes.values()].filter((node) => !node.path.startsWith("error"))
  assert.ok(frame.frame && frame.y > Math.max(...others.map((node) => node.y + node.h)))
  assert.deepEqual(model.edges.filter((edge) => edge.scope === "error").map(({ from, to }) => [from, to]), [["error.start", "error.tell"]])
  assert.equal(model.title("error"), "When a run fails")
  assert.deepEqual(model.find("tell"), ["error.tell"])
  model.problems = [{ path: "on_error.steps.tell.with.tool" }, { path: "on_error.steps" }]
  assert.deepEqual([model.problemsOf("error.tell").length, model.problemsOf("error").length], [1, 1])
  assert.match(model.connect("classify", "error", "error"), /begins by itself/)
  assert.match(model.connect("classify", "error", "error.tell"), /inside the error handler/)

  assert.equal(model.rename("classify", "sort"), "")
  assert.equal(model.doc.on_error.steps.tell.with.arguments.topic, "{{ steps.sort.output }}")
  assert.equal(model.addHandling("wait"), "error.wait")
  assert.deepEqual(model.doc.on_error.edges, ["start -> tell", "tell -> wait"])
  assert.equal(model.add("set", { at: { x: frame.x + 60, y: frame.y + frame.h - 8 } }), "error.set")
  assert.equal(model.rename("error.wait", "notify"), "“notify” is the key of a step in the flow; expressions could not tell them apart.")
  assert.equal(model.moveInto("error.set", ""), "set")
  const { x, y } = model.nodes.get("error")
  model.move(["error"], 40, 40)
  assert.deepEqual(model.doc.layout.error, [x + 40, y + 40])
  noOverlaps(model)
})

test("the error handler comes with its first step and goes with its last", () => {
  const { model } = modelOf(REFUND)
  const first = model.addHandling("tool")
  assert.deepEqual(model.doc.on_error, { steps: { tool: { kind: "tool" } }, edges: ["start -> tool"] })
  model.remove([first])
  assert.ok(!("on_error" in model.doc) && !Object.keys(model.doc.layout).some((path) => path.startsWith("error")))
  model.undo()
  assert.ok(model.has(first))
  model.remove(["error"])
  assert.ok(!("on_error" in model.doc))
})

test("a step that goes on when it has failed leaves by done", () => {
  const { model } = modelOf({ ...REFUND, steps: { ...REFUND.steps, decide: { ...REFUND.steps.decide, on_error: "continue" } } })
  assert.deepEqual(model.ports("decide"), ["large", "other", "done", "error"])
  model.connect("decide", "done", "notify")
  assert.ok(model.isPortKnown("decide", "done") && model.doc.edges.includes("decide -> notify"))
})

test("what is copied comes back with its inner edges under free keys", () => {
  const { model } = modelOf(REFUND)
  const piece = JSON.parse(JSON.stringify(model.piece(["classify", "decide", "approve"])))
  assert.deepEqual(piece.edges, ["classify -> decide", "decide.large -> approve"])
  assert.deepEqual(model.paste(piece, { at: { x: 0, y: 600 } }), ["classify_2", "decide_2", "approve_2"])
  assert.ok(model.doc.edges.includes("classify_2 -> decide_2"))
  assert.equal(model.doc.steps.decide_2.with.cases[0].when, "steps.classify_2.output.topic == 'refund'")
  const { model: other } = modelOf({ orchestrator: 1, name: "Empty", steps: {}, edges: [] })
  assert.deepEqual(other.paste(piece), ["classify", "decide", "approve"])
})

test("what is no piece of a flow is refused in words, and nothing changes", () => {
  const { model, told } = modelOf(REFUND)
  const refused = (value, words) => assert.throws(() => model.paste(value), words)
  refused(null, /not a piece/)
  refused("text", /not a piece/)
  refused({ nodes: [], connections: {} }, /no `steps`/)
  refused({ steps: {} }, /no steps/)
  refused({ orchestrator: 2, steps: { a: { kind: "set" } } }, /version 2/)
  refused({ steps: { "<script>alert(1)</script>": { kind: "set" } } }, /cannot be the key/)
  refused({ steps: { a: { name: "x" } } }, /no kind/)
  refused({ steps: Object.fromEntries(Array.from({ length: 1200 }, (_, at) => [`s${at}`, { kind: "set" }])) }, /more than 1000/)
  assert.equal(told.length, 0)
  assert.equal(model.doc, REFUND)
})

test("a step moves into a frame and out of it", () => {
  const { model } = modelOf(NESTED)
  const inside = model.moveInto("split", "rate")
  assert.equal(inside, "rate.split")
  assert.deepEqual(model.doc.edges, ["start -> rate"])
  assert.equal(model.moveInto("rate", "rate"), "rate")
  assert.equal(model.moveInto(inside, ""), "split")
  noOverlaps(model)
})

test("problems and states find their node by any kind of path", () => {
  const { model } = modelOf(NESTED)
  model.problems = [{ path: "steps.rate.with.body.steps.assess.with.prompt", severity: "error", message: "No such step" }, { path: "rate[3].assess", severity: "warning", message: "Hm" }]
  assert.equal(model.problemsOf("rate.assess").length, 2)
  assert.equal(model.problemsOf("rate").length, 0)
  assert.equal(model.face("rate.assess").badges.at(-1).words, "1 problem")
})

test("the layout of 300 nodes has no overlaps, frames hold their contents, and one undo restores", () => {
  const doc = wide(300)
  const { model } = modelOf(doc)
  model.layout()
  noOverlaps(model)
  for (const node of model.nodes.values()) {
    const frame = model.nodes.get(scopeOf(node.path))
    if (frame) assert.ok(node.x >= frame.x && node.y >= frame.y + frame.head && node.x + node.w <= frame.x + frame.w && node.y + node.h <= frame.y + frame.h)
  }
  model.undo()
  assert.equal(model.doc, doc)
})

test("laying out a selection leaves the others where they are", () => {
  const { model } = modelOf(REFUND)
  model.move(["notify"], 40, 400)
  const before = model.doc.layout
  model.layout(["decide", "approve", "refund"])
  for (const key of ["classify", "notify", "start"]) assert.deepEqual(model.doc.layout[key], before[key])
  noOverlaps(model)
})

for (let seed = 1; seed <= 60; seed++) {
  test(`whatever is done can be undone to the first document, seed ${seed}`, () => {
    const doc = seed % 2 ? REFUND : NESTED
    const random = randomOf(seed)
    let now = 0
    const { model, told } = modelOf(structuredClone(doc), { now: () => (now += random() * 1500) })
    const pieces = []
    for (let at = 0; at < 60; at++) act(model, random, pieces)
    const last = JSON.stringify(model.doc)
    noOverlapsOfKeys(model)
    let undone = 0
    while (model.undo()) undone++
    assert.deepEqual(model.doc, doc)
    for (let at = 0; at < undone; at++) model.redo()
    assert.equal(JSON.stringify(model.doc), last)
    assert.ok(told.length >= undone)
  })
}

function act(model, random, pieces) {
  const any = (list) => list[Math.floor(random() * list.length)]
  const paths = [...walk(model.doc)].map(({ path }) => path)
  const all = [...model.nodes.keys()]
  const path = any(paths)
  const verbs = [
    () => model.add(any(CATALOGUE.kinds).slug, any([{}, { at: { x: random() * 900, y: random() * 500 } }])),
    () => all.length && model.add(any(CATALOGUE.kinds).slug, { after: any(all.map((each) => ({ path: each, port: any(model.ports(each)) ?? "done" }))) }),
    () => model.edges.length && model.add("set", { between: any(model.edges).id }),
    () => model.connect(any(all), "done", any(all)),
    () => model.addHandling(any(CATALOGUE.kinds).slug),
    () => path && model.remove([path, any([...paths, "error"])], any([[], model.edges.slice(0, 1).map((edge) => edge.id)])),
    () => path && model.rename(path, any(["alpha", "beta", "gamma", "start", keyOf(path)])),
    () => path && model.set(path, any(["label", "with.prompt", "retry.attempts"]), any(["x", 3, undefined])),
    () => model.move([any(all), any(all)], random() * 200 - 100, random() * 200 - 100),
    () => model.layout(any([[], all.slice(0, 4)])),
    () => path && pieces.push(structuredClone(model.piece([path, any(paths)]))),
    () => pieces.length && model.paste(any(pieces), any([{}, { at: { x: 50, y: 50 } }])),
    () => path && model.duplicate([path]),
    () => path && model.moveInto(path, any(["", ...all.filter((each) => model.inside(each))])),
    () => model.undo(),
    () => model.redo(),
  ]
  any(verbs)()
}

function noOverlapsOfKeys(model) {
  for (const edge of model.edges) assert.ok(model.nodes.has(edge.from) && model.nodes.has(edge.to))
  for (const node of model.nodes.values()) assert.ok([node.x, node.y, node.w, node.h].every(Number.isFinite), JSON.stringify(node))
}

function noOverlaps(model) {
  const nodes = [...model.nodes.values()]
  for (const one of nodes)
    for (const other of nodes)
      if (one.path < other.path && one.scope === other.scope)
        assert.ok(one.x + one.w <= other.x || other.x + other.w <= one.x || one.y + one.h <= other.y || other.y + other.h <= one.y, `${one.path} and ${other.path} overlap`)
}

function wide(count) {
  const random = randomOf(7)
  const steps = {}
  const edges = ["start -> s0"]
  for (let at = 0; at < count; at++) {
    steps[`s${at}`] = at % 40 === 20 ? structuredClone(NESTED.steps.rate) : { kind: "check", with: {} }
    if (at) edges.push(`s${Math.max(0, at - 1 - Math.floor(random() * 6))}.${["pass", "fail", "error"][at % 3]} -> s${at}`)
  }
  return { orchestrator: 1, name: "Wide", steps, edges }
}

function randomOf(seed) {
  return () => {
    seed = (seed * 1664525 + 1013904223) >>> 0
    return seed / 2 ** 32
  }
}
