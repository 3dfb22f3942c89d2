from django.http import HttpRequest, JsonResponse
from django.urls import path


def index(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "django"})


urlpatterns = [path("", index)]
