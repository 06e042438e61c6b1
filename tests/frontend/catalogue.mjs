// The kinds as the tests of the canvas know them.
export const CATALOGUE = {
  kinds: [
    { slug: "set", label: "Set values", group: "Logic", ports: ["done"], defaults: { values: {} } },
    { slug: "branch", label: "Branch", group: "Logic", ports: [{ from: "with.cases[].port", plus: ["with.else"], or: ["else"] }], defaults: { cases: [{ port: "yes", when: "true" }], else: "no" } },
    { slug: "model", label: "Model", group: "Models", ports: ["done"], defaults: { route: "balanced", prompt: "" } },
    { slug: "tool", label: "Tool", group: "Tools", ports: ["done"], defaults: {} },
    { slug: "check", label: "Check", group: "Logic", ports: ["pass", "fail", "ask"], defaults: {} },
    { slug: "approval", label: "Approval", group: "People", ports: [{ keys: "with.outcomes", or: ["approve", "reject"] }], defaults: {} },
    { slug: "wait", label: "Wait", group: "Logic", ports: ["done", "timeout"], defaults: {} },
    { slug: "map", label: "For each", group: "Logic", ports: ["done"], container: true, defaults: { over: "" } },
    { slug: "note", label: "Note", group: "Notes", ports: [], error: false, defaults: { text: "" } },
  ],
}
