// Single keys never fire in fields or dialogs. `g` then a letter goes to a page; in lists (data-list) j and k move, Enter opens,
// x selects; a page's own keys are elements with data-key.
import { open } from "./dialogs.js"
import { openPalette } from "./palette.js"

const GOES_ON = 1200
let going = 0

const typing = (element) => element.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], code-field, dialog")

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented) return
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault()
    openPalette()
    return
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.documentElement.dataset.keys === "off") return
  if (pressed(event.key, event)) event.preventDefault()
})

function pressed(key, event) {
  if (going && event.timeStamp - going < GOES_ON) {
    going = 0
    return follow(document.querySelector(`[data-place-key="${CSS.escape(key)}"]`))
  }
  if (key === "g") return (going = event.timeStamp)
  if (key === "?") return open(document.getElementById("keys")), true
  if (key === "/") return focus(document.querySelector("[data-search]"))
  if (key === "[") return follow(document.querySelector("[data-nav-toggle]"))
  if (key === "j" || key === "k") return move(key === "j" ? 1 : -1)
  if (key === "Enter") return event.target === document.body && follow(here()?.querySelector("a"))
  if (key === "x") return follow(here()?.querySelector("[data-select]"))
  return follow(document.querySelector(`[data-key="${CSS.escape(key)}"]:not(:disabled)`))
}

const follow = (element) => (element ? (element.click(), true) : false)
const focus = (element) => (element ? (element.focus(), element.select?.(), true) : openPalette())
const here = () => document.querySelector("[data-list] .is-here")

function move(step) {
  const rows = [...document.querySelectorAll("[data-list] > *")]
  if (!rows.length) return false
  const row = rows[Math.min(Math.max(rows.indexOf(here()) + step, 0), rows.length - 1)]
  here()?.classList.remove("is-here")
  row.classList.add("is-here")
  row.scrollIntoView({ block: "nearest" })
  row.querySelector("a")?.focus({ preventScroll: true })
  return true
}
