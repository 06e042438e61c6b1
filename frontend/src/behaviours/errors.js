// What a request of htmx could not do is said in a toast; the page stays as it is. (Status 422 is a form with its errors and is swapped.)
import { toast } from "./toasts.js"

const SWAPPED = 422

document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
  const { status, headers } = ctx.response
  if (status === SWAPPED) return
  const plain = headers.get("content-type")?.startsWith("text/plain")
  toast(plain ? ctx.text : `This did not work (status ${status}). Nothing was changed.`)
  if (status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`)
})
document.addEventListener("htmx:error", ({ detail: { error } }) => {
  if (error instanceof TypeError) toast("The server cannot be reached. Nothing was changed.")
})
