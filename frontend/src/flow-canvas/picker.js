// A searchable list over the canvas: what to insert, where to lead, what to go to. A combobox with a listbox; Escape closes it.
import { icon, make } from "./dom.js"

let made = 0

export class Picker {
  constructor(host) {
    this.host = host
    const id = `fc-picker-${++made}`
    this.title = make("p", { class: "fc-picker-title", id: `${id}-title` })
    this.chips = make("div", { class: "fc-chips", role: "radiogroup", "aria-label": "From port" })
    this.input = make("input", { type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": `${id}-list`, "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false" })
    this.list = make("div", { class: "fc-options", role: "listbox", id: `${id}-list`, "aria-labelledby": `${id}-title` })
    this.none = make("p", { class: "fc-none", role: "status" })
    this.element = make(
      "div",
      { class: "fc-picker nopan nowheel", role: "dialog", "aria-labelledby": `${id}-title`, hidden: true, "data-testid": "canvas-menu" },
      make("div", { class: "fc-picker-head" }, this.title, this.chips),
      make("div", { class: "fc-picker-search" }, icon("search"), this.input),
      this.list,
      this.none,
    )
    this.element.addEventListener("mousedown", (event) => event.target !== this.input && event.preventDefault()) // the focus stays in the field
    this.input.addEventListener("input", () => this.#fill())
    this.element.addEventListener("keydown", (event) => this.#key(event))
    this.element.addEventListener("focusout", (event) => {
      if (this.isOpen && event.relatedTarget && !this.element.contains(event.relatedTarget)) this.close(false)
    })
    this.outside = (event) => !this.element.contains(event.target) && this.close(false)
  }

  get isOpen() {
    return !this.element.hidden
  }

  /**
   * Opens at a point of the window. `options(text, chip)` gives [{id, label, line?, icon?, group?, hint?, refused?}]; `onpick(option, chip)`;
   * `chips`: names of ports to choose from; `refused` says why an option cannot be taken.
   */
  open({ title, placeholder, options, onpick, chips = [], chip = chips[0], at, returnTo }) {
    Object.assign(this, { options, onpick, chosen: chip, returnTo })
    this.title.textContent = title
    this.input.placeholder = placeholder
    this.input.setAttribute("aria-label", placeholder)
    this.input.value = ""
    this.#chips(chips)
    this.element.hidden = false
    this.#fill()
    this.#stand(at)
    this.input.focus({ preventScroll: true })
    addEventListener("pointerdown", this.outside, true)
  }
  close(back = true) {
    if (!this.isOpen) return
    this.element.hidden = true
    removeEventListener("pointerdown", this.outside, true)
    if (back) this.returnTo?.()
    this.onclose?.()
  }

  #stand(at) {
    const box = this.host.getBoundingClientRect()
    const { offsetWidth: w, offsetHeight: h } = this.element
    const { style } = this.element
    const x = Math.min(Math.max((at?.x ?? box.left + box.width / 2 - w / 2) - box.left, 8), Math.max(box.width - w - 8, 8))
    const y = Math.min(Math.max((at?.y ?? box.top + 64) - box.top, 8), Math.max(box.height - h - 8, 8))
    style.left = `${x}px`
    style.top = `${y}px`
  }

  #chips(names) {
    this.chips.hidden = names.length < 2
    this.chips.replaceChildren(
      ...names.map((name) => {
        const chip = make("button", { type: "button", class: `fc-chip${name === "error" ? " is-error" : ""}`, role: "radio", "aria-checked": String(name === this.chosen), tabindex: name === this.chosen ? "0" : "-1", "data-chip": name }, name)
        chip.addEventListener("click", () => this.#choose(name))
        return chip
      }),
    )
  }
  #choose(name, focus = false) {
    this.chosen = name
    for (const chip of this.chips.children) {
      const is = chip.dataset.chip === name
      chip.setAttribute("aria-checked", String(is))
      chip.tabIndex = is ? 0 : -1
      if (is && focus) chip.focus()
    }
    this.#fill()
    if (!focus) this.input.focus({ preventScroll: true })
  }

  #fill() {
    this.shown = this.options(this.input.value.trim().toLowerCase(), this.chosen)
    let group
    this.list.replaceChildren(
      ...this.shown.flatMap((option, at) => {
        const head = option.group && option.group !== group ? [make("div", { class: "fc-group", role: "presentation" }, option.group)] : []
        group = option.group
        return [...head, this.#option(option, at)]
      }),
    )
    this.list.hidden = !this.shown.length
    this.none.textContent = this.shown.length ? "" : "Nothing matches."
    this.#point(Math.max(this.shown.findIndex((option) => !option.refused), 0), false)
  }
  #option(option, at) {
    const element = make(
      "div",
      { class: "fc-option", role: "option", id: `${this.list.id}-${at}`, "aria-selected": "false", "aria-disabled": option.refused ? "true" : null, "data-option": option.id, "data-group": option.tone ?? null },
      option.icon ? icon(option.icon, "fc-icon") : null,
      make("span", { class: "fc-option-words" }, make("span", {}, option.label), option.refused || option.line ? make("span", { class: "fc-line" }, option.refused || option.line) : null),
      option.hint ? make("span", { class: "fc-hint" }, option.hint) : null,
    )
    element.addEventListener("pointermove", () => this.pointed !== at && this.#point(at, false))
    element.addEventListener("click", () => this.#pick(at))
    return element
  }
  #point(at, scroll = true) {
    this.pointed = at
    const options = this.list.querySelectorAll("[role=option]")
    options.forEach((each, index) => each.setAttribute("aria-selected", String(index === at)))
    this.input.setAttribute("aria-activedescendant", options[at]?.id ?? "")
    if (scroll) options[at]?.scrollIntoView({ block: "nearest" })
  }
  #pick(at) {
    const option = this.shown[at]
    if (!option || option.refused) return
    this.close(!option.keeps)
    this.onpick(option, this.chosen)
  }

  #key(event) {
    event.stopPropagation()
    const chip = event.target.closest?.("[data-chip]")
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key]
    if (event.key === "Escape") this.close()
    else if (chip && ["ArrowRight", "ArrowLeft"].includes(event.key)) {
      const names = [...this.chips.children].map((each) => each.dataset.chip)
      this.#choose(names[(names.indexOf(this.chosen) + (event.key === "ArrowRight" ? 1 : -1) + names.length) % names.length], true)
    } else if (step) this.#point(Math.min(Math.max(this.pointed + step, 0), this.shown.length - 1))
    else if (event.key === "Enter" && !chip) this.#pick(this.pointed)
    else return
    event.preventDefault()
  }
}
