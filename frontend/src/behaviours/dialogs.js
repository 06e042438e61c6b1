// data-dialog="id" opens a <dialog> of the page; one that htmx brings opens by itself where it carries data-open.
// data-dialog-close closes the one around it, a click on the backdrop does, too; the focus goes back to the opener (the browser's).
import { on } from "./listen.js"

on("click", "[data-dialog]", (opener, event) => {
  event.preventDefault()
  opener.closest("details.menu")?.removeAttribute("open")
  open(document.getElementById(opener.dataset.dialog))
})
on("click", "[data-dialog-close]", (button) => button.closest("dialog").close())
on("click", "dialog.dialog", (dialog, event) => {
  if (event.target !== dialog) return
  const box = dialog.getBoundingClientRect()
  const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom
  if (!inside) dialog.close()
})

export function open(dialog) {
  if (dialog && !dialog.open) dialog.showModal()
}

const arrive = () => document.querySelectorAll("dialog[data-open]:not([open])").forEach((dialog) => {
  dialog.removeAttribute("data-open")
  open(dialog)
})
document.addEventListener("htmx:after:swap", arrive)
arrive()
// A verb's answer may close the dialog from which it was sent: `HX-Trigger: close-dialog`.
document.addEventListener("close-dialog", () => document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close()))
