// The list of problems, the count on its tab, and whether one may publish.
import { icon, make } from "../behaviours/listen.js"
import { HANDLER } from "../flow-canvas/model/places.js"
import { stepOf, valueAt, placeOf } from "./places.js"

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`

export class Problems {
  constructor(panel, { canvas, readonly, goTo }) {
    Object.assign(this, { panel, canvas, readonly, goTo, list: [] })
    panel.addEventListener("click", (event) => {
      const button = event.target.closest("button")
      const problem = this.list[button?.closest("[data-problem]")?.dataset.problem]
      if (!problem) return
      button.dataset.fix === undefined ? this.goTo(...this.subject(problem)) : this.#fix(problem)
    })
  }

  /** The step that a problem is about, and the words to its field. An edge's is the step that it begins at. */
  subject(problem) {
    const at = problem.place.lastIndexOf("edges")
    const edge = at >= 0 && at === problem.place.length - 2 && valueAt(this.canvas.value, problem.place)
    if (typeof edge !== "string") return stepOf(this.canvas.value, problem.place)
    const outer = problem.place[0] === "on_error" && at === 1 ? HANDLER : stepOf(this.canvas.value, problem.place)[0]
    const key = edge.split(/[.\s-]/)[0]
    const path = outer ? `${outer}.${key}` : key
    return valueAt(this.canvas.value, placeOf(path)) ? [path, []] : [outer, []]
  }

  #fix({ fix }) {
    const [path, words] = stepOf(this.canvas.value, fix.place)
    this.canvas.set(path, words, fix.act === "remove" ? undefined : fix.value)
  }

  show(list) {
    this.list = list
    const errors = list.filter((each) => each.severity === "error").length
    const warnings = list.length - errors
    document.querySelector("[data-problem-count]").textContent = list.length || ""
    const focused = this.panel.contains(document.activeElement)
    this.panel.replaceChildren(...(list.length ? [make("ul", { class: "builder-problems" }, ...list.map((each, at) => this.#row(each, at)))] : [empty()]))
    if (focused) this.panel.focus()
    this.#publish(errors, warnings)
  }

  #row(problem, at) {
    const [path] = this.subject(problem)
    const name = path ? this.canvas.model.title(path) : "Flow"
    const acts = make("span", { class: "acts" }, make("button", { type: "button", class: "button" }, "Go to"))
    if (problem.fix && !this.readonly) acts.append(make("button", { type: "button", class: "button", "data-fix": "" }, problem.fix.label.replaceAll("`", "")))
    return make("li", { "data-problem": at, "data-testid": "problem", "data-severity": problem.severity },
      icon(problem.severity === "error" ? "failed" : "warning"),
      make("span", { class: "visually-hidden" }, problem.severity === "error" ? "Error" : "Warning"),
      make("strong", { class: "problem-name clip" }, name),
      make("span", { class: "problem-text" }, ...spoken(problem)), acts)
  }

  #publish(errors, warnings) {
    const button = document.querySelector("[data-publish]")
    if (!button) return
    button.toggleAttribute("aria-disabled", errors > 0)
    if (errors) button.setAttribute("aria-disabled", "true")
    button.textContent = warnings && !errors ? `Publish… (${warnings} ⚠)` : "Publish…"
    document.getElementById("publish-why").textContent = errors ? `${counted(errors, "error")} to mend first` : ""
  }
}

/** A problem as a sentence, with names of the document as code. */
export const spoken = ({ message, mend }) =>
  `${message[0].toUpperCase()}${message.slice(1)}${/[.?!]$/.test(message) ? "" : "."} ${mend ?? ""}`.trim().split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part))

const empty = () => make("div", { class: "empty small-empty" }, icon("succeeded"), make("p", {}, "No problems. This flow can be published."))
