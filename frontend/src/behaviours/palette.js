// Ctrl/Cmd K: goes to a page, to what the server finds, or to the object of a pasted identifier or number. Under "Here" stand the acts
// that the page itself offers at its head; `>` shows only them. Nothing is decided here: an act opens what the page would open.
import { icon, make, on } from "./listen.js"
import { open } from "./dialogs.js"

const IDENTIFIER = /^(?:[a-z]{3}_[0-9a-f]{32}|#?\d{1,12})$/
const OBJECT = /^\/(runs|flows|approvals)\/[^/]+$/
const PAUSE = 120, KEPT = 5
let chosen = 0, waiting = 0, found = [], asked = ""

const dialog = () => document.getElementById("palette")
const input = () => dialog().querySelector("input")
const options = () => [...dialog().querySelectorAll("[role=option]")]
const fits = (typed) => (each) => each.label.toLowerCase().includes(typed.toLowerCase())

function places() {
  return [...document.querySelectorAll("[data-place]")].map((link) => ({ label: link.dataset.place, icon: link.dataset.placeIcon, href: link.getAttribute("href"), keys: link.dataset.placeKeys }))
}

function acts() {
  const all = [...document.querySelectorAll(".page-head .acts :is(a.button, button, a.menu-item)")]
  return all.filter((each) => each.textContent.trim() && !each.disabled).map((element) => ({ label: element.textContent.trim(), icon: "arrow-right", element }))
}

function recent() {
  try { return JSON.parse(sessionStorage.getItem("recent") ?? "[]") } catch { return [] }
}

function remember() {
  const [, kind] = OBJECT.exec(location.pathname) ?? [], label = document.querySelector("h1")?.textContent.trim()
  if (!kind || !label || !dialog()) return
  const kept = [{ label, icon: kind, href: location.pathname }, ...recent().filter((each) => each.href !== location.pathname)]
  try { sessionStorage.setItem("recent", JSON.stringify(kept.slice(0, KEPT))) } catch { /* a browser that keeps nothing */ }
}

function sections(typed) {
  if (typed.startsWith(">")) return [["Here", acts().filter(fits(typed.slice(1).trim()))]]
  const opens = IDENTIFIER.test(typed) ? [{ label: `Open ${typed}`, icon: "arrow-right", href: `/go/${encodeURIComponent(typed.replace("#", ""))}` }] : []
  const groups = [["Open", opens], ["Here", acts().filter(fits(typed))], ["Go to", places().filter(fits(typed))]]
  if (!typed) return [["Last seen", recent().filter((each) => each.href !== location.pathname)], ...groups.slice(1)]
  for (const name of new Set(found.map((each) => each.section))) groups.push([name, found.filter((each) => each.section === name)])
  return groups
}

function option(each, index) {
  const item = make("a", { id: `palette-${index}`, class: "menu-item", role: "option", href: each.href ?? "#", tabindex: "-1" }, icon(each.icon), make("span", { class: "grow" }, each.label))
  if (each.detail) item.append(make("span", { class: "faint small" }, each.detail))
  if (each.keys) item.append(make("kbd", {}, each.keys))
  if (each.element) item.addEventListener("click", (event) => { event.preventDefault(); dialog().close(); each.element.click() })
  return item
}

function render() {
  const list = dialog().querySelector("[role=listbox]"), groups = sections(input().value.trim()).filter(([, all]) => all.length)
  let index = 0
  list.replaceChildren(...groups.map(([name, all]) => make("div", { role: "group", "aria-label": name }, make("p", { class: "palette-section faint small", "aria-hidden": "true" }, name), ...all.map((each) => option(each, index++)))))
  dialog().querySelector("[data-palette-none]").hidden = index > 0
  choose(0)
}

async function look() {
  const typed = input().value.trim()
  asked = typed
  if (!typed || typed.startsWith(">")) { found = []; return }
  const answer = await fetch(`/shell/search?q=${encodeURIComponent(typed)}`, { headers: { Accept: "application/json" } }).catch(() => null)
  if (!answer?.ok || typed !== asked) return // what was typed since asks again
  found = (await answer.json()).found
  if (dialog().open) { const at = chosen; render(); choose(at) }
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
  found = []
  open(dialog())
  render()
  input().focus()
}

on("click", "[data-palette-open]", openPalette)
on("input", "#palette input", () => {
  render()
  clearTimeout(waiting)
  waiting = setTimeout(look, PAUSE)
})
on("keydown", "#palette input", (_, event) => {
  if (event.key === "ArrowDown") choose(chosen + 1)
  else if (event.key === "ArrowUp") choose(chosen - 1)
  else if (event.key === "Enter") options()[chosen]?.click()
  else return
  event.preventDefault()
})
remember()
