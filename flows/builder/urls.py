"""The addresses of flows."""

from django.urls import path

from flows.builder import views
from flows.builder.pages.comparison import comparison, restoration, rollback
from flows.builder.pages.gallery import gallery, template_page
from flows.builder.pages.making import bulk, import_page, new_flow
from flows.builder.pages.publication import publication
from flows.builder.pages.settings import flow_archive, flow_pause, flow_settings

urlpatterns = [
    path("flows", views.flow_list, name="flows"),
    path("flows/new", new_flow, name="flow-new"),
    path("flows/import", import_page, name="flow-import"),
    path("flows/bulk", bulk, name="flows-bulk"),
    path("flows/<str:slug>", views.flow_page, name="flow"),
    path("flows/<str:slug>/export", views.flow_export, name="flow-export"),
    path("flows/<str:slug>/publication", publication, name="flow-publication"),
    path("flows/<str:slug>/versions/compare", comparison, name="flow-comparison"),
    path("flows/<str:slug>/versions/<int:number>/rollback", rollback, name="flow-rollback"),
    path("flows/<str:slug>/draft/restoration", restoration, name="flow-restoration"),
    path("flows/<str:slug>/settings", flow_settings, name="flow-settings"),
    path("flows/<str:slug>/pause", flow_pause, name="flow-pause"),
    path("templates", gallery, name="templates"),
    path("templates/<slug:template>", template_page, name="template"),
    path("flows/<str:slug>/archive", flow_archive, name="flow-archive"),
]
