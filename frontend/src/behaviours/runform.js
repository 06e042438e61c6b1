// The run form: a select with data-submits="id" presses that button when another choice is made; a limit (data-limit) that is lower
// than what such runs usually cost (data-estimate) is warned of while it is typed.
import { on } from "./listen.js"

on("change", "select[data-submits]", (select) => document.getElementById(select.dataset.submits).click())
on("input", "[data-limit]", (input) => {
  const estimate = document.querySelector("[data-estimate]"), warning = document.querySelector("[data-limit-warning]")
  const limit = Number.parseFloat(input.value.replace(/^[^\d.-]+/, ""))
  if (estimate && warning) warning.hidden = !(limit < Number(estimate.dataset.estimate))
})
