from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    name = "orchestrator"

    def ready(self) -> None:
        import orchestrator.celery  # noqa: F401 - so that rings of web and commands go to our Redis
        from approvals.policies.book import Book
        from approvals.policies.reach import policies_named, policies_on
        from flows.builder.policies import use_book
        from flows.runs.toolbox.affected import use_policies
        from flows.steps import use_kinds
        from flows.tools import use_tool_kinds
        from orchestrator.catalogue import step_kinds, tool_kinds

        use_kinds(step_kinds)
        use_book(Book())
        use_policies(policies_on, policies_named)
        use_tool_kinds(tool_kinds)
