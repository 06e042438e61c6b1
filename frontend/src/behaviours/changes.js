// <div data-was="old text"> around a field: carries data-changed while the field holds something else.
import { on } from "./listen.js"

const lines = (text) => text.replaceAll("\r\n", "\n")

on("input", "[data-was]", mark)
on("change", "[data-was]", mark)

function mark(entry) {
  const control = entry.querySelector("input:not([type=file], [type=hidden]), textarea, select")
  const now = control.type === "checkbox" ? (control.checked ? "True" : "False") : control.value
  entry.toggleAttribute("data-changed", lines(now) !== lines(entry.dataset.was))
}
