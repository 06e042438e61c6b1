// <time data-when="ago|until" datetime="…Z">: rewritten every 30 s, a deadline under an hour every second. No requests.
// The same rules as `when` in orchestrator/templatetags/numbers.py.
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ")
const two = (n) => String(n).padStart(2, "0")
const clock = (t) => `${two(t.getHours())}:${two(t.getMinutes())}`
const day = (t, shift = 0) => new Date(t.getFullYear(), t.getMonth(), t.getDate() + shift).getTime()

export function when(t, now) {
  const past = (now - t) / 1000
  const date = `${t.getDate()} ${MONTHS[t.getMonth()]}${t.getFullYear() === now.getFullYear() ? "" : ` ${t.getFullYear()}`}`
  if (document.documentElement.dataset.times === "absolute") return `${date} ${clock(t)}`
  if (Math.abs(past) < 60) return past >= 0 ? "just now" : "in a moment"
  if (past >= 0) {
    if (past < 3600) return `${Math.floor(past / 60)} min ago`
    if (day(t) === day(now)) return `${Math.floor(past / 3600)} h ago`
    if (day(t) === day(now, -1)) return `Yesterday ${clock(t)}`
  } else {
    if (past > -3600) return `in ${Math.floor(-past / 60)} min`
    if (day(t) === day(now)) return `in ${Math.floor(-past / 3600)} h`
    if (day(t) === day(now, 1)) return `Tomorrow ${clock(t)}`
  }
  return `${date} ${clock(t)}`
}

export function until(t, now) {
  const left = Math.floor((t - now) / 1000)
  if (left < 0) return "overdue"
  if (left >= 3600) return when(t, now)
  return `00:${two(Math.floor(left / 60))}:${two(left % 60)}`
}

function refresh(selector) {
  const now = new Date()
  for (const element of document.querySelectorAll(selector)) {
    const t = new Date(element.dateTime)
    const text = element.dataset.when === "until" ? until(t, now) : when(t, now)
    if (element.textContent !== text) element.textContent = text
    element.title ||= `${t.toLocaleString([], { dateStyle: "medium", timeStyle: "long" })} · ${t.toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC")}`
  }
}

const RELATIVE = 'time[data-when="ago"]', DEADLINE = 'time[data-when="until"]'
refresh(`${RELATIVE}, ${DEADLINE}`)
setInterval(refresh, 30_000, RELATIVE)
setInterval(refresh, 1000, DEADLINE)
const all = () => refresh(`${RELATIVE}, ${DEADLINE}`)
document.addEventListener("htmx:after:swap", all)
new MutationObserver(all).observe(document.documentElement, { attributeFilter: ["data-times"] }) // the preference

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
if (zone) document.cookie = `tz=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`
