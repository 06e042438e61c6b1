// <pre data-stream="call_…">: what a model writes while it writes. The socket sends each piece with the place where it begins, the
// earlier text first. The pane follows its end only while it is there; else a button leads back to it.
import { announce } from "../live.js"
import { on } from "./listen.js"

const texts = new Map() // call → characters so far, as the socket told them
const fresh = new Set()
const NEAR = 24

const pane = (call) => document.querySelector(`[data-stream="${CSS.escape(call)}"]`)
const atEnd = (element) => element.scrollHeight - element.scrollTop - element.clientHeight < NEAR
const follower = (element) => element.parentElement.querySelector("[data-stream-follow]")

document.addEventListener("live", ({ detail: { data } }) => {
  if (data?.type !== "text") return
  const known = texts.get(data.call) ?? []
  if (data.at > known.length) return // a piece is missing: the whole comes again
  texts.set(data.call, [...known.slice(0, data.at), ...data.text])
  fresh.add(data.call)
  draw(data.call)
})

function draw(call) {
  const element = pane(call), text = texts.get(call)?.join("") ?? ""
  if (!element || element.textContent.length >= text.length) return
  const followed = atEnd(element), before = element.textContent
  if (text.startsWith(before)) element.append(text.slice(before.length))
  else element.textContent = text
  element.normalize()
  if (followed) element.scrollTop = element.scrollHeight
  follower(element)?.toggleAttribute("hidden", followed)
}

on("click", "[data-stream-follow]", (button) => {
  const element = button.parentElement.querySelector("[data-stream]")
  element.scrollTop = element.scrollHeight
  button.hidden = true
})
document.addEventListener("scroll", ({ target }) => {
  if (target.dataset?.stream && atEnd(target)) follower(target)?.setAttribute("hidden", "")
}, true)

// A region that came anew has the text as it was when the server wrote it; one whose call has ended has the answer in its place.
document.addEventListener("htmx:after:swap", () => {
  for (const call of fresh) {
    if (pane(call)) draw(call)
    else {
      fresh.delete(call)
      texts.delete(call)
      if (document.getElementById(call)) announce("The response is finished.")
    }
  }
})
for (const element of document.querySelectorAll("[data-stream]")) element.scrollTop = element.scrollHeight
