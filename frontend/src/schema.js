// Pages with a JSON Schema to write: plain rows beside its text, each following the other.
import "./builder/schema-rows.js"

const fieldOf = (event) => event.target.closest("[data-as=schema]")

document.addEventListener("schema", (event) => {
  fieldOf(event).querySelector("textarea").value = event.detail === undefined ? "" : JSON.stringify(event.detail, null, 2)
})
document.addEventListener("input", (event) => {
  if (event.target.tagName === "TEXTAREA") fieldOf(event)?.querySelector("schema-rows").show()
})
