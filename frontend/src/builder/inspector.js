// The form of the selected step, or of the flow. The server renders it when the selection changes; from then on it is typed in, and
// every keystroke is an edit of the document, which the canvas's history holds.
import { icon, make } from "../behaviours/listen.js"
import { firstKey, HANDLER } from "../flow-canvas/model/places.js"
import { read } from "./controls.js"
import { placeOf, valueAt, wordsOf } from "./places.js"
import { spoken } from "./problems.js"
import { ask, latest } from "./server.js"

const PAUSE = 300
const LONGEST_KEY = 32 // characters of a key that comes from a name

export class Inspector {
  #load = latest()
  #preview = latest()
  #timer = 0
  #known = ""
  #mine = false
  #shown = Promise.resolve()
  #faults = new Map()

  constructor(root, { canvas, urls, readonly, sample }) {
    Object.assign(this, { root, canvas, urls, readonly, sample, path: "", problems: [] })
    root.addEventListener("input", (event) => this.#typed(event.target))
    root.addEventListener("change", (event) => this.#chosen(event.target))
    root.addEventListener("schema", (event) => this.#schema(event))
    root.addEventListener("click", (event) => this.#clicked(event))
    root.addEventListener("submit", (event) => event.preventDefault())
    this.#arrived()
  }

  get place() {
    return placeOf(this.path)
  }
  get #step() {
    return valueAt(this.canvas.value, this.place)
  }

  /** Shows the form of another step; the same one again only where something else than the form has changed it. */
  show(path, { again = false } = {}) {
    if (path === HANDLER) return this.show("", { again }).then(() => this.#showHandler())
    if (path === this.path && !again) return this.#shown
    this.path = path
    return (this.#shown = this.#fetch(again))
  }

  /** The error handler is a part of the flow's form. */
  #showHandler() {
    const section = this.root.querySelector("[data-handler-kind]")?.closest("details")
    if (!section) return
    section.open = true
    section.scrollIntoView({ block: "nearest" })
  }

  async #fetch(again) {
    const focus = again ? this.root.querySelector(":focus")?.id : null
    const answer = await this.#load(this.urls.inspection, { document: this.canvas.value, place: this.place })
    if (!answer) return
    if (answer.status !== 200) {
      if (answer.status === 0 || answer.status >= 500 || answer.status === 401) this.#unreachable()
      return
    }
    const open = again ? new Set([...this.root.querySelectorAll("details[open]")].map((each) => each.dataset.section)) : new Set()
    this.root.innerHTML = answer.data.text
    for (const each of this.root.querySelectorAll("details")) if (open.has(each.dataset.section)) each.open = true
    this.#faults.clear()
    this.#arrived()
    if (focus) document.getElementById(focus)?.focus()
  }

  #unreachable() {
    this.root.replaceChildren(make("div", { class: "empty" }, icon("warning"), make("h2", { id: "inspector-title" }, "The form cannot be loaded"), make("p", {}, "The server does not answer. Your changes are kept; the form comes back with the connection.")))
    setTimeout(() => this.show(this.path, { again: true }), 4000)
  }

  #arrived() {
    this.#known = JSON.stringify(this.#form(this.#step))
    if (this.readonly) for (const each of this.root.querySelectorAll("input, textarea, select, button:not([data-inspector-close])")) each.disabled = true
    for (const field of this.root.querySelectorAll("code-field[data-lang=template]")) field.complete = () => this.values().then(({ values }) => values)
    this.#say()
    this.preview()
  }

  /** What of a step the form shows; its body and its place do not count. */
  #form(step) {
    if (!step || typeof step !== "object") return step
    if (this.path === "") {
      const { steps: _steps, edges: _edges, layout: _layout, on_error: handler, ...rest } = step
      return { ...rest, handler: Object.entries(handler?.steps ?? {}).map(([key, { kind, label }]) => [key, kind, label]) }
    }
    return step.with?.body ? { ...step, with: { ...step.with, body: step.with.body.output } } : step
  }

