// One socket a page, by hx-ws on #live: what changes is swapped or fetched anew, what was missed is replayed, what comes twice is dropped.
//
//   <div id="run-timeline" data-live-topic="run:run_…" data-seq="41" data-live-url="/runs/run_…/timeline">   a region
//
// A region is fetched again (at most once a second) when its topic speaks and data-live-types, if given, names the event's type.
// Frames that carry `content` are swapped by htmx itself; `data` goes to listeners as the event "live" on the document. A region
// that holds the focus, a text selection or an open menu keeps its content until it is free. While no socket can be had, every
// region is fetched each 5 s. Closing codes 4400 and up are final.
import { on } from "./behaviours/listen.js"
import { toast } from "./behaviours/toasts.js"

const begun = Date.now(), SETTLES = 400 // a page that is left at once asks for nothing
const POLL = 5000, AT_MOST_EVERY = 1000, STALE = 30_000, FAILURES_BEFORE_POLLING = 3, WITHOUT_SOCKET = 10_000
const ENDS = { 4401: "Sign in again", 4404: "You no longer have access", 4400: "Live updates are off" }
const TEXT = { connecting: "Connecting", live: "Live", polling: "Polling", paused: "Paused", off: "Not live" }

const seen = new Map() // topic → number of its newest event here
let connection = null, failures = 0, poller = null, retryAt = 0, lost = 0, paused = null, started = false, over = false

const regions = () => [...document.querySelectorAll("[data-live-url]")]
const indicator = () => document.querySelector("[data-testid=live]")
const topics = () => [...new Set([...document.querySelectorAll("[data-live-topic]")].map((element) => element.dataset.liveTopic))]

// --- the indicator

function show(status, text = TEXT[status]) {
  const element = indicator()
  if (!element) return
  element.dataset.status = status
  const label = element.querySelector("[data-live-text]")
  if (label.textContent !== text) label.textContent = text
  element.hidden = false
}

function tick() {
  // A server that accepts and says nothing closes no socket: what has not opened in time counts as lost.
  if (over) return
  if (!started && !lost && Date.now() - begun > WITHOUT_SOCKET && topics().length) lost = begun
  if (lost && Date.now() - lost > WITHOUT_SOCKET) startPolling()
  if (paused || !lost) return
  const since = new Date(lost).toTimeString().slice(0, 8)
  const stale = Date.now() - lost > STALE && !poller
  document.body.classList.toggle("stale", stale)
  if (poller) show("polling")
  else if (stale) show("stale", `Stale since ${since}`)
  else show("reconnecting", `Reconnecting (${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s)`)
}
setInterval(tick, 1000)

function startPolling() {
  poller ||= setInterval(poll, POLL)
}

// --- the socket

function address() {
  const after = topics().filter((topic) => topic.startsWith("run:")).map((topic) => seen.get(topic) ?? 0)
  const url = new URL("/ws/live", location.href)
  url.protocol = url.protocol.replace("http", "ws")
  url.searchParams.set("topics", topics().join(","))
  url.searchParams.set("rights", document.getElementById("live").dataset.rights)
  if (after.length) url.searchParams.set("after", Math.min(...after))
  return url.href
}

on("htmx:ws:before:connection", "#live", (_, { detail }) => {
  if (!topics().length) {
    detail.connection.cancelled = true
    return
  }
  connection = detail.connection
  connection.url = address()
  if (!started) show("connecting")
})

on("htmx:ws:after:connection", "#live", () => {
  const again = lost > 0
  started = true
  failures = lost = 0
  clearInterval(poller)
  poller = null
  document.body.classList.remove("stale")
  if (!paused) show("live")
  if (again) regions().forEach((region) => ask(region))
})

on("htmx:ws:close", "#live", (_, { detail }) => {
  if (detail.reason !== "closed") return
  if (ENDS[detail.code]) {
    clearInterval(poller)
    over = true
    show("off", ENDS[detail.code])
    return
  }
  lost ||= Date.now()
  failures += 1
  retryAt = Date.now() + Math.min(500 * 2 ** (failures - 1), 30_000)
  if (failures >= FAILURES_BEFORE_POLLING) startPolling()
  tick()
})

