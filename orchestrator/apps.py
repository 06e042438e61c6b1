from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    name = "orchestrator"

    def ready(self) -> None:
        import orchestrator.celery  # noqa: F401 - so that rings of web and commands go to our Redis
        from flows.steps import use_kinds
        from orchestrator.catalogue import step_kinds

        use_kinds(step_kinds)
