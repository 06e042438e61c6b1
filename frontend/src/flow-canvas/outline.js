// The flow as a tree, complete without a pointer: `<flow-outline for="ID of a flow-canvas">` shows and edits that canvas's model.
//   arrows, Home, End  walk; right and left open and close a frame      Enter  the inspector      F2  another name
//   N  a step behind this one      L  where it leads      M  into a frame or out of it      E  a step for when a run fails
//   Delete      Ctrl Z, Ctrl Y
import { button, icon, make } from "./dom.js"
import { groupOf, iconOf } from "./looks.js"
import { handlerMenu, insertMenu, linkMenu, moveMenu } from "./menus.js"
import { edgesRead } from "./model/edges.js"
import { edgesOf, HANDLER, partAt, pathOf, stepsOf } from "./model/places.js"
import { scopeOf } from "./model.js"
import { Picker } from "./picker.js"

export class FlowOutline extends HTMLElement {
  #current = ""
  #closed = new Set()
  #listening = null

  connectedCallback() {
    if (!this.tree) this.#build()
    this.#listening = new AbortController()
    const { signal } = this.#listening
    this.canvas = document.getElementById(this.getAttribute("for"))
    this.canvas?.addEventListener("change", () => this.render(), { signal })
    this.canvas?.addEventListener("flow-canvas:drawn", () => this.render(), { signal })
    this.canvas?.addEventListener("select", (event) => this.#follow(event.detail.paths), { signal })
    customElements.whenDefined("flow-canvas").then(() => this.render())
  }
  disconnectedCallback() {
    this.#listening.abort()
    this.picker.close(false)
  }

  #build() {
    this.tree = make("ul", { class: "fo-tree", role: "tree", "aria-label": this.getAttribute("aria-label") ?? "Steps of the flow", "data-testid": "outline" })
    this.picker = new Picker(this)
    this.none = make("p", { class: "fo-none" }, "No steps yet. Add the first one.")
    const acts = [
      ...[button("Add a step after this one", "plus", { "data-act": "n" }), button("Connect this step", "link", { "data-act": "l" }), button("Rename", "edit", { "data-act": "F2" })],
      ...[button("Move into or out of a frame", "kind-map", { "data-act": "m" }), button("Add a step for when a run fails", "warning", { "data-act": "e" }), button("Delete", "trash", { "data-act": "Delete" })],
    ]
    this.acts = make("div", { class: "fo-acts", role: "toolbar", "aria-label": "Outline" }, acts)
    this.acts.addEventListener("click", (event) => {
      const act = event.target.closest("[data-act]")?.dataset.act
      if (act) this.#does(act)?.()
    })
    this.tree.addEventListener("keydown", (event) => this.#key(event))
    this.tree.addEventListener("click", (event) => this.#click(event))
    this.tree.addEventListener("dblclick", (event) => event.target.closest("[role=treeitem]") && this.#does("Enter")?.())
    this.append(this.acts, this.tree, this.none, this.picker.element)
  }

  get model() {
    return this.canvas?.model
  }
  get readonly() {
    return this.canvas?.readonly ?? true
  }

  render() {
    if (!this.model || !this.isConnected || this.renaming) return
    const had = this.tree.contains(document.activeElement)
    const items = this.#items("", 1)
    this.tree.replaceChildren(...items)
    this.none.hidden = items.length > 0
    this.tree.hidden = !items.length
    this.acts.hidden = this.readonly
    if (!this.#item(this.#current)) this.#current = this.tree.querySelector("[role=treeitem]")?.dataset.path ?? ""
    this.#mark()
    if (had) this.#item(this.#current)?.focus()
  }

  /** The items of a scope and of the open frames in it, as one flat list: levels say what is in what. */
  #items(scope, level) {
    const keys = [...inOrder(partAt(this.model.doc, scope)), ...(!scope && this.model.holds(HANDLER) ? [HANDLER] : [])]
    return keys.flatMap((key, at) => {
      const path = pathOf(scope, key)
      const inner = this.model.inside(path)
      const open = inner && !this.#closed.has(path)
      const row = this.#row(path, { level, place: at + 1, of: keys.length, open: inner ? String(open) : null })
      return open ? [row, ...this.#items(path, level + 1)] : [row]
    })
  }
  #row(path, { level, place, of, open }) {
    const { model } = this
    const step = model.step(path)
    const kind = model.kindAt(path)
    const face = model.face(path)
    const label = kind?.label ?? String(step?.kind ?? "")
    const problems = model.problemsOf(path)
    const bad = problems.some((each) => each.severity !== "warning")
    const unseen = [...face.badges.map((badge) => badge.words), ...problems.map((problem) => problem.message)]
    const row = make(
      "div",
      { class: "fo-row" },
      open === null ? make("span", { class: "fo-twist" }) : icon("chevron-right", "fo-twist"),
      icon(iconOf(step?.kind, kind), "fc-icon"),
      make("span", { class: "fo-name" }, face.title),
      " ",
      make("span", { class: "fo-kind" }, face.line && face.line !== label ? `${label} · ${face.line}` : label),
      problems.length ? make("span", { class: `fc-badge is-${bad ? "error" : "warning"}`, "aria-hidden": "true" }, icon(bad ? "problem" : "warning"), String(problems.length)) : null,
      unseen.length ? make("span", { class: "visually-hidden" }, ` ${unseen.join(", ")}`) : null,
      make("span", { class: "fo-leads" }, model.targets(path).map((edge) => lead(model, edge))),
    )
    row.style.marginInlineStart = `${(level - 1) * 24}px`
    const about = { "aria-level": level, "aria-posinset": place, "aria-setsize": of, "aria-expanded": open, "data-path": path, "data-group": groupOf(kind) }
    return make("li", { role: "treeitem", tabindex: "-1", "data-testid": "outline-item", ...about }, row)
  }

  #item(path) {
    return path ? this.tree.querySelector(`[data-path="${CSS.escape(path)}"]`) : null
  }
  #mark() {
    const chosen = new Set(this.canvas.selection)
    for (const item of this.tree.querySelectorAll("[role=treeitem]")) {
      item.tabIndex = item.dataset.path === this.#current ? 0 : -1
      item.setAttribute("aria-selected", String(chosen.has(item.dataset.path)))
    }
  }
  #follow([path]) {
    if (path && this.#item(path)) this.#current = path
    this.#mark()
  }
  #go(path) {
    if (!this.#item(path)) return
    this.#current = path
    this.canvas.select([path])
    this.#mark()
    this.#item(path).focus()
  }
  /** After an edit: the item is there at once, and has the focus. */
  #at(path) {
    this.#closed.delete(scopeOf(path))
    this.render()
    this.#go(path)
  }

