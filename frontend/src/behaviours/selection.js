// <form data-selection>: checkboxes [data-select] in rows, [data-select-all] above them, [data-bulk] shown while any is chosen,
// [data-select-count] says how many. Shift-click chooses a range.
import { on } from "./listen.js"

let last = null

on("click", "[data-select]", (box, event) => {
  const root = box.closest("[data-selection]"), boxes = [...root.querySelectorAll("[data-select]:not(:disabled)")]
  if (event.shiftKey && last && boxes.includes(last)) {
    const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b)
    for (const one of boxes.slice(from, to + 1)) one.checked = box.checked
  }
  last = box
})
on("change", "[data-select-all]", (all) => {
  for (const box of all.closest("[data-selection]").querySelectorAll("[data-select]:not(:disabled)")) box.checked = all.checked
})
on("change", "[data-selection]", update)
on("click", "[data-select-none]", (button) => {
  const root = button.closest("[data-selection]")
  for (const box of root.querySelectorAll("[data-select], [data-select-all]")) box.checked = false
  update(root)
})

function update(root) {
  const boxes = [...root.querySelectorAll("[data-select]")], chosen = boxes.filter((box) => box.checked)
  const all = root.querySelector("[data-select-all]")
  if (all) {
    all.checked = boxes.length > 0 && chosen.length === boxes.length
    all.indeterminate = chosen.length > 0 && chosen.length < boxes.length
  }
  root.querySelector("[data-bulk]")?.toggleAttribute("hidden", chosen.length === 0)
  for (const count of root.querySelectorAll("[data-select-count]")) count.textContent = chosen.length
}
