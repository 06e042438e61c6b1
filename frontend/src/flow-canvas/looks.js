// Which drawing and colour a kind has; the catalogue's own icon wins.
const ICONS = {
  ...{ model: "models", agent: "kind-agent", tool: "tools", subflow: "flows", branch: "branch", set: "kind-set", check: "kind-check", approval: "hand" },
  ...{ map: "kind-map", loop: "kind-loop", wait: "waiting", retrieve: "kind-retrieve", recall: "memory", remember: "memory", note: "kind-note", start: "play" },
}
export const iconOf = (slug, kind) => kind?.icon || ICONS[slug] || "kind-unknown"
export const groupOf = (kind) => (kind?.group ?? "").toLowerCase()

export const STATES = {
  ...{ queued: "Queued", running: "Running", waiting_approval: "Needs approval", waiting: "Waiting", retrying: "Retrying", succeeded: "Succeeded" },
  ...{ failed: "Failed", cancelled: "Cancelled", skipped: "Skipped", budget_stopped: "Stopped by budget" },
}