  #click(event) {
    const item = event.target.closest("[role=treeitem]")
    if (!item || event.target.closest("input")) return
    if (event.target.closest(".fo-twist") && item.ariaExpanded) this.#open(item.dataset.path, item.ariaExpanded !== "true")
    this.#go(item.dataset.path)
  }
  #open(path, is) {
    if (is) this.#closed.delete(path)
    else this.#closed.add(path)
    this.render()
    this.#item(path)?.focus()
  }

  #key(event) {
    if (event.target.matches("input") || event.altKey) return
    const command = event.ctrlKey || event.metaKey
    const act = command ? this.#commands(event) : this.#walks(event.key) ?? this.#does(event.key.length === 1 ? event.key.toLowerCase() : event.key)
    if (!act) return
    event.preventDefault()
    event.stopPropagation()
    act()
  }
  #commands({ key, shiftKey }) {
    const letter = key.toLowerCase()
    if (letter === "z") return () => (shiftKey ? this.canvas.redo() : this.canvas.undo())
    return letter === "y" ? () => this.canvas.redo() : null
  }
  #walks(key) {
    const items = [...this.tree.querySelectorAll("[role=treeitem]")]
    const at = items.findIndex((item) => item.dataset.path === this.#current)
    const here = items[at]
    const to = (item) => item && (() => this.#go(item.dataset.path))
    switch (key) {
      case "ArrowDown":
        return to(items[at + 1])
      case "ArrowUp":
        return to(items[at - 1])
      case "Home":
        return to(items[0])
      case "End":
        return to(items.at(-1))
      case "ArrowRight":
        return here?.ariaExpanded === "false" ? () => this.#open(this.#current, true) : to(items.find((item) => scopeOf(item.dataset.path) === this.#current))
      case "ArrowLeft":
        return here?.ariaExpanded === "true" ? () => this.#open(this.#current, false) : to(this.#item(scopeOf(this.#current)))
    }
    return null
  }
  #does(key) {
    const path = this.#current
    if (key === "Enter") return path ? () => this.canvas.tell("open", { path }) : null
    if (this.readonly) return null
    if (key === "n" || key === "Insert") return () => this.#insert(path)
    if (key === "e") return () => this.#handling()
    if (!path) return null
    const back = () => this.#item(this.#current)?.focus()
    const at = this.#below(path)
    if (path === HANDLER && ["l", "m", "F2"].includes(key)) return null
    switch (key) {
      case "l":
        return this.model.ports(path).length ? () => this.picker.open(linkMenu(this.model, { path, at, returnTo: back, onrefused: (reason) => this.canvas.refuse(reason) })) : null
      case "m":
        return () => this.picker.open(moveMenu(this.model, { path, at, returnTo: back, onmoved: (next) => this.#at(next) }))
      case "F2":
        return () => this.#rename(path)
      case "Delete":
      case "Backspace":
        return () => this.#delete(path)
    }
    return null
  }
  #below(path) {
    const box = this.#item(path)?.querySelector(".fo-row").getBoundingClientRect()
    return box && { x: box.left + 24, y: box.bottom + 4 }
  }
  #handling() {
    const here = this.#current
    this.picker.open(handlerMenu(this.model, { at: this.#below(here), returnTo: () => this.#item(here)?.focus(), onadded: (added) => this.#at(added) }))
  }
  #insert(path) {
    if (path === HANDLER) return this.#handling()
    const from = path && this.model.ports(path).length ? path : Object.keys(stepsOf(this.model.doc)).length ? undefined : "start"
    const menu = insertMenu(this.model, { path: from, at: this.#below(path), returnTo: () => this.#item(this.#current)?.focus(), onadded: (added) => this.#at(added) })
    const inner = path && this.model.inside(path)
    if (inner && !Object.keys(stepsOf(inner)).length) Object.assign(menu, this.#into(path))
    this.picker.open(menu)
  }
  /** An empty frame gets its first step inside. */
  #into(path) {
    return { title: `First step in ${this.model.title(path)}`, chips: [], onpick: ({ id }) => this.#at(this.model.add(id, { scope: path })) }
  }
  #delete(path) {
    const items = [...this.tree.querySelectorAll("[role=treeitem]")].map((item) => item.dataset.path).filter((each) => !each.startsWith(`${path}.`))
    const next = items[items.indexOf(path) + 1] ?? items[items.indexOf(path) - 1] ?? ""
    this.model.remove([path])
    this.#current = next
    this.render()
    if (next) this.#go(next)
    else this.acts.querySelector("button").focus()
  }
  #rename(path) {
    const row = this.#item(path).querySelector(".fo-name")
    const input = make("input", { type: "text", class: "fo-input", "aria-label": `Name of ${this.model.title(path)}`, maxlength: 200 })
    input.value = this.model.title(path)
    this.renaming = true
    const done = (keep) => {
      if (!this.renaming) return
      this.renaming = false
      const text = input.value.trim()
      if (keep && text !== this.model.title(path)) this.model.set(path, "label", text || undefined)
      this.render()
      this.#item(path)?.focus()
    }
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === "Escape") event.preventDefault(), event.stopPropagation(), done(event.key === "Enter")
    })
    input.addEventListener("blur", () => done(true))
    row.replaceChildren(input)
    input.select()
    input.focus()
  }
}