on("htmx:ws:before:message:incoming", "#live", (_, event) => {
  let frame
  try {
    frame = JSON.parse(event.detail.message.data)
  } catch {
    return
  }
  const { topic, seq, data } = frame
  if (seq !== undefined) {
    if (seq <= (seen.get(topic) ?? 0)) return drop(event)
    seen.set(topic, seq)
  }
  if (paused) return drop(event)
  if (topic === "rights") return look()
  document.dispatchEvent(new CustomEvent("live", { detail: frame }))
  if (data?.type === "text") return // tokens: for their listener only
  for (const region of regions()) {
    const types = region.dataset.liveTypes?.split(" ")
    if (region.dataset.liveTopic === topic && (!types || types.includes(data?.type))) ask(region)
  }
})

// What this person may do has changed: the page is brought anew, unless something was typed on it; then it says so.
async function look() {
  const response = await fetch(location.href, { headers: { "HX-Request": "false" }, redirect: "manual" }).catch(() => null)
  if (!response) return
  if (!response.ok) return show("off", ENDS[4404]), location.reload()
  if (document.querySelector("form[data-changed], .is-changed") || typed()) return toast("What you may do has changed. Reload the page when you have finished.")
  location.reload()
}
const typed = () => [...document.querySelectorAll("main input:not([type=hidden]), main textarea")].some((field) => field.value !== field.defaultValue)

const drop = (event) => { event.detail.cancelled = true }

// A tab that comes back uses the old address (hx-ws does not ask again): give it the newest number first.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && connection) connection.url = address()
}, true)

// --- regions

const waiting = new WeakMap(), fetched = new WeakMap()

function ask(region) {
  if (waiting.has(region)) return
  const since = Date.now() - (fetched.get(region)?.at ?? 0)
  waiting.set(region, setTimeout(() => bring(region), Math.max(120, AT_MOST_EVERY - since, begun + SETTLES - Date.now())))
}

async function bring(region) {
  waiting.delete(region)
  if (!region.isConnected || paused || document.hidden) return
  const at = Date.now()
  fetched.set(region, { ...fetched.get(region), at })
  let text
  try {
    const response = await fetch(region.dataset.liveUrl, { headers: { "HX-Request": "true", "HX-Request-Type": "partial" } })
    if (!response.ok) return
    text = await response.text()
  } catch {
    return // the indicator says it
  }
  const last = fetched.get(region)
  if (last.from > at) return // one that was asked for later came first
  fetched.set(region, { ...last, text, from: at })
  if (text !== last.text) put(region, text)
}

async function put(region, text) {
  if (busy(region)) {
    region.dataset.held = ""
    setTimeout(() => region.isConnected && region.dataset.held !== undefined && put(region, fetched.get(region)?.text ?? text), 500)
    return
  }
  delete region.dataset.held
  const last = fetched.get(region), { id } = region
  await htmx.swap({ sourceElement: region, target: region, swap: "outerMorph", text, transition: false })
  const now = document.getElementById(id)
  if (now) fetched.set(now, last) // its data-seq is not taken over: other regions have yet to hear of those events
}

/** Whether somebody is at work in it: typing, selecting text, or with a menu open. */
function busy(region) {
  const active = document.activeElement, selection = getSelection()
  if (region.contains(active) && active.matches("input:not([type=checkbox]), textarea, select, [contenteditable]")) return true
  if (region.querySelector("details.menu[open]")) return true
  return selection && !selection.isCollapsed && region.contains(selection.anchorNode)
}

function poll() {
  if (!document.hidden && !paused) regions().forEach(bring)
}

// --- pause

on("click", "[data-live-pause]", (button) => {
  paused = paused ? null : new Date()
  button.setAttribute("aria-pressed", String(Boolean(paused)))
  if (paused) show("paused", `Paused since ${paused.toTimeString().slice(0, 8)}`)
  else {
    if (lost) tick()
    else show("live")
    regions().forEach((region) => ask(region))
  }
})

// --- screen readers: one polite region, one sentence each 5 s

let said = 0
/** Says one sentence to screen readers; what comes too soon replaces what waits. */
export function announce(sentence) {
  clearTimeout(announce.timer)
  announce.timer = setTimeout(() => {
    said = Date.now()
    document.getElementById("announcements").textContent = sentence
  }, Math.max(0, said + 5000 - Date.now()))
}

// --- begin

/** Takes over the sequence number that the server rendered. */
function note(element) {
  const { liveTopic: topic, seq } = element.dataset
  if (topic && seq) seen.set(topic, Math.max(seen.get(topic) ?? 0, Number(seq)))
}

document.querySelectorAll("[data-live-topic][data-seq]").forEach(note)
