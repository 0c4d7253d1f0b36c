from django.contrib import admin

from core.models import Province


@admin.register(Province)
class ProvinceAdmin(admin.ModelAdmin):
    list_display = ["__str__", "name", "code"]
    search_fields = ["name", "name_en", "code"]