const lead = (model, edge) =>
  make(
    "span",
    {},
    edge.port === "done" ? null : `${edge.port} `,
    make("span", { "aria-hidden": "true" }, "→ "),
    make("span", { class: "visually-hidden" }, "leads to "),
    model.title(edge.to),
  )

/** Keys of a part's steps so that each stands behind what leads to it; what nothing leads to, and notes, last. */
function inOrder(part) {
  const edges = edgesRead(edgesOf(part))
  const keys = Object.keys(stepsOf(part))
  const known = new Set(keys)
  const missing = new Map(keys.map((key) => [key, edges.filter((edge) => edge.to === key && known.has(edge.from)).length]))
  const begins = new Set(edges.filter((edge) => edge.from === "start").map((edge) => edge.to))
  const stack = keys.filter((key) => begins.has(key) && !missing.get(key)).reverse()
  const found = new Set()
  while (stack.length) {
    const key = stack.pop()
    if (found.has(key)) continue
    found.add(key)
    const next = edges.filter((edge) => edge.from === key && known.has(edge.to))
    for (const edge of next.reverse()) {
      missing.set(edge.to, missing.get(edge.to) - 1)
      if (!missing.get(edge.to)) stack.push(edge.to)
    }
  }
  return [...found, ...keys.filter((key) => !found.has(key))]
}

customElements.define("flow-outline", FlowOutline)
