// Ctrl/Cmd K: goes to a page, or to the object of a pasted identifier or number. It never acts.
import { icon, make, on } from "./listen.js"
import { open } from "./dialogs.js"

const IDENTIFIER = /^(?:[a-z]{3}_[0-9a-f]{32}|#?\d{1,12})$/
let chosen = 0

const dialog = () => document.getElementById("palette")
const input = () => dialog().querySelector("input")
const options = () => [...dialog().querySelectorAll("[role=option]")]

function places() {
  return [...document.querySelectorAll("[data-place]")].map((link) => ({ label: link.dataset.place, icon: link.dataset.placeIcon, href: link.getAttribute("href"), keys: link.dataset.placeKeys }))
}

function render() {
  const typed = input().value.trim(), list = dialog().querySelector("[role=listbox]")
  let found = places().filter((place) => place.label.toLowerCase().includes(typed.toLowerCase()))
  if (IDENTIFIER.test(typed)) found = [{ label: `Open ${typed}`, icon: "arrow-right", href: `/go/${encodeURIComponent(typed.replace("#", ""))}` }, ...found]
  list.replaceChildren(...found.map((place, index) => {
    const item = make("a", { id: `palette-${index}`, class: "menu-item", role: "option", href: place.href, tabindex: "-1" }, icon(place.icon), place.label)
    if (place.keys) item.append(make("kbd", {}, place.keys))
    return item
  }))
  dialog().querySelector("[data-palette-none]").hidden = found.length > 0
  choose(0)
}

function choose(index) {
  const all = options()
  chosen = all.length ? (index + all.length) % all.length : 0
  all.forEach((item, at) => item.setAttribute("aria-selected", String(at === chosen)))
  all[chosen]?.scrollIntoView({ block: "nearest" })
  if (all.length) input().setAttribute("aria-activedescendant", `palette-${chosen}`)
  else input().removeAttribute("aria-activedescendant")
}

export function openPalette() {
  if (!dialog()) return
  input().value = ""
  open(dialog())
  render()
  input().focus()
}

on("click", "[data-palette-open]", openPalette)
on("input", "#palette input", render)
on("keydown", "#palette input", (_, event) => {
  if (event.key === "ArrowDown") choose(chosen + 1)
  else if (event.key === "ArrowUp") choose(chosen - 1)
  else if (event.key === "Enter") options()[chosen]?.click()
  else return
  event.preventDefault()
})
