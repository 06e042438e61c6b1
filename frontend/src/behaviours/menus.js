// <details class="menu">: closes on Escape, on a click elsewhere, and when the focus leaves it. Arrow keys walk its items.
import { on } from "./listen.js"

const items = (menu) => [...menu.querySelectorAll(".menu-body :is(a, button, input, select):not([disabled])")]

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false
})
on("focusout", "details.menu[open]", (menu, event) => {
  if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false
})
on("keydown", "details.menu[open]", (menu, event) => {
  if (event.key === "Escape") {
    menu.open = false
    menu.querySelector("summary").focus()
    event.stopPropagation()
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !event.target.matches("input:not([type=checkbox]), select")) {
    const all = items(menu), step = event.key === "ArrowDown" ? 1 : -1
    all.at((all.indexOf(document.activeElement) + step + (all.includes(document.activeElement) ? 0 : step < 0 ? 1 : 0)) % all.length)?.focus()
    event.preventDefault()
  }
})
