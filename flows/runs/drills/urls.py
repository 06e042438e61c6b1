"""The addresses of fire drills."""

from django.urls import path

from flows.runs.drills import views

urlpatterns = [
    path("flows/<str:slug>/drills", views.drills, name="flow-drills"),
    path("flows/<str:slug>/drills/<str:drill_id>", views.drill, name="flow-drill"),
]
