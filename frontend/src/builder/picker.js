// The data picker: what comes before a step, by name, with type and sample, put where the caret is.
import { make } from "../behaviours/listen.js"

export class Picker {
  #target = null
  #begun = ""
  #values = []

  constructor(dialog, { values, changed }) {
    Object.assign(this, { dialog, load: values, changed })
    this.search = dialog.querySelector("#picker-search")
    this.list = dialog.querySelector("#picker-list")
    this.source = dialog.querySelector("#picker-source")
    this.search.addEventListener("input", () => this.#draw())
    this.search.addEventListener("keydown", (event) => this.#key(event))
    this.source.addEventListener("change", () => this.#fill().then(changed))
    this.list.addEventListener("click", (event) => this.#take(event.target.closest("[role=option]")))
  }

  /** Where samples come from: "pinned", "test", "last" or "schema". */
  get sample() {
    return this.source.value
  }

  async open(control, begun) {
    this.#target = control
    this.#begun = begun
    this.search.value = ""
    this.dialog.showModal()
    this.search.focus()
    await this.#fill()
  }

  async #fill() {
    const { values, source } = await this.load()
    this.#values = values
    this.dialog.querySelector("[data-picker-source]").textContent = source ? `from ${source}` : this.sample === "schema" ? "" : "no run yet"
    this.#draw()
  }

  #draw() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean)
    const shown = this.#values.filter(({ path }) => words.every((word) => path.toLowerCase().includes(word)))
    const groups = grouped(shown)
    let number = 0
    this.list.replaceChildren(...[...groups].map(([group, values]) =>
      make("div", { role: "group", "aria-label": group }, make("p", { class: "picker-group", "aria-hidden": "true" }, group), ...values.map((each) => this.#option(each, number++)))))
    if (!shown.length) this.list.replaceChildren(make("div", { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "help" }, this.#values.length ? "Nothing is called so." : "Nothing comes before this step."))
    this.#point(this.list.querySelector("[data-path]"))
  }
  #option({ path, type, sample }, number) {
    const option = make("div", { role: "option", class: "menu-item", id: `picked-${number}`, "data-path": path, "aria-selected": "false" },
      make("span", { class: "mono picker-path" }, path), make("span", { class: "chip" }, type))
    if (sample !== null && sample !== undefined) option.append(make("span", { class: "mono faint clip picker-sample" }, sample))
    return option
  }

  #point(option) {
    this.list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false")
    option?.setAttribute("aria-selected", "true")
    option?.scrollIntoView({ block: "nearest" })
    option ? this.search.setAttribute("aria-activedescendant", option.id) : this.search.removeAttribute("aria-activedescendant")
  }
  #key(event) {
    const options = [...this.list.querySelectorAll("[data-path]")]
    const at = options.findIndex((each) => each.getAttribute("aria-selected") === "true")
    if (event.key === "ArrowDown" || event.key === "ArrowUp") this.#point(options.at((at + (event.key === "ArrowDown" ? 1 : -1)) % options.length))
    else if (event.key === "Enter") this.#take(options[at])
    else return
    event.preventDefault()
  }

  #take(option) {
    const path = option?.dataset.path
    if (!path) return
    this.dialog.close()
    const control = this.#target
    const bare = control.dataset.bare !== undefined
    const text = bare ? path : this.#begun ? ` ${path} }}` : `{{ ${path} }}`
    const field = control.closest("code-field")
    if (field) return field.insert(text)
    control.focus()
    control.setRangeText(text, control.selectionStart, control.selectionEnd, "end")
    control.dispatchEvent(new Event("input", { bubbles: true }))
  }
}

function grouped(values) {
  const groups = new Map()
  for (const each of values) groups.set(each.group, [...(groups.get(each.group) ?? []), each])
  return groups
}