  /** After any change of the document: the form is loaded anew only where it says something else. */
  follow() {
    if (this.#mine) return
    if (this.#step === undefined) return this.show("")
    if (JSON.stringify(this.#form(this.#step)) !== this.#known) this.show(this.path, { again: true })
  }

  #set(pointer, value) {
    let words = wordsOf(pointer)
    while (value === undefined && words.length > 1 && words.at(-2) !== "with") {
      const holder = valueAt(this.#step, words.slice(0, -1))
      if (Array.isArray(holder) || Object.keys(holder ?? {}).some((key) => key !== words.at(-1))) break
      words = words.slice(0, -1) // a group without anything in it goes, too
    }
    if (JSON.stringify(valueAt(this.#step, words)) === JSON.stringify(value)) return
    this.#mine = true
    this.canvas.set(this.path, words, value)
    this.#mine = false
    this.#known = JSON.stringify(this.#form(this.#step))
  }

  #typed(target) {
    const control = target.closest("[data-at]")
    if (!control || control.dataset.as === "choice" || control.dataset.as === "box" || control.dataset.as === "several") return
    if (control.dataset.as === "schema") return this.#schemaText(control, target)
    this.#take(control)
    if (target.tagName === "TEXTAREA" && target.value.slice(0, target.selectionStart).endsWith("{{") && !target.closest("code-field")) {
      this.pick?.(target, "{{")
    }
  }
  #chosen(target) {
    if (target.dataset.rename !== undefined) return this.#rename(target)
    const control = target.closest("[data-at]")
    if (!control) return
    const detail = this.root.querySelector(`[data-detail-of="${CSS.escape(control.id)}"]`)
    if (detail) detail.textContent = target.selectedOptions[0].dataset.detail ?? ""
    if (control.dataset.at === "/label") this.#nameKey(control.value)
    if (control.dataset.as === "choice") this.#set(control.dataset.at, target.value === "" ? (control.dataset.reshapes === undefined ? undefined : "") : target.value)
    else if (["box", "several", "pairs"].includes(control.dataset.as)) this.#take(control)
    if (control.dataset.reshapes !== undefined) this.show(this.path, { again: true })
  }
  #take(control) {
    const { value, fault } = read(control)
    this.#fault(control.dataset.at, fault)
    if (fault) return
    this.#set(control.dataset.at, value)
    this.#later()
  }
  #fault(pointer, text) {
    text ? this.#faults.set(pointer, text) : this.#faults.delete(pointer)
    this.#say()
  }
  #schema(event) {
    const control = event.target.closest("[data-at]")
    control.querySelector("code-field").value = event.detail === undefined ? "" : JSON.stringify(event.detail, null, 2)
    this.#set(control.dataset.at, event.detail)
  }
  #schemaText(control, target) {
    if (target.tagName !== "TEXTAREA") return
    const { value, fault } = read({ dataset: { as: "json" }, value: target.value })
    this.#fault(control.dataset.at, fault)
    if (fault) return
    this.#set(control.dataset.at, value)
    control.querySelector("schema-rows").show()
  }
  /** A key that nobody chose follows the name. */
  #nameKey(label) {
    const target = this.root.querySelector("[data-rename]")
    const key = label.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^[^a-z]+|_+$/g, "").slice(0, LONGEST_KEY).replace(/_+$/, "")
    const kind = this.canvas.catalogue.kinds.find((each) => each.slug === this.#step?.kind)
    if (!target || !key || !kind || target.value.replace(/_\d+$/, "") !== firstKey(kind.slug, kind)) return
    const before = this.path
    this.path = [...before.split(".").slice(0, -1), key].join(".")
    this.#mine = true
    const fault = this.canvas.rename(before, key)
    this.#mine = false
    if (fault) return void (this.path = before)
    this.#known = JSON.stringify(this.#form(this.#step))
    this.root.querySelector("form").dataset.place = this.place.join(" ")
    this.root.querySelector("#f-key-help .mono").textContent = `steps.${key}.output`
    target.value = key
  }
  #rename(target) {
    const fault = this.canvas.rename(this.path, target.value.trim())
    const says = document.getElementById("f-key-says")
    says.replaceChildren(...(fault ? [make("p", { class: "error" }, icon("warning"), make("span", {}, fault))] : []))
    target.setAttribute("aria-invalid", String(Boolean(fault)))
  }

  #clicked(event) {
    const button = event.target.closest("button")
    if (!button) return
    const { append, drop, move, of, handlerStep } = button.dataset
    if (handlerStep !== undefined) return this.canvas.select(handlerStep ? [handlerStep] : [])
    if (button.dataset.handlerAdd !== undefined) return this.#addHandler(this.root.querySelector("[data-handler-kind]").value)
    if (button.dataset.handlerDrop !== undefined) return this.canvas.remove([button.dataset.handlerDrop])
    if (append !== undefined) this.#relist(append, (list) => [...list, JSON.parse(button.dataset.blank)], (list) => `${append}/${list.length - 1}`)
    else if (drop) this.#item(drop, (list, at) => list.toSpliced(at, 1))
    else if (of) this.#item(of, (list, at) => moved(list, at, Number(move)))
    else if (button.dataset.addRow !== undefined) this.#addRow(button.closest("[data-at]"))
    else if (button.dataset.dropRow !== undefined) {
      const control = button.closest("[data-at]")
      button.closest("[data-row]").remove()
      this.#take(control)
      control.querySelector("[data-add-row]").focus()
    } else if (button.dataset.insert !== undefined) {
      const control = document.getElementById(button.dataset.insert) ?? button.closest("[data-row]").querySelector("[data-value]")
      this.pick?.(control, "")
    }
  }
  /** A step behind the last of the error handler. */
  #addHandler(kind) {
    const path = this.canvas.model.addHandling(kind)
    this.canvas.select([path])
    return this.show(path).then(() => this.focusField(["label"]))
  }
  #addRow(control) {
    control.querySelector(".pairs").append(control.querySelector("template").content.cloneNode(true))
    control.querySelector(".pairs > :last-child input").focus()
  }
  #item(pointer, edit) {
    const words = wordsOf(pointer)
    const at = Number(words.pop())
    const holder = pointer.slice(0, pointer.lastIndexOf("/"))
    this.#relist(holder, (list) => edit(list, at), () => holder)
  }
  async #relist(pointer, edit, focus) {
    const list = edit(valueAt(this.#step, wordsOf(pointer)) ?? [])
    this.#set(pointer, list)
    await this.show(this.path, { again: true })
    const group = this.root.querySelector(`[data-group="${CSS.escape(focus(list))}"]`)
    ;(group?.querySelector("input, textarea, select") ?? group)?.focus()
  }

  // --- problems beside their fields

  /** Problems of the whole flow; those of this step are put beside their fields. */
  showProblems(problems) {
    this.problems = problems
    this.#say()
  }
  #say() {
    const place = this.place
    const slots = [...this.root.querySelectorAll("[data-says]")]
    const found = new Map(slots.map((slot) => [slot, []]))
    const rest = []
    const put = (pointer, content) => {
      const slot = slots.filter((each) => each.dataset.says && (pointer === each.dataset.says || pointer.startsWith(`${each.dataset.says}/`))).sort((a, b) => b.dataset.says.length - a.dataset.says.length)[0]
      slot ? found.get(slot).push(content) : rest.push(content)
    }
    for (const each of this.problems) {
      if (!place.every((part, at) => each.place[at] === part) || (this.path === "" && (each.place[0] === "steps" || each.place[1] === "steps")) || each.place.includes("body") && each.place.length > place.length + 4 && each.place[place.length + 2] === "steps") continue
      put(each.place.slice(place.length).map((part) => `/${part}`).join(""), { ...each })
    }
    for (const [pointer, message] of this.#faults) put(pointer, { message, mend: "", severity: "error" })
    for (const [slot, list] of found) {
      slot.replaceChildren(...list.map((each) => make("p", { class: each.severity === "warning" ? "error warned" : "error" }, icon("warning"), make("span", {}, ...spoken(each)))))
      const control = slot.closest(".field, .fields")?.querySelector("[data-at]")
      if (control && slot.closest("[data-field]")) list.some((each) => each.severity !== "warning") ? control.setAttribute("aria-invalid", "true") : control.removeAttribute("aria-invalid")
      if (list.length) slot.closest("details")?.setAttribute("open", "")
    }
    const head = this.root.querySelector(".inspector-head")
    this.root.querySelector(".step-says")?.remove()
    if (rest.length && this.path && head) head.after(make("div", { class: "step-says" }, ...rest.map((each) => make("p", { class: "error" }, icon("warning"), make("span", {}, ...spoken(each))))))
  }

  /** Puts the focus on the field that a place of the step is about. */
  focusField(words) {
    const pointer = words.map((word) => `/${word}`).join("")
    const known = [...this.root.querySelectorAll("[data-at], [data-group]")]
    const at = (each) => each.dataset.at ?? each.dataset.group
    const found = known.filter((each) => pointer === at(each) || pointer.startsWith(`${at(each)}/`)).sort((a, b) => at(b).length - at(a).length)[0]
    if (!found) return document.getElementById("inspector-title")?.focus()
    for (let outer = found.closest("details"); outer; outer = outer.parentElement.closest("details")) outer.open = true
    ;(found.closest("code-field") ?? found).focus()
    found.scrollIntoView({ block: "center" })
  }

  // --- data and previews

  async values() {
    const { status, data } = await ask(this.urls.values, { document: this.canvas.value, place: this.place, sample: this.sample() })
    return status === 200 ? data : { values: [], source: "" }
  }
  #later() {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.preview(), PAUSE)
  }
  async preview() {
    const lines = [...this.root.querySelectorAll("[data-preview]")]
    const texts = {}
    for (const line of lines) {
      const control = line.closest(".field, [data-row]").querySelector("[data-at], [data-value]")
      const bare = control.dataset.bare !== undefined
      if (bare ? control.value.trim() : control.value.includes("{{")) texts[line.dataset.preview] = { text: control.value, bare }
      else line.hidden = true
    }
    if (!Object.keys(texts).length) return
    const answer = await this.#preview(this.urls.previews, { document: this.canvas.value, place: this.place, sample: this.sample(), texts })
    if (answer?.status !== 200) return
    for (const line of lines) {
      const found = answer.data.previews[line.dataset.preview]
      line.hidden = !found || (found.state === "error" && line.nextElementSibling?.childElementCount > 0)
      if (line.hidden) continue
      line.dataset.state = found.state
      line.replaceChildren(...(found.state === "value" ? [make("span", { "aria-hidden": "true" }, "→ "), make("span", { class: "mono" }, found.text), make("span", { class: "faint" }, ` · ${answer.data.source}`)] : [[found.text, found.mend].filter(Boolean).join(". ")]))
    }
  }
}

function moved(list, at, step) {
  const to = at + step
  if (to < 0 || to >= list.length) return list
  const next = [...list]
  ;[next[at], next[to]] = [next[to], next[at]]
  return next
}
