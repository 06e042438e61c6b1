// <ol data-changes> of links to sections: following one, or moving to it by keys, shows its section and its step in the drawing.
import { on } from "./listen.js"

on("focusin", "[data-changes] a", show)
on("click", "[data-changes] a", (link, event) => {
  event.preventDefault()
  link.focus()
  show(link)
})

function show(link) {
  const section = document.querySelector(link.getAttribute("href"))
  for (const other of document.querySelectorAll("[data-changes] a")) other === link ? other.setAttribute("aria-current", "true") : other.removeAttribute("aria-current")
  for (const other of document.querySelectorAll(".change")) other.classList.toggle("is-here", other === section)
  section?.scrollIntoView({ block: document.querySelector(".overlay") ? "end" : "nearest" })
  for (const node of document.querySelectorAll(".overlay .node")) {
    const here = node.dataset.id === link.dataset.step
    node.classList.toggle("is-here", here)
    if (here) centre(node, node.closest(".overlay"))
  }
}

/** Scrolls only the drawing: the page stays at the section. */
function centre(node, frame) {
  const [a, b] = [node.getBoundingClientRect(), frame.getBoundingClientRect()]
  frame.scrollBy({ left: a.left + a.width / 2 - b.left - b.width / 2, top: a.top + a.height / 2 - b.top - b.height / 2 })
}
