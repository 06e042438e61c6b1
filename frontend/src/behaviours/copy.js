// data-copy="text" puts the text on the clipboard and says so; data-copy-from="id" takes an element's text.
import { on } from "./listen.js"
import { toast } from "./toasts.js"

on("click", "[data-copy], [data-copy-from]", async (button) => {
  const text = button.dataset.copy ?? document.getElementById(button.dataset.copyFrom)?.textContent ?? ""
  try {
    await navigator.clipboard.writeText(text)
    toast("Copied.")
  } catch {
    toast("The browser refused to copy. Select the text and copy it by hand.")
  }
})
