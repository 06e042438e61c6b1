// What the controls of a form mean as JSON. `read` gives `{value}`, undefined for nothing, or `{fault}` in words.
const JSON_LIKE = /^\s*[[{]|^\s*(-?\d|true$|false$|null$)/

export function read(control) {
  const how = control.dataset.as
  if (how === "box") return { value: control.checked === "default" in control.dataset ? undefined : control.checked }
  if (how === "several") return { value: some([...control.querySelectorAll("input:checked")].map((each) => each.value)) }
  if (how === "lines") return { value: some(control.value.split("\n").map((line) => line.trim()).filter(Boolean)) }
  if (how === "pairs") return pairs(control)
  const text = control.value
  if (how === "value") return valued(text, control)
  if (how === "number") return text.trim() === "" ? { value: undefined } : number(text)
  if (how === "json") return text.trim() === "" ? { value: undefined } : parsed(text)
  return { value: text === "" && control.dataset.required === undefined ? undefined : text }
}

const some = (list) => (list.length ? list : undefined)

function number(text) {
  const value = Number(text)
  return Number.isFinite(value) ? { value } : { value: text }
}

function parsed(text) {
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    return { fault: `This is no JSON: ${error.message}` }
  }
}

/** A text stays text; one that was or looks like another JSON value is that, unless it holds an expression. */
function valued(text, control) {
  if (text === "") return { value: control.dataset.required === undefined ? undefined : "" }
  const isJSON = control.dataset.kind === "json" || (control.defaultValue === "" && JSON_LIKE.test(text))
  if (!isJSON || text.includes("{{") && !/^\s*[[{]\s*["{[]/.test(text)) return { value: text }
  const found = parsed(text)
  return found.fault && control.dataset.kind !== "json" ? { value: text } : found.fault ? { value: text } : found
}

function pairs(control) {
  const value = {}
  for (const row of control.querySelectorAll("[data-row]")) {
    const name = row.querySelector("[data-name]").value.trim()
    const held = row.querySelector("[data-value]")
    if (!name) continue
    if (Object.hasOwn(value, name)) return { fault: `“${name}” stands here twice.` }
    const found = held.tagName === "SELECT" ? { value: held.value } : valued(held.value, held)
    value[name] = found.value ?? ""
  }
  return { value: Object.keys(value).length ? value : undefined }
}
