from django.apps import AppConfig


class FlowsConfig(AppConfig):
    name = "flows"

    def ready(self) -> None:
        import flows.access.signins
        import flows.execution.doorbells  # noqa: F401 - both listen to signals
