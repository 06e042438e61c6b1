// [data-focus]: takes the focus as soon as it is there, such as the summary of a form's errors.
const take = () => document.querySelector("[data-focus]:not([data-focused])")

function arrive() {
  const element = take()
  if (!element || element.closest("[data-quiet]")) return
  element.dataset.focused = ""
  element.focus()
}

document.addEventListener("htmx:after:swap", arrive)
arrive()
