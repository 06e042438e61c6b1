// Toasts: at most three, 6 s each, held while the pointer or the focus is on one. The server says one by the header
// `HX-Trigger: {"toast": {"text": "…", "undo": "/address"}}` or, after a full page, inside #toasts.
import { icon, make, on } from "./listen.js"

const AT_MOST = 3, LASTS = 6000

export function toast(text, { undo = null } = {}) {
  const box = document.getElementById("toasts")
  if (!box || !text) return
  const close = make("button", { type: "button", class: "button quiet icon-only", "data-toast-close": "", "aria-label": "Dismiss" }, icon("close"))
  const item = make("div", { class: "toast", "data-testid": "toast" }, make("p", {}, text))
  if (undo) item.append(make("button", { type: "button", class: "link", "data-toast-undo": undo }, "Undo"))
  item.append(close)
  box.append(item)
  while (box.children.length > AT_MOST) box.firstElementChild.remove()
  expire(item)
}

function expire(item) {
  setTimeout(() => (item.matches(":hover, :focus-within") ? expire(item) : item.remove()), LASTS)
}

document.addEventListener("toast", (event) => toast(event.detail.text ?? event.detail.value, event.detail))
on("click", "[data-toast-close]", (button) => button.closest(".toast").remove())
on("click", "[data-toast-undo]", (button) => {
  htmx.ajax("POST", button.dataset.toastUndo, { source: document.body, swap: "none" })
  button.closest(".toast").remove()
})
for (const item of document.querySelectorAll("#toasts > .toast")) expire(item)
