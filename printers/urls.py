from django.urls import path

from printers.views import adding, control, detail, editing, exchange, listing

app_name = "printers"
urlpatterns = [
    path("", listing.printers, name="list"),
    path("add/", adding.add, name="add"),
    path("add/<int:draft>/", adding.found, name="found"),
    path("add/<int:draft>/key/", adding.key, name="key"),
    path("add/<int:draft>/name/", adding.name, name="name"),
    path("import/", exchange.upload, name="import"),
    path("import/<int:draft>/", exchange.preview, name="preview"),
    path("import/<int:draft>/wrong/", exchange.wrong, name="wrong"),
    path("export/", exchange.export, name="export"),
    path("selected/", control.bulk, name="bulk"),
    path("<int:pk>/", detail.detail, name="detail"),
    path("<int:pk>/now/", detail.now, name="now"),
    path("<int:pk>/camera/", detail.camera, name="camera"),
    path("<int:pk>/edit/", editing.edit, name="edit"),
    path("<int:pk>/delete/", editing.delete, name="delete"),
    path("<int:pk>/start/", control.start, name="start"),
    path("<int:pk>/pause/", control.pause, name="pause"),
    path("<int:pk>/resume/", control.resume, name="resume"),
    path("<int:pk>/cancel/", control.cancel, name="cancel"),
    path("<int:pk>/out-of-order/", control.out_of_order, name="out-of-order"),
    path("<int:pk>/in-service/", control.in_service, name="in-service"),
]
