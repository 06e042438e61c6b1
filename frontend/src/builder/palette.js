import { offered } from "../flow-canvas/gestures.js"

// The steps that can be added: searched, and put behind the selected step.

export function palette(root, { canvas, added }) {
  const search = root.querySelector("#palette-search")
  const items = () => [...root.querySelectorAll(".palette-item")].filter((each) => !each.closest("[hidden]"))

  const filter = () => {
    const words = search.value.toLowerCase().trim()
    for (const each of root.querySelectorAll("li")) each.hidden = !`${each.textContent} ${each.firstElementChild.title}`.toLowerCase().includes(words)
    for (const group of root.querySelectorAll("[data-palette-group]")) group.hidden = !group.querySelector("li:not([hidden])")
    root.querySelector("[data-palette-none]").hidden = items().length > 0
  }
  search.addEventListener("input", filter)
  root.addEventListener("keydown", (event) => {
    const all = items()
    const at = all.indexOf(document.activeElement)
    if (event.key === "ArrowDown") all[Math.min(at + 1, all.length - 1)]?.focus()
    else if (event.key === "ArrowUp") (all[at - 1] ?? search).focus()
    else if (event.key === "Enter" && event.target === search) all[0]?.click()
    else return
    event.preventDefault()
  })
  root.addEventListener("click", (event) => {
    const item = event.target.closest("[data-kind]")
    if (item) add(item)
  })
  function add(item) {
    const { kind, settings } = offered(item)
    const path = canvas.add(kind, null, settings)
    search.value = ""
    filter()
    added(path)
  }
  return { focus: () => search.focus() }
}
