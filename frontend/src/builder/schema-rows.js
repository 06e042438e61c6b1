// <schema-rows>: a JSON Schema of an object in plain form, one row a field, beside the textarea that holds it as text. What a row does not
// show (formats, bounds, nested fields) stays as it is.
import { icon, make } from "../behaviours/listen.js"

const ONE_OF = "one of"
const TYPES = { string: "text", [ONE_OF]: "a choice", number: "number", integer: "whole number", boolean: "yes or no", array: "list", object: "object", "": "anything" }

class SchemaRows extends HTMLElement {
  connectedCallback() {
    this.area = this.closest("[data-as=schema]").querySelector("textarea")
    this.show()
    this.addEventListener("input", () => this.#typed())
    this.addEventListener("click", (event) => {
      const button = event.target.closest("button")
      if (button?.dataset.drop !== undefined) button.closest(".schema-row").remove(), this.#typed()
      if (button?.dataset.more !== undefined) this.#list.append(this.#row("", {}, false)), this.#list.lastElementChild.querySelector("input").focus()
    })
  }

  get #list() {
    return this.querySelector(".schema-list")
  }

  show() {
    let schema = {}
    try {
      schema = JSON.parse(this.area.value || "{}") ?? {}
    } catch {
      return
    }
    this.schema = schema
    this.properties = schema.properties ?? {}
    const rows = Object.entries(this.properties).map(([name, each]) => this.#row(name, each, schema.required?.includes(name)))
    this.replaceChildren(make("div", { class: "schema-list" }, ...rows), make("div", { class: "row" }, make("button", { class: "button", type: "button", "data-more": "" }, icon("plus"), "Add a field")))
  }

  #row(name, each, required) {
    const options = Object.entries(TYPES).map(([value, label]) => {
      const option = make("option", { value }, label)
      option.selected = value === (Array.isArray(each.enum) ? ONE_OF : typeof each.type === "string" ? each.type : "")
      return option
    })
    const check = make("input", { type: "checkbox", "data-required": "" })
    check.checked = Boolean(required)
    const row = make("div", { class: "schema-row", "data-was": name },
      make("input", { class: "input mono", "aria-label": "Field", placeholder: "name", value: name, "data-name": "", autocomplete: "off", spellcheck: "false" }),
      make("div", { class: "select" }, make("select", { class: "input", "aria-label": `Type of ${name || "the field"}`, "data-type": "" }, ...options)),
      make("label", { class: "choice" }, check, make("span", {}, "required")),
      make("button", { class: "button quiet icon-only", type: "button", "data-drop": "", "aria-label": `Remove ${name || "the field"}` }, icon("close")),
      make("input", { class: "input about", "aria-label": `What ${name || "the field"} is`, placeholder: "what it is", value: each.description ?? each.title ?? "", "data-about": "", autocomplete: "off" }),
      make("input", { class: "input choices-of", "aria-label": `Choices of ${name || "the field"}, with commas between`, placeholder: "refund, complaint, other", value: each.enum?.join(", ") ?? "", "data-choices": "", autocomplete: "off" }))
    row.querySelector("[data-choices]").hidden = !Array.isArray(each.enum)
    row.was = each
    return row
  }

  #typed() {
    const properties = {}, required = []
    for (const row of this.querySelectorAll(".schema-row")) {
      const name = row.querySelector("[data-name]").value.trim()
      if (!name) continue
      const { type: was, enum: choices, ...rest } = row.was
      const type = row.querySelector("[data-type]").value
      const about = row.querySelector("[data-about]").value
      const held = row.querySelector("[data-choices]")
      held.hidden = type !== ONE_OF
      const made = type === ONE_OF ? { type: was ?? "string", enum: chosen(held.value, choices), ...rest } : type ? { type, ...rest } : rest
      const key = row.was.description === undefined && row.was.title !== undefined ? "title" : "description"
      if (about) made[key] = about
      else delete made[key]
      properties[name] = made
      if (row.querySelector("[data-required]").checked) required.push(name)
    }
    const { required: _required, properties: _properties, ...rest } = this.schema
    const schema = Object.keys(properties).length || Object.keys(rest).some((key) => key !== "type") ? { type: "object", ...rest, ...(required.length && { required }), properties } : undefined
    this.dispatchEvent(new CustomEvent("schema", { bubbles: true, detail: schema }))
  }
}

/** Choices as they are typed; one that was no text stays what it was. */
function chosen(text, before = []) {
  const typed = text.split(",").map((each) => each.trim()).filter(Boolean)
  return typed.map((each) => before.find((value) => String(value) === each) ?? each)
}

customElements.define("schema-rows", SchemaRows)
