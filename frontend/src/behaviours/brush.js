// <figure data-histogram> of links [data-piece="FROM..UNTIL"]: dragging from one to another asks for the whole span. A click, or Enter, is
// the link itself.
import { on } from "./listen.js"

let first = null

const pieces = (figure) => [...figure.querySelectorAll("[data-piece]")]

function span(last) {
  const all = pieces(first.closest("[data-histogram]"))
  const [from, to] = [all.indexOf(first), all.indexOf(last)].sort((a, b) => a - b)
  return all.slice(from, to + 1)
}

function mark(chosen) {
  for (const each of document.querySelectorAll("[data-piece].chosen")) each.classList.remove("chosen")
  for (const each of chosen) each.classList.add("chosen")
}

on("pointerdown", "[data-piece]", (piece, event) => { if (event.button === 0) first = piece })
on("dragstart", "[data-piece]", (_, event) => event.preventDefault())
on("pointermove", "[data-piece]", (piece) => { if (first) mark(span(piece)) })
on("pointerup", "[data-piece]", (piece) => {
  const chosen = first ? span(piece) : []
  if (chosen.length > 1) {
    const address = new URL(first.getAttribute("href"), location.href)
    const [from, until] = [chosen[0].dataset.piece.split("..")[0], chosen.at(-1).dataset.piece.split("..")[1]]
    address.searchParams.set("started", `${from}..${until}`)
    location.assign(address)
  }
})
document.addEventListener("pointerup", () => { first = null; mark([]) })
