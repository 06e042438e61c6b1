"""The addresses of the pages that belong to no room."""

from django.urls import path

from orchestrator.auditing import views as auditing
from orchestrator.home.views import first_page, home
from orchestrator.pages import canvas, components, elsewhere, keptforms, killswitch, palette, signin, welcome

urlpatterns = [
    path("", home, name="home"),
    path("first-steps", first_page, name="first-steps"),
    path("login", signin.sign_in, name="login"),
    path("logout", signin.sign_out, name="logout"),
    path("kept-form", keptforms.kept_form, name="kept-form"),
    path("welcome", welcome.welcome, name="welcome"),
    path("look", elsewhere.look, name="look"),
    path("go/<str:what>", elsewhere.go, name="go"),
    path("shell/search", palette.search, name="search"),
    path("shell/waiting", elsewhere.waiting, name="waiting"),
    path("shell/killswitch", killswitch.banner, name="killswitch-banner"),
    path("killswitch", killswitch.killswitch, name="killswitch"),
    path("audit", auditing.audit_page, name="audit"),
    path("audit/views", auditing.views, name="audit-views"),
    path("audit/verification", auditing.verification, name="audit-verification"),
    path("audit/export.<slug:form>", auditing.export, name="audit-export"),
    path("internal/components", components.components, name="components"),
    path("internal/components/canvas", canvas.canvas, name="canvas"),
]
