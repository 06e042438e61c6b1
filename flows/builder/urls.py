"""The addresses of flows."""

from django.urls import path

from flows.builder import views

urlpatterns = [
    path("flows", views.flow_list, name="flows"),
    path("flows/<str:slug>", views.flow_page, name="flow"),
    path("flows/<str:slug>/export", views.flow_export, name="flow-export"),
]
