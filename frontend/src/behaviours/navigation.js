// The side navigation's width and the look (theme, density) are cookies that the server reads, so that no page flickers.
import { on } from "./listen.js"

const keep = (name, value) => (document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax`)

on("click", "[data-nav-toggle]", (button) => {
  const collapsed = document.documentElement.dataset.nav === "collapsed"
  document.documentElement.dataset.nav = collapsed ? "open" : "collapsed"
  button.setAttribute("aria-expanded", String(collapsed))
  keep("nav", collapsed ? "open" : "collapsed")
})
on("click", "[data-look]", (button, event) => {
  event.preventDefault()
  const { look, value } = button.dataset
  document.documentElement.dataset[look] = value
  for (const other of document.querySelectorAll(`[data-look="${look}"]`)) other.setAttribute("aria-pressed", String(other === button))
  keep(look, value)
})
