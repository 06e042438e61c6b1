"""The addresses of the pages that belong to no room."""

from django.urls import path

from orchestrator.pages import canvas, components, home, killswitch, signin, welcome

urlpatterns = [
    path("", home.home, name="home"),
    path("login", signin.sign_in, name="login"),
    path("logout", signin.sign_out, name="logout"),
    path("welcome", welcome.welcome, name="welcome"),
    path("look", home.look, name="look"),
    path("go/<str:what>", home.go, name="go"),
    path("shell/waiting", home.waiting, name="waiting"),
    path("shell/killswitch", killswitch.banner, name="killswitch-banner"),
    path("killswitch", killswitch.killswitch, name="killswitch"),
    path("internal/components", components.components, name="components"),
    path("internal/components/canvas", canvas.canvas, name="canvas"),
]
