// A form is sent once. After 300 ms its button shows that it works; a page from the back button is usable again. A form that a script
// sends as often as somebody asks says so: <form data-sent-by-script>.
const sending = new WeakSet()

function begin(form, button) {
  sending.add(form)
  const timer = setTimeout(() => button?.setAttribute("data-busy", ""), 300)
  return () => {
    clearTimeout(timer)
    button?.removeAttribute("data-busy")
    sending.delete(form)
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target
  if (event.defaultPrevented || form.dataset.sentByScript !== undefined || form.method === "get" || form.method === "dialog") return
  if (sending.has(form)) {
    event.preventDefault()
    event.stopImmediatePropagation()
    return
  }
  const end = begin(form, event.submitter)
  addEventListener("pageshow", end, { once: true })
  form.addEventListener("htmx:finally:request", end, { once: true })
}, true)
