from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from core.moves import standing
from core.moves.reading import read_page
from core.moves.verifying import verify_beside
from core.sides.reading import name_of
from core.staff import staff_only
from rehome.errors import Refused

PART = "core/moves/_moves.html"


@require_safe
@staff_only()
def moves(request: HttpRequest) -> HttpResponse:
    """Every move and how it stands; while one runs, the page asks for that part of itself again."""
    try:
        page = read_page()
    except Refused as error:
        return render(request, "core/moves/unreadable.html", {"error": error})
    return render(request, PART if request.headers.get("HX-Request") else "core/moves/page.html", {"page": page})


@require_POST
@staff_only()
def verify(request: HttpRequest) -> HttpResponse:
    """Compare one move, or all of them; what was found stands on the page of moves."""
    wanted = request.POST.get("move", "")
    known = [one.name for one in read_page().moves if one.verifiable]
    if wanted and wanted not in known:
        raise Http404
    chosen = [wanted] if wanted else known
    for move in chosen:
        verify_beside(move, name_of(request.user))
    standing.forget()
    if not chosen:
        messages.warning(request, "No move has two names to compare by now.")
    return redirect("moves")
